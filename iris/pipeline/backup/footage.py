"""First step of a backup, on each node: what its cameras hold of events that are not finished.

It comes before the snapshot of the main database, and within it each camera's file comes before its footage. So an
event that the snapshot shows as unfinished had its footage at every moment before: it is in here whole, or the event
began only after this step and is named as such (`iris.pipeline.backup.clips`).

Footage is copied, never linked: a pinned segment is told by its second name (`iris.pipeline.recorder`), and a third one
would keep it in the rolling buffer for as long as the backup lives. The rest of that buffer belongs to no event and is
no part of a backup; the copied index forgets it.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path, PurePosixPath

from iris.adapters.backup_files import VanishedError, copy, hash_of, private_dirs, remove_tree, size_of
from iris.adapters.media_files import translated
from iris.adapters.store_mark import expect_media_folders
from iris.base.errors import CorruptMediaError, StorageError
from iris.base.failpoint import failpoint
from iris.base.log import get_logger
from iris.base.sqlite import sqlite_module
from iris.outbox.camera_db import camera_db_path
from iris.outbox.check import CameraFile, SegmentRow, read_camera_files, read_relay_file
from iris.outbox.reader import CameraDbReader
from iris.pipeline.backup.layout import FileEntry, ListWriter, check_path, node_folder
from iris.ports import ProgressSink
from iris.store.backup import snapshot_sqlite


def backup_footage(data_dir: Path, node_id: str, part: Path, progress: ProgressSink) -> None:
    """Copy the databases of a node and the footage of its unfinished events; begun anew each time.

    Args:
        data_dir: DATA_DIR of the node.
        node_id: The node.
        part: The folder of the unfinished backup.
        progress: Told camera by camera.

    Raises:
        UnavailableError: A media folder is not there now.
        StorageError, StoreError: Something cannot be read or written now.
    """
    expect_media_folders(data_dir)
    folder = node_folder(part, node_id)
    for name in ("node", "segments", "pending", "lists"):
        remove_tree(folder / name)
        private_dirs(part, folder / name)
    camera_ids = CameraDbReader(data_dir).camera_ids()
    for camera_id in camera_ids:
        # A camera that is being deleted may lose its file now; it is no part of the backup then.
        if camera_db_path(data_dir, camera_id).is_file():
            snapshot_sqlite(camera_db_path(data_dir, camera_id), camera_db_path(folder, camera_id))
    failpoint("backup.after_camera_files")
    lists = ListWriter(folder / "lists" / "node.jsonl")
    if (data_dir / "node" / "relay.db").is_file():
        snapshot_sqlite(data_dir / "node" / "relay.db", folder / "node" / "relay.db")
        lists.add(_entry(folder, "node/relay.db"))
    lists.finish()
    finished = read_relay_file(folder).terminal
    cameras = read_camera_files(folder)
    for number, camera in enumerate(cameras, 1):
        if camera.problems:
            raise StorageError(f"the file of camera {camera.camera_id} is damaged: {camera.problems[0]}")
        _CameraFootage(data_dir, folder, camera).backup(sorted(unfinished_events(camera) - finished))
        progress("footage of unfinished events", number, len(cameras))


def unfinished_events(camera: CameraFile) -> set[str]:
    """Events of which a camera's file knows that something is still to be done."""
    return {*camera.outbox, *camera.open_event_ids, *camera.closed_windows}


class _CameraFootage:
    def __init__(self, data_dir: Path, folder: Path, camera: CameraFile) -> None:
        self._data_dir, self._folder, self._camera = data_dir, folder, camera
        self._rows = {PurePosixPath(row.path).name: row for row in camera.segments if row.state == "durable"}
        self._copied: dict[str, FileEntry] = {}  # base name of the segment: its entry

    def backup(self, event_ids: list[str]) -> None:
        """Pins and best shots of these events, and the segments behind them."""
        entries = [entry for event_id in event_ids for entry in self._event(event_id)]
        self._forget_the_rest()
        lists = ListWriter(self._folder / "lists" / f"{self._camera.camera_id}.jsonl")
        lists.add(_entry(self._folder, f"node/{self._camera.camera_id}.db"))
        for entry in [*self._copied.values(), *entries]:
            lists.add(entry)
        lists.finish()

    def _event(self, event_id: str) -> list[FileEntry]:
        source = self._data_dir / "pending" / event_id
        with translated("read what is kept for an event"):
            names = sorted(path.name for path in source.glob("*")) if source.is_dir() else []
        entries = []
        for name in names:
            path = f"pending/{event_id}/{name}"
            row = self._rows.get(name)
            if row is not None and self._segment(row, source / name):
                kept = self._copied[name]
                entries.append(FileEntry(path, kept.size_bytes, kept.sha256, same_as=kept.path))
            elif name == "thumbnail.jpg":
                entries += self._thumbnail(path)
        return entries

    def _segment(self, row: SegmentRow, pin: Path) -> bool:
        """Copy a segment once; false where it is gone, or not as it was recorded."""
        name = pin.name
        if name not in self._copied:
            path = check_path(f"segments/{self._camera.camera_id}/{name}")
            private_dirs(self._folder, (self._folder / path).parent)
            try:
                size_bytes, sha256 = copy(pin, self._folder / path, row.sha256)
            except VanishedError:
                return False  # released this moment: its event is finished in the snapshot that comes after
            except CorruptMediaError as error:
                get_logger(camera_id=self._camera.camera_id).error("not in the backup", segment=name, reason=str(error))
                return False
            self._copied[name] = FileEntry(path, size_bytes, sha256)
        return True

    def _thumbnail(self, path: str) -> list[FileEntry]:
        private_dirs(self._folder, (self._folder / path).parent)
        try:
            size_bytes, sha256 = copy(self._data_dir / path, self._folder / path)
        except VanishedError:
            return []
        return [FileEntry(check_path(path), size_bytes, sha256)]

    def _forget_the_rest(self) -> None:
        """Rows of segments whose files are not in the backup go from the copied index, or it would be a lie."""
        kept = [(entry.path,) for entry in self._copied.values()]
        module = sqlite_module()
        try:
            with closing(module.connect(str(camera_db_path(self._folder, self._camera.camera_id)))) as db:
                db.execute("CREATE TEMP TABLE kept (path TEXT PRIMARY KEY)")
                db.executemany("INSERT INTO kept VALUES (?)", kept)
                db.execute("DELETE FROM segments WHERE state = 'durable' AND path NOT IN (SELECT path FROM kept)")
                db.commit()
        except module.Error as error:
            raise StorageError(f"the copied file of camera {self._camera.camera_id} cannot be used: {error}") from error


def _entry(folder: Path, path: str) -> FileEntry:
    return FileEntry(check_path(path), size_of(folder / path), hash_of(folder / path))
