"""What is left of a camera below DATA_DIR, seen from outside: names of files, and cells of every database of Iris."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from iris.base.sqlite import connect_readonly


def traces(data_dir: Path, camera_id: str, event_ids: set[str]) -> list[str]:
    """Every name and every cell that holds the camera's id or that of one of its events.

    Operations are left out: the certificate names the camera. So is Temporal's own database, whose histories are kept
    as long as it is told to.
    """
    wanted = {camera_id, *event_ids}
    found = [
        path.relative_to(data_dir).as_posix()
        for path in data_dir.rglob("*")
        if "temporal" not in path.relative_to(data_dir).parts and any(one in path.name for one in wanted)
    ]
    for database in (data_dir / "vms.db", data_dir / "node" / "cameras.db", data_dir / "node" / "relay.db"):
        found += [f"{database.name}: {place}" for place in _cells(database, wanted)]
    return found


def _cells(database: Path, wanted: set[str]) -> Iterator[str]:
    connection = connect_readonly(database)
    try:
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            if table == "operations":
                continue
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                if any(one in str(cell) for cell in row for one in wanted):
                    yield f"{table}: {row}"
    finally:
        connection.close()
