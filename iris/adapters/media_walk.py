"""Walks a media folder with bounded memory, whatever it holds: names come from the disk as they are read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iris.adapters.media_files import storage_error

# A disk of its own has this folder at its top; it belongs to the file system.
_SYSTEM = "lost+found"
_US_PER_NS = 1000


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file, or a folder of `pending/`, which is one thing. `changed_us` is the later of its two change times."""

    path: str  # relative to DATA_DIR
    size_bytes: int
    changed_us: int

    @property
    def name(self) -> str:
        """Its last name."""
        return self.path.rpartition("/")[2]

    @property
    def parent(self) -> str:
        """The name of the folder it lies in."""
        return self.path.rsplit("/", 2)[-2]


def walk_media(data_dir: Path, folder: str, *, whole_folders: bool = False) -> Iterator[MediaFile]:
    """Every file below a media folder, in no order; links are not followed.

    Args:
        data_dir: DATA_DIR.
        folder: Name of the media folder; one that is not there is empty.
        whole_folders: Give the entries at its top, each with all that is in it, instead of single files.

    Raises:
        StorageError: Something cannot be read; what was not seen must not be judged.
    """
    for entry in _entries(data_dir / folder):
        if entry.name == _SYSTEM or entry.name.startswith("."):
            continue  # the mark, what a system or a trash can keeps; never ours
        path = f"{folder}/{entry.name}"
        if whole_folders:
            yield _whole(entry, path)
        elif entry.is_dir(follow_symlinks=False):
            yield from _files_below(Path(entry.path), path)
        else:
            yield from _file(entry, path)


def _files_below(folder: Path, path: str) -> Iterator[MediaFile]:
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(Path(entry.path), f"{path}/{entry.name}")
        else:
            yield from _file(entry, f"{path}/{entry.name}")


def _file(entry: os.DirEntry[str], path: str) -> Iterator[MediaFile]:
    try:
        stat = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # gone since it was listed
        return
    except OSError as error:
        raise storage_error(error, f"look at {path}") from error
    yield MediaFile(path, stat.st_size, max(stat.st_mtime_ns, stat.st_ctime_ns) // _US_PER_NS)


def _whole(entry: os.DirEntry[str], path: str) -> MediaFile:
    parts = list(_file(entry, path))
    if entry.is_dir(follow_symlinks=False):
        parts += _files_below(Path(entry.path), path)
        size_bytes = sum(part.size_bytes for part in parts[1:])
    else:
        size_bytes = sum(part.size_bytes for part in parts)
    return MediaFile(path, size_bytes, max((part.changed_us for part in parts), default=0))


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            yield from found
    except FileNotFoundError:
        return
    except OSError as error:
        raise storage_error(error, f"read the folder {folder.name}") from error
