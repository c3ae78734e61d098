"""Implements `CameraFootage`: everything of one camera on a node's disk - counted, listed, removed, looked for.

Only for a camera that no process runs here: removing takes the camera's own one-writer lock and the gate of those who
publish its clips, so that nothing can be written beside it. Names are made of checked ids alone, links are never
followed, and every folder that lost a name is forced to disk.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISDIR
from typing import Final

from iris.adapters.media_files import fsync_dir, translated
from iris.adapters.media_marks import MEDIA_FOLDERS
from iris.adapters.pins import pending_dir, release_pins
from iris.adapters.process import hold_lock
from iris.adapters.quarantine import OWN_QUARANTINE, QUARANTINE
from iris.adapters.store_mark import expect_media_folders
from iris.base.errors import ConflictError, UnavailableError
from iris.base.failpoint import failpoint
from iris.base.ids import CameraId, NodeId, parse_id
from iris.contracts.camera_removal import CameraEventsPage, CameraRemains, CameraSurvey, NodeEvent, NodeEvents
from iris.outbox.camera_db import camera_db_path
from iris.outbox.marks import RelayMarks
from iris.outbox.reader import CameraDbReader
from iris.pipeline.camera_gate import CameraGate
from iris.ports import ProgressSink

# Folders of DATA_DIR that have one folder per camera.
CAMERA_FOLDERS: Final = ("recordings", "segments", "hls")
_PAGE_EVENTS: Final = 200
# A process that is told to leave is gone within 8 s, one whose node was killed within 10 s.
_LOCK_PATIENCE_S: Final = 12.0
# Work on a clip looks at the gate at every step; a step on a slow disk takes seconds.
_GATE_PATIENCE_S: Final = 30.0
_TELL_EVERY: Final = 50
_EXAMPLES: Final = 5


class NodeCameraFootage:
    """Over one data directory; any thread."""

    def __init__(
        self,
        data_dir: Path,
        node_id: NodeId,
        index: CameraDbReader,
        marks: RelayMarks,
        gate: CameraGate,
        forget_camera: Callable[[CameraId], None],
    ) -> None:
        """Over the files of one node.

        Args:
            data_dir: DATA_DIR.
            node_id: Of this node.
            index: Reads the cameras' own files.
            marks: What was handed over.
            gate: Shared with those who publish clips.
            forget_camera: Has the relay drop whatever waits of a camera, and its marks; returns when that is done.
        """
        self._data_dir = data_dir
        self._node_id = node_id
        self._index = index
        self._marks = marks
        self._gate = gate
        self._forget_camera = forget_camera

    def survey(self, camera_id: str, progress: ProgressSink) -> CameraSurvey:
        """See `CameraFootage.survey`.

        Raises:
            InputError: It is no id.
            UnavailableError: A media folder is not there now; try again.
            StorageError: Something cannot be read now.
        """
        camera = CameraId(parse_id(camera_id, field="camera_id"))
        expect_media_folders(self._data_dir)
        clips, segments, live = (_sizes(self._data_dir / folder / camera, progress) for folder in CAMERA_FOLDERS)
        aside = [size for path in self._moved_aside(camera) for size in _sizes(path, progress)]
        events = self._index.known_events(camera)
        rows = self._index.row_counts(camera)
        with translated("count what is kept for events"):
            pending = sum(len(_names(pending_dir(self._data_dir, event.event_id))) for event in events)
        return CameraSurvey(
            clip_files=len(clips),
            clip_bytes=sum(clips),
            segment_files=len(segments),
            segment_bytes=sum(segments),
            pending_files=pending,
            live_files=len(live),
            quarantine_files=len(aside),
            outbox_rows=rows.get("outbox", 0),
            gap_rows=rows.get("gaps", 0),
        )

    def events(self, page: CameraEventsPage) -> NodeEvents:
        """See `CameraFootage.events`.

        Raises:
            InputError: It is no id.
            StorageError: The camera's file cannot be read now.
        """
        camera = CameraId(parse_id(page.camera_id, field="camera_id"))
        known = [event for event in self._index.known_events(camera) if event.event_id > page.after_event_id]
        return NodeEvents(
            tuple(
                NodeEvent(event.event_id, self._node_id, event.started_us, event.last_seen_us)
                for event in known[:_PAGE_EVENTS]
            )
        )

    def purge(self, camera_id: str, progress: ProgressSink) -> None:
        """See `CameraFootage.purge`. Files first, the camera's own file next, marks after it, the lock last.

        Raises:
            InputError: It is no id.
            UnavailableError: A process of the camera lives, a clip of it is being made, or a media folder is not
                there now; try again.
            StorageError: Something cannot be removed now; try again.
        """
        camera = CameraId(parse_id(camera_id, field="camera_id"))
        expect_media_folders(self._data_dir)
        with self._gate.closed(camera, _GATE_PATIENCE_S), self._locked(camera) as lock:
            for event in self._index.known_events(camera):
                release_pins(self._data_dir, event.event_id)
            for folder in CAMERA_FOLDERS:
                remove_tree(self._data_dir / folder / camera, progress)
                failpoint("camera_purge.after_folder")
            for path in self._moved_aside(camera):
                remove_tree(path, progress)
            # A file that somebody has open keeps its place on the disk, and what is in it.
            self._index.forget(camera)
            self._remove_own_file(camera)
            failpoint("camera_purge.before_marks")
            # Its rows are gone, so nothing of it can be handed over any more; what waits in memory goes now.
            self._forget_camera(camera)
            with translated("remove the lock of a camera"):
                lock.unlink(missing_ok=True)
            fsync_dir(lock.parent)

    def remains(self, camera_id: str) -> CameraRemains:
        """See `CameraFootage.remains`.

        Raises:
            InputError: It is no id.
            UnavailableError: A media folder is not there now; try again.
            StorageError: A folder cannot be read now.
        """
        camera = CameraId(parse_id(camera_id, field="camera_id"))
        expect_media_folders(self._data_dir)
        places = [self._data_dir / folder / camera for folder in CAMERA_FOLDERS]
        found = [path for path in places if os.path.lexists(path)] + self._moved_aside(camera)
        with translated("look for what is left of a camera"):
            found += sorted((self._data_dir / "node").glob(f"{camera}*"))
        names = [path.relative_to(self._data_dir).as_posix() for path in found]
        names += [f"relay.db: event {event_id}" for event_id in self._marks.events_of(camera)]
        return CameraRemains(len(names), tuple(names[:_EXAMPLES]))

    def _moved_aside(self, camera: CameraId) -> list[Path]:
        """What of a camera lies in quarantine, as `<batch>/<folder>/<camera>...`."""
        roots = [self._data_dir / QUARANTINE, *(self._data_dir / name / OWN_QUARANTINE for name in MEDIA_FOLDERS)]
        with translated("look into quarantine"):
            return [path for root in roots for path in sorted(root.glob(f"*/*/{camera}*"))]

    def _remove_own_file(self, camera: CameraId) -> None:
        """The database before its log and index: a log without its database is harmless, not the other way round."""
        path = camera_db_path(self._data_dir, camera)
        with translated("remove the file of a camera"):
            for suffix in ("", "-wal", "-shm", "-journal"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        fsync_dir(path.parent)

    @contextmanager
    def _locked(self, camera: CameraId) -> Iterator[Path]:
        path = self._data_dir / "node" / f"{camera}.lock"
        try:
            descriptor = hold_lock(path, patience_s=_LOCK_PATIENCE_S)
        except ConflictError as error:
            raise UnavailableError("A process of this camera has not ended yet; its removal waits for that.") from error
        try:
            yield path
        finally:
            os.close(descriptor)


def _sizes(path: Path, progress: ProgressSink) -> list[int]:
    """Sizes of a file, or of all files below a folder; none where nothing is there."""
    sizes: list[int] = []
    with translated(f"count the files of {path.name}"):
        if path.is_file():
            return [path.lstat().st_size]
        for root, _, files in os.walk(path):
            for name in files:
                try:
                    sizes.append((Path(root) / name).lstat().st_size)
                except FileNotFoundError:  # a clip that was being made got its name
                    continue
                if len(sizes) % _TELL_EVERY == 0:
                    progress("count files", len(sizes), 0)
    return sizes


def remove_tree(path: Path, progress: ProgressSink) -> None:
    """Remove a folder with everything in it, durably; what is not there is no error. Links are removed, not followed.

    Raises:
        StorageError: Something cannot be removed now.
    """
    with translated(f"remove {path.name}"):
        if not os.path.lexists(path):
            _force_parent(path)  # an earlier attempt may have died before it did so
            return
        if S_ISDIR(path.lstat().st_mode):
            for number, entry in enumerate(_names(path)):
                if number % _TELL_EVERY == 0:
                    progress("remove files", number, 0)
                if entry.is_dir(follow_symlinks=False):
                    remove_tree(Path(entry.path), progress)
                else:
                    Path(entry.path).unlink(missing_ok=True)
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
    _force_parent(path)


def _force_parent(path: Path) -> None:
    if path.parent.is_dir():
        fsync_dir(path.parent)


def _names(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            return list(found)
    except FileNotFoundError:
        return []
