from collections.abc import Callable
from pathlib import Path

import pytest

from iris.base.errors import DiskFullError, StorageError
from iris.base.sqlite import WAL_MOST_BYTES, connect, sqlite_module, storage_errors, wal_is_safe
from iris.outbox.camera_db import CameraDb
from iris.outbox.marks import RelayMarks


@pytest.mark.parametrize("opens", [CameraDb, RelayMarks])
def test_damaged_file_of_a_node_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, opens: Callable[[Path], object]
) -> None:
    path = tmp_path / "some.db"
    path.write_bytes(b"this was a database once" * 1000)
    with pytest.raises(StorageError, match=r"some\.db is damaged"):
        opens(path)
    assert path.read_bytes() == b"this was a database once" * 1000


def test_full_disk_is_said_as_such_when_sqlite_finds_no_room(tmp_path: Path) -> None:
    connection = sqlite_module().connect(str(tmp_path / "small.db"))
    connection.execute("PRAGMA max_page_count=2")
    with (
        pytest.raises(DiskFullError, match=r"small\.db cannot be used: the disk is full"),
        storage_errors(tmp_path / "small.db"),
    ):
        connection.execute(
            "CREATE TABLE numbers AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
            " LIMIT 100000) SELECT i FROM n"
        )
    connection.close()


@pytest.mark.skipif(not wal_is_safe(), reason="this SQLite uses a rollback journal")
def test_log_of_writes_is_cut_when_a_long_reader_let_it_grow(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    log = tmp_path / "a.db-wal"
    writer, reader = connect(path), connect(path)
    writer.execute("CREATE TABLE t (x)")
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM t").fetchall()
    while log.stat().st_size <= 2 * WAL_MOST_BYTES:
        writer.execute("INSERT INTO t VALUES (randomblob(1000000))")
    reader.execute("COMMIT")
    writer.execute("INSERT INTO t VALUES (1)")
    writer.execute("INSERT INTO t VALUES (1)")
    assert log.stat().st_size <= WAL_MOST_BYTES
    reader.close()
    writer.close()
