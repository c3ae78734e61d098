"""Third step of a backup, on each node: the clips and pictures of the events that the snapshot shows.

A removal takes the row of an event first and its files afterwards. So a file of the snapshot that is gone is of an
event whose row is gone by now, too: it was removed while the backup was made, and the backup says so and is without
it. A file that is gone although its row is there, or that is not as it was recorded, was damaged before: that is told,
and the rest is kept all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from iris.adapters.backup_files import VanishedError, hash_of, link_or_copy, private_dirs, size_of
from iris.adapters.media_files import translated
from iris.adapters.store_mark import expect_media_folders
from iris.base.errors import CorruptMediaError, InputError
from iris.base.failpoint import failpoint
from iris.outbox.check import read_camera_files, read_relay_file
from iris.pipeline.backup.database import read_events, read_json, read_state, write_json
from iris.pipeline.backup.footage import unfinished_events
from iris.pipeline.backup.layout import FileEntry, ListWriter, check_path, node_folder, read_list
from iris.ports import ProgressSink
from iris.store.backup import EventFiles

_STATE: Final = "clips.json"
_TELL_EVERY: Final = 200


@dataclass(slots=True)
class ClipsState:
    """What became of the events of a node.

    Attributes:
        deleted: Events removed meanwhile, with how many rows of other tables went with each.
        began: Unfinished events without footage in the backup, and whether each has a window that is not empty.
        damaged: Sentences about files that are not as recorded.
        linked: How many files share their bytes with the store.
        folders: Made already in this run of the step.
    """

    deleted: dict[str, dict[str, int]] = field(default_factory=dict)
    began: dict[str, bool] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    linked: int = 0
    folders: set[str] = field(default_factory=set)


def backup_clips(
    data_dir: Path, node_id: str, part: Path, exists: Callable[[str], bool], progress: ProgressSink
) -> None:
    """Give every clip and picture of a node's events a second name in the backup, or copy it. Goes on where it was.

    Args:
        data_dir: DATA_DIR of the node.
        node_id: The node.
        part: The folder of the unfinished backup.
        exists: Whether the main database has a row of an event now.
        progress: Told file by file.

    Raises:
        UnavailableError: A media folder is not there now.
        StorageError, StoreError: Something cannot be read or written now.
    """
    expect_media_folders(data_dir)
    folder = node_folder(part, node_id)
    _drop_deleted_cameras(folder, set(read_state(part).camera_ids))
    held = {event_id for camera in read_camera_files(folder) for event_id in unfinished_events(camera)}
    held -= read_relay_file(folder).terminal
    state = ClipsState()
    lists = ListWriter(folder / "lists" / "clips.jsonl")
    for number, event in enumerate(read_events(part, node_id), 1):
        if not event.terminal:
            if event.event_id not in held:
                state.began[event.event_id] = event.has_window
            continue
        entries = _Event(data_dir, folder, event, state).entries(exists)
        for entry in entries:
            lists.add(entry)
        if number % _TELL_EVERY == 0:
            failpoint("backup.among_clips")
            progress("clips and pictures", number, 0)
    lists.finish()
    write_json(folder / _STATE, {"deleted": state.deleted, "began": state.began, "damaged": state.damaged,
                                 "linked": state.linked})  # fmt: skip


def read_clips_state(part: Path, node_id: str) -> ClipsState:
    """What `backup_clips` found.

    Raises:
        StorageError: That step was not finished.
    """
    return ClipsState(**read_json(node_folder(part, node_id) / _STATE))


def remove_clips_state(part: Path, node_id: str) -> None:
    """Take that note out of a backup that is complete."""
    with translated("tidy the backup up"):
        (node_folder(part, node_id) / _STATE).unlink(missing_ok=True)


class _Event:
    def __init__(self, data_dir: Path, folder: Path, event: EventFiles, state: ClipsState) -> None:
        self._data_dir, self._folder, self._event, self._state = data_dir, folder, event, state

    def entries(self, exists: Callable[[str], bool]) -> list[FileEntry]:
        """The event's files in the backup; none where it was removed meanwhile."""
        found: list[FileEntry] = []
        problems: list[str] = []
        for file in self._event.files:
            try:
                path = self._prepared(file.path)
                linked = link_or_copy(self._data_dir / path, self._folder / path, file.size_bytes, file.sha256)
                self._state.linked += linked
                found.append(FileEntry(path, file.size_bytes, file.sha256))
            except (VanishedError, CorruptMediaError, InputError) as error:
                problems.append(f"event {self._event.event_id}: {error}")
        try:
            found += self._thumbnail()
        except (VanishedError, CorruptMediaError, InputError) as error:
            problems.append(f"event {self._event.event_id}: {error}")
        if problems and not exists(self._event.event_id):
            self._state.deleted[self._event.event_id] = dict(self._event.rows)
            with translated("leave a removed event out of the backup"):
                for entry in found:
                    (self._folder / entry.path).unlink(missing_ok=True)
            return []
        self._state.damaged += problems
        return found

    def _thumbnail(self) -> list[FileEntry]:
        if self._event.thumbnail_path is None:
            return []
        path = self._prepared(self._event.thumbnail_path)
        source = self._data_dir / path
        # Its row has neither size nor hash: what is there now is what it is.
        entry = FileEntry(path, size_of(source), hash_of(source))
        self._state.linked += link_or_copy(source, self._folder / path, entry.size_bytes, entry.sha256)
        return [entry]

    def _prepared(self, path: str) -> str:
        parent = check_path(path).rpartition("/")[0]
        if parent not in self._state.folders:
            private_dirs(self._folder, self._folder / parent)
            self._state.folders.add(parent)
        return path


def _drop_deleted_cameras(folder: Path, known: set[str]) -> None:
    """A camera that the snapshot does not show was deleted between the two steps: nothing of it stays."""
    for path in sorted((folder / "lists").glob("*-*.jsonl")):
        if path.stem in known:
            continue
        entries = list(read_list(path))
        with translated("leave a deleted camera out of the backup"):
            for entry in entries:
                (folder / entry.path).unlink(missing_ok=True)
            path.unlink()
