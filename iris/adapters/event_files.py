"""Removes the files of events that were removed: clips, thumbnails, what was kept for them, and anything half-made.

The database says first that they go (a tombstone), so nothing here asks whether they may. A clip that is being
watched is read to its end through the descriptor that is open.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from iris.adapters.media_files import fsync_dir, translated
from iris.adapters.pins import release_pins
from iris.adapters.store_mark import expect_media_folders
from iris.base.failpoint import failpoint
from iris.base.ids import parse_id
from iris.contracts.removal import PurgedFiles, RemovedEvents
from iris.ports import ProgressSink

# Often enough for a heartbeat, seldom enough to cost nothing.
_TELL_EVERY: Final = 20
# File names begin with the event's id; ids are of one length, so none is the beginning of another.
_ID_LENGTH: Final = 36


class DiskEventFiles:
    """Implements `EventFiles` over one data directory; any thread."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def purge(self, removed: RemovedEvents, progress: ProgressSink) -> PurgedFiles:
        """See `EventFiles.purge`: every file unlinked, then each folder forced to disk once.

        Folders are forced also where nothing was found: an earlier attempt may have died between the two.

        Raises:
            InputError: An id is none; nothing was removed.
            UnavailableError: A media folder is not there now, so that nothing in it can be removed; try again.
            StorageError: Something could not be removed; try again.
        """
        for place in removed.events:
            parse_id(place.event_id, field="event_id")
            parse_id(place.camera_id, field="camera_id")
        expect_media_folders(self._data_dir)
        file_count = size_bytes = 0
        found = self._files_by_event(removed)
        for number, place in enumerate(removed.events):
            for path in found.get(place.event_id, ()):
                file_count += 1
                size_bytes += _unlink(path)
            file_count += release_pins(self._data_dir, place.event_id)
            failpoint("event_delete.after_unlink")
            if number % _TELL_EVERY == 0:
                progress("remove files", number, len(removed.events))
        cameras = {self._data_dir / "recordings" / place.camera_id for place in removed.events}
        for folder in sorted({*cameras, self._data_dir / "thumbnails", self._data_dir / "pending"}):
            if folder.is_dir():
                fsync_dir(folder)
        return PurgedFiles(file_count, size_bytes)

    def _files_by_event(self, removed: RemovedEvents) -> dict[str, list[Path]]:
        """Clips and thumbnails with what is half-made; each folder is read once, however many events it holds."""
        wanted = {place.event_id for place in removed.events}
        cameras = {place.camera_id for place in removed.events}
        found: dict[str, list[Path]] = {}
        with translated("look for the files of an event"):
            for folder in (
                *(self._data_dir / "recordings" / camera for camera in cameras),
                self._data_dir / "thumbnails",
            ):
                if not folder.is_dir():
                    continue
                with os.scandir(folder) as entries:
                    for entry in entries:
                        event_id = entry.name[:_ID_LENGTH]
                        if event_id in wanted:
                            found.setdefault(event_id, []).append(Path(entry.path))
        return found


def _unlink(path: Path) -> int:
    """Remove a file that may be gone already; its size in bytes."""
    with translated(f"remove {path.name}"):
        try:
            size_bytes = path.lstat().st_size
            path.unlink()
        except FileNotFoundError:
            return 0
        return size_bytes
