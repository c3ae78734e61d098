"""Files into a backup and out of it: a second name where the file system allows one, else a copy, hashed on the way.

Nothing follows a symbolic link. A copy is read in pieces of 1 MiB, is durable before it gets its name, and does not
push recordings out of the page cache. A hard link is durable with its folder (`fsync_dirs`).
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from pathlib import Path
from typing import Final

from iris.adapters.media_files import fsync_dir, storage_error, translated
from iris.base.errors import CorruptMediaError, StorageError

_PIECE_BYTES: Final = 2**20
# What a file system says that has no hard links, has too many of one file, or is another one.
_NO_LINKS: Final = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS)


class VanishedError(StorageError):
    """The file to be kept is not there (any more)."""


def link_or_copy(source: Path, target: Path, size_bytes: int, sha256: str) -> bool:
    """Give a file that is never written again a second name, or copy it.

    A linked file is compared by its size, a copied one by its hash, too. Idempotent: what is there already under the
    name and is the same file, or a whole copy, stays.

    Returns:
        True where it was linked.

    Raises:
        VanishedError: There is no such file.
        CorruptMediaError: It is not the file that was recorded; nothing is left behind.
        StorageError: It cannot be linked or copied.
    """
    facts = _facts(source)
    if facts.st_size != size_bytes:
        raise CorruptMediaError(f"{source.name} has {facts.st_size} bytes, recorded were {size_bytes}")
    try:
        there = _there(target)
        if there is not None and there.st_size == size_bytes:
            return there.st_ino == facts.st_ino  # whole: a copy gets its name when it is
        target.unlink(missing_ok=True)
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise VanishedError(f"{source.name} is gone") from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise storage_error(error, f"link {source.name}") from error
        copy(source, target, sha256)
        return False
    return True


def copy(source: Path, target: Path, sha256: str | None = None) -> tuple[int, str]:
    """Copy a file (0600), durable when it has its name; answers its size in bytes and its hash.

    Raises:
        VanishedError: There is no such file.
        CorruptMediaError: Its bytes have another hash; nothing is left behind.
        StorageError: It cannot be read or written.
    """
    _facts(source)
    part = target.with_name(f"{target.name}.copying")
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with translated(f"copy {source.name}"):
            part.unlink(missing_ok=True)
            reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(reading, "rb", buffering=0) as file, os.fdopen(_create(part), "wb", buffering=0) as made:
                while piece := file.read(_PIECE_BYTES):
                    digest.update(piece)
                    made.write(piece)
                    size_bytes += len(piece)
                os.fsync(made.fileno())
                for descriptor in (file.fileno(), made.fileno()):
                    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            if sha256 is not None and digest.hexdigest() != sha256:
                raise CorruptMediaError(f"{source.name} has other bytes than were recorded")
            part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return size_bytes, digest.hexdigest()


def hash_of(path: Path) -> str:
    """Hash of a regular file, without following a link.

    Raises:
        VanishedError, CorruptMediaError, StorageError: It is not there, no regular file, cannot be read.
    """
    _facts(path)
    digest = hashlib.sha256()
    with translated(f"read {path.name}"):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            while piece := file.read(_PIECE_BYTES):
                digest.update(piece)
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return digest.hexdigest()


def size_of(path: Path) -> int:
    """Size of a regular file in bytes; a symbolic link or a device is none.

    Raises:
        VanishedError, CorruptMediaError, StorageError: It is not there, no regular file, cannot be looked at.
    """
    return _facts(path).st_size


def private_dirs(root: Path, folder: Path) -> None:
    """Make `folder` and what is missing between it and `root`, closed to others (0700).

    Raises:
        StorageError: One of them cannot be made, or is a link.
    """
    for made in [*reversed(folder.relative_to(root).parents), folder.relative_to(root)]:
        path = root / made
        with translated(f"make the folder {path.name}"):
            path.mkdir(mode=0o700, exist_ok=True)
            if path.is_symlink():
                raise StorageError(f"{path} is a link; a backup has none")


def fsync_dirs(root: Path) -> None:
    """Force the names in a folder and all below it to the disk.

    Raises:
        StorageError: They may be lost in a power cut.
    """
    with translated(f"read {root.name}"):
        folders = [Path(folder) for folder, _folders, _files in os.walk(root)]
    for folder in folders:
        fsync_dir(folder)


def remove_tree(path: Path) -> None:
    """Remove a folder with all in it, without following links; one that is gone already is no error.

    Raises:
        StorageError: Something could not be removed.
    """
    with translated(f"remove {path.name}"):
        if path.exists():
            shutil.rmtree(path)


def _facts(path: Path) -> os.stat_result:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        raise VanishedError(f"{path.name} is gone") from None
    except OSError as error:
        raise storage_error(error, f"look at {path.name}") from error
    if not stat.S_ISREG(facts.st_mode):
        raise CorruptMediaError(f"{path.name} is no regular file")
    return facts


def _there(path: Path) -> os.stat_result | None:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    return facts if stat.S_ISREG(facts.st_mode) else None


def _create(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
