"""`DATA_DIR/quarantine/<batch>/<path>`: where files go that belong to nothing, before they go for good.

A batch is named `<date>-<id>`, so that its age is in its name. A file keeps its path inside, and a person may move it
back. A rename cannot leave its file system: a media folder on a disk of its own gets a `.quarantine` of its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from iris.adapters.media_files import fsync_dir, make_dir, storage_error, translated
from iris.adapters.media_marks import MEDIA_FOLDERS
from iris.base.timebase import US_PER_S

QUARANTINE = "quarantine"
OWN_QUARANTINE = ".quarantine"
_DATE_LENGTH = len("2026-01-31")


@dataclass(frozen=True, slots=True)
class Amount:
    """So many files of so many bytes."""

    count: int = 0
    size_bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(self.count + other.count, self.size_bytes + other.size_bytes)


def batch_name(now_us: int, suffix: str) -> str:
    """The name of a batch that begins now."""
    return f"{datetime.fromtimestamp(now_us / US_PER_S, UTC):%Y-%m-%d}-{suffix}"


class Quarantine:
    """Over one data directory; one thread. Every method raises `StorageError` where the disk refuses."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def take(self, paths: Iterable[str], batch: str) -> int:
        """Move files or folders, by path relative to DATA_DIR, into a batch; durable when it returns.

        Returns:
            How many were moved; one that is gone already is no error.
        """
        moved = 0
        changed: set[Path] = set()
        for path in paths:
            source = self._data_dir / path
            target = self._moved(source, path, batch)
            if target is not None:
                moved += 1
                changed |= {source.parent, target.parent}
        # New names first: a power cut between leaves two names of a file rather than none.
        aside = {QUARANTINE, OWN_QUARANTINE}
        for folder in sorted(changed, key=lambda folder: not aside & set(folder.parts)):
            fsync_dir(folder)
        return moved

    def amount(self, batch: str) -> Amount:
        """What lies in a batch."""
        return sum((_amount(root / batch) for root in self._roots()), Amount())

    def expired(self, before_us: int) -> Amount:
        """What lies in batches of days before that of `before_us` (wall time)."""
        return sum((_amount(batch) for batch in self._old_batches(before_us)), Amount())

    def delete_expired(self, before_us: int) -> Amount:
        """Delete such batches for good; idempotent."""
        gone = Amount()
        for batch in list(self._old_batches(before_us)):
            gone += _amount(batch)
            _remove(batch)
            fsync_dir(batch.parent)
        return gone

    def _moved(self, source: Path, path: str, batch: str) -> Path | None:
        """Rename into the first quarantine of the same file system; None where the file is gone."""
        own = self._data_dir / path.partition("/")[0] / OWN_QUARANTINE
        for root in (self._data_dir / QUARANTINE, own):
            target = _free(root / batch / path)
            make_dir(target.parent)
            try:
                source.rename(target)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno == errno.EXDEV and root != own:
                    continue
                raise storage_error(error, f"move {path} into quarantine") from error
            return target
        return None

    def _roots(self) -> Iterator[Path]:
        yield self._data_dir / QUARANTINE
        for name in MEDIA_FOLDERS:
            yield self._data_dir / name / OWN_QUARANTINE

    def _old_batches(self, before_us: int) -> Iterator[Path]:
        """Folders whose name begins with a date that is long enough ago; all else in there is left alone."""
        before = datetime.fromtimestamp(before_us / US_PER_S, UTC)
        for root in self._roots():
            if not root.is_dir():
                continue
            for batch in sorted(root.iterdir()):
                try:
                    day = datetime.strptime(batch.name[:_DATE_LENGTH], "%Y-%m-%d").replace(tzinfo=UTC)
                except ValueError:
                    continue
                if batch.is_dir() and day + timedelta(days=1) <= before:
                    yield batch


def _free(target: Path) -> Path:
    """The name itself, or with a number behind where a batch took one of that name before."""
    number, free = 0, target
    while os.path.lexists(free):
        number += 1
        free = target.with_name(f"{target.name}.{number}")
    return free


def _amount(folder: Path) -> Amount:
    count = size_bytes = 0
    with translated("look into quarantine"):
        for root, folders, files in os.walk(folder):
            links = [name for name in folders if (Path(root) / name).is_symlink()]
            for name in (*files, *links):
                count += 1
                size_bytes += os.lstat(Path(root) / name).st_size
    return Amount(count, size_bytes)


def _remove(folder: Path) -> None:
    with translated("empty an old quarantine"):
        for root, folders, files in os.walk(folder, topdown=False):
            for name in files:
                (Path(root) / name).unlink(missing_ok=True)
            for name in folders:
                path = Path(root) / name
                path.unlink() if path.is_symlink() else path.rmdir()
        folder.rmdir()
