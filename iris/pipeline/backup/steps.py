"""The steps of a backup in their order, as the command line, the worker and the nodes take them.

Order: footage of unfinished events on each node, then the snapshot of the main database, then clips on each node, then
the manifest. Each step may be taken twice. On several hosts BACKUP_DIR is one folder that all of them see.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from iris.adapters.backup_files import private_dirs, remove_tree
from iris.adapters.media_files import make_dir, translated
from iris.base.errors import InputError, NotFoundError, StorageError
from iris.base.failpoint import failpoint
from iris.base.ids import EventId
from iris.base.log import get_logger
from iris.base.timebase import US_PER_S
from iris.pipeline.backup.clips import backup_clips
from iris.pipeline.backup.database import backup_database
from iris.pipeline.backup.finish import ALIVE, finish_backup, remove_old
from iris.pipeline.backup.footage import backup_footage
from iris.pipeline.backup.layout import NAME, PART_SUFFIX, REMOVING_SUFFIX, Manifest, node_folder
from iris.ports import Clock, ProgressSink
from iris.store.engine import Store

# A backup that has not moved for so long was cut off; each step moves it every few seconds.
_ABANDONED_S: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPlace:
    """What the steps work with: `target` is BACKUP_DIR, `node_id` None in a process that is no node."""

    data_dir: Path
    target: Path
    keep: int
    store: Store
    database_url: str
    node_id: str | None
    version: str
    clock: Clock


def backup_name(created_us: int, operation_id: str) -> str:
    """Name of a backup: when it was asked for, and by which operation.

    >>> backup_name(1_700_000_000_000_000, "018bcfe5-6800-7000-8001-0000000000ab")
    '20231114T221320Z-000000ab'
    """
    return f"{datetime.fromtimestamp(created_us // US_PER_S, UTC):%Y%m%dT%H%M%SZ}-{operation_id[-8:]}"


class BackupSteps:
    """Over one data directory and one folder of backups; any thread."""

    def __init__(self, place: BackupPlace) -> None:
        self._place = place

    def begin(self, name: str) -> None:
        """Make the folder of the unfinished backup, and clear away what earlier ones left that were cut off.

        Raises:
            InputError: `name` is none.
            StorageError: BACKUP_DIR cannot be written.
        """
        part = self._part(name)
        _make_folders(self._place.target, part / "nodes")
        self._alive(part)
        now_s = (part / ALIVE).stat().st_mtime
        for left in sorted(self._place.target.iterdir()):
            plain = left.name.removesuffix(PART_SUFFIX).removesuffix(REMOVING_SUFFIX)
            if plain == left.name or NAME.fullmatch(plain) is None or left == part:
                continue
            if left.name.endswith(REMOVING_SUFFIX) or now_s - _moved_s(left) > _ABANDONED_S:
                remove_tree(left)
                get_logger().info("a cut-off backup was cleared away", backup=left.name)

    def footage(self, name: str, progress: ProgressSink) -> None:
        """On a node: see `iris.pipeline.backup.footage`."""
        part = self._begun(name)
        private_dirs(part, node_folder(part, self._node_id()))
        backup_footage(self._place.data_dir, self._node_id(), part, self._told(part, progress))
        failpoint("backup.after_footage")

    def database(self, name: str, progress: ProgressSink) -> None:
        """See `iris.pipeline.backup.database`."""
        part = self._begun(name)
        place = self._place
        backup_database(place.store, place.database_url, part, place.clock.wall_us(), self._told(part, progress))
        failpoint("backup.after_database")

    def clips(self, name: str, progress: ProgressSink) -> None:
        """On a node: see `iris.pipeline.backup.clips`."""
        part = self._begun(name)
        backup_clips(self._place.data_dir, self._node_id(), part, self._exists, self._told(part, progress))
        failpoint("backup.after_clips")

    def finish(self, name: str, progress: ProgressSink) -> Manifest:
        """See `iris.pipeline.backup.finish`; the oldest backups go only now, and none for one that lacks something."""
        part = self._part(name)
        manifest = finish_backup(part, self._place.version, self._told(part, progress))
        failpoint("backup.after_name")
        if not manifest.damaged:
            remove_old(self._place.target, self._place.keep)
        return manifest

    def _part(self, name: str) -> Path:
        if NAME.fullmatch(name) is None:
            raise InputError("this is no name of a backup")
        return self._place.target / f"{name}{PART_SUFFIX}"

    def _begun(self, name: str) -> Path:
        part = self._part(name)
        if not part.is_dir():
            raise StorageError(
                f"the unfinished backup {part} is not there; BACKUP_DIR must be one folder that all hosts see"
            )
        self._alive(part)
        return part

    def _told(self, part: Path, progress: ProgressSink) -> ProgressSink:
        def tell(step: str, done: int, total: int) -> None:
            self._alive(part)
            progress(step, done, total)

        return tell

    @staticmethod
    def _alive(part: Path) -> None:
        # Not where it is gone: a backup that has its name already is only looked at again.
        if part.is_dir():
            with translated("write to the folder of backups"):
                (part / ALIVE).touch(mode=0o600)

    def _exists(self, event_id: str) -> bool:
        with self._place.store.reading() as work:
            try:
                work.events.get(EventId(event_id))
            except NotFoundError:
                return False
        return True

    def _node_id(self) -> str:
        if self._place.node_id is None:
            raise InputError("this process is no node")
        return self._place.node_id


def make_backup(steps: BackupSteps, name: str, node_id: str | None, progress: ProgressSink) -> Manifest:
    """All steps one after the other, for one host.

    Args:
        steps: Of this host.
        name: Of the backup.
        node_id: The node of this data directory; None where none ever ran.
        progress: Told step by step.

    Raises:
        StorageError, StoreError, ConfigError: The backup was not made; what there is of it does not count as one.
    """
    steps.begin(name)
    if node_id is not None:
        steps.footage(name, progress)
    steps.database(name, progress)
    if node_id is not None:
        steps.clips(name, progress)
    return steps.finish(name, progress)


def _make_folders(target: Path, folder: Path) -> None:
    """Make the folder of backups and one in it; a refusal names the whole path, since a person may have typed it."""
    above = next(path for path in (target, *target.parents) if path.exists())
    if not above.is_dir():
        raise StorageError(f"{target} cannot be made: {above} is a file, no folder")
    try:
        make_dir(target)
        private_dirs(target, folder)
    except StorageError as error:
        if isinstance(error.__cause__, FileNotFoundError):  # of a folder that is there
            raise StorageError(f"{target} cannot be written: {above} is no place for folders") from error
        raise type(error)(f"{target} cannot be written: {error}") from error


def _moved_s(part: Path) -> float:
    """When a step last moved it, by the clock of its file system."""
    with contextlib.suppress(OSError):
        return (part / ALIVE).stat().st_mtime
    with contextlib.suppress(OSError):
        return part.stat().st_mtime
    return 0.0
