import errno
import hashlib
from pathlib import Path

import pytest

from iris.adapters.media_files import make_dir, publish, rewrite, sha256_of, storage_error, unlink_durably
from iris.base.errors import DiskFullError, StorageError


def test_publish_gives_the_final_name_when_the_file_is_written(tmp_path: Path) -> None:
    part, final = tmp_path / "a.part", tmp_path / "a.mp4"
    part.write_bytes(b"footage")
    publish(part, final)
    assert final.read_bytes() == b"footage"
    assert not part.exists()


def test_publish_says_storage_error_when_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        publish(tmp_path / "a.part", tmp_path / "a.mp4")


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, DiskFullError), (errno.EDQUOT, DiskFullError)])
def test_storage_error_is_disk_full_when_the_system_says_so(number: int, kind: type[StorageError]) -> None:
    error = storage_error(OSError(number, "x"), "write a segment")
    assert type(error) is kind
    assert "write a segment" in str(error)


def test_storage_error_is_no_disk_full_when_it_is_another_failure() -> None:
    assert type(storage_error(OSError(errno.EIO, "x"), "write")) is StorageError


def test_unlink_durably_says_whether_there_was_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.touch()
    assert unlink_durably(file)
    assert not unlink_durably(file)


def test_sha256_of_is_the_hash_of_the_bytes(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"x" * 100_000)
    assert sha256_of(file) == hashlib.sha256(b"x" * 100_000).hexdigest()


def test_make_dir_makes_parents_and_is_idempotent(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    make_dir(folder)
    make_dir(folder)
    assert folder.is_dir()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_rewrite_leaves_the_bytes_and_the_file_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "segment"
    path.write_bytes(b"fragments" * 1000)
    before = path.stat()
    rewrite(path)
    assert path.read_bytes() == b"fragments" * 1000
    assert path.stat().st_ino == before.st_ino  # pins are links of it
