"""Durable file operations: the order of system calls that makes a promise hold after a power cut.

Measured on ext4: a rename without the fsync of the file leaves an empty "finished" file, without the fsync of
the directory the name is gone. Every `OSError` leaves here as a `StorageError`.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iris.base.errors import DiskFullError, StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def storage_error(error: OSError, what: str) -> StorageError:
    """The error of ours for a failed file operation.

    Args:
        error: What the system said.
        what: What was tried, such as "write a segment"; becomes part of the sentence.
    """
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _FULL:
        return DiskFullError(f"could not {what}: the disk is full ({reason})")
    return StorageError(f"could not {what}: {reason}")


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turns an `OSError` of the body into ours.

    Raises:
        DiskFullError: No space, quota or inode is left.
        StorageError: Any other failure.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(error, what) from error


def fsync_file(path: Path) -> None:
    """Force a file's bytes to the disk.

    Raises:
        StorageError: After this the file must not be trusted nor its fsync tried again ("fsyncgate").
    """
    with translated(f"write {path.name} to the disk"):
        _fsync(path, os.O_RDONLY)


def fsync_dir(path: Path) -> None:
    """Force a directory's names to the disk.

    Raises:
        StorageError: The names may be lost in a power cut.
    """
    with translated(f"write the folder {path.name} to the disk"):
        _fsync(path, os.O_RDONLY | os.O_DIRECTORY)


class WholeFile(io.FileIO):
    """A file for libavformat to write to: each write is whole or raises, and the descriptor is ours to close.

    libavformat forgets its own descriptor where it cannot even write a header: on a full disk one each second.
    """

    def write(self, data: Any) -> int:
        """All of `data`, in as many calls as the system needs.

        Raises:
            OSError: A part may be written.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[super().write(rest) or 0 :]
        return len(data)


def rewrite(path: Path) -> None:
    """Write a file's bytes once more in their places, so that the next fsync speaks of all of them.

    After a failed fsync the kernel takes pages for clean that never reached the disk, and a second fsync succeeds.
    For a small file that somebody else wrote; who wrote it himself takes a new file.

    Raises:
        StorageError: It cannot be read or written.
    """
    with translated(f"write {path.name} again"), path.open("r+b") as file:
        content = file.read()
        file.seek(0)
        file.write(content)


def make_dir(path: Path) -> None:
    """Make a directory (0700) and its parents where missing, durably.

    Raises:
        StorageError: It cannot be made.
    """
    if path.is_dir():
        return
    make_dir(path.parent)
    with translated(f"make the folder {path.name}"):
        path.mkdir(mode=0o700, exist_ok=True)
    fsync_dir(path.parent)


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its final name: fsync file, rename, fsync directory. Replaces what has that name.

    Both names must lie on one file system.

    Raises:
        DiskFullError: No space is left.
        StorageError: The file is not published, or not durably.
    """
    fsync_file(temporary)
    with translated(f"publish {final.name}"):
        temporary.replace(final)
    fsync_dir(final.parent)
    if temporary.parent != final.parent:
        fsync_dir(temporary.parent)


def unlink_durably(path: Path) -> bool:
    """Remove a file and force its absence to the disk; a file that is gone already is no error.

    Returns:
        Whether there was a file.

    Raises:
        StorageError: It could not be removed.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise storage_error(error, f"remove {path.name}") from error
    fsync_dir(path.parent)
    return True


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes as 64 lower-case hexadecimal digits.

    Raises:
        StorageError: It cannot be read.
    """
    with translated(f"read {path.name}"), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
