"""What is kept for events that are not finished: `DATA_DIR/pending/<event_id>/`, pins and the best shot so far."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from iris.adapters.media_files import make_dir, publish, translated, unlink_durably
from iris.adapters.pins import pending_dir, pin_segment, pinned_files, release_pins
from iris.domain.segment import Segment

THUMBNAIL = "thumbnail.jpg"


class PendingFiles:
    """Files of the events of this data directory. Every method raises `StorageError` where the disk refuses."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def pin(self, event_id: str, segment: Segment) -> bool:
        """Keep a segment for an event; False where its file is gone already. Idempotent, durable."""
        return pin_segment(self._data_dir, event_id, segment)

    def pinned_names(self, event_id: str) -> frozenset[str]:
        """Base names of the segments kept for an event."""
        return frozenset(pinned_files(self._data_dir, event_id))

    def unpin(self, event_id: str, name: str) -> None:
        """Drop one segment of an event; idempotent, durable."""
        folder = pending_dir(self._data_dir, event_id)
        if folder.is_dir():
            unlink_durably(folder / name)

    def release(self, event_id: str) -> None:
        """Drop everything kept for an event; idempotent, durable."""
        release_pins(self._data_dir, event_id)

    def save_thumbnail(self, event_id: str, jpeg: bytes) -> None:
        """Replace the best shot: the old one or the new one is there at any moment."""
        folder = pending_dir(self._data_dir, event_id)
        make_dir(folder)
        temporary = folder / f"{THUMBNAIL}.part"
        with translated("write a thumbnail"):
            temporary.write_bytes(jpeg)
        publish(temporary, folder / THUMBNAIL)

    def has_thumbnail(self, event_id: str) -> bool:
        """Whether an event has a best shot."""
        return (pending_dir(self._data_dir, event_id) / THUMBNAIL).is_file()

    def disk_bytes(self) -> int:
        """Size of the whole disk."""
        with translated("read the size of the disk"):
            return shutil.disk_usage(self._data_dir).total

    def pinned_bytes(self) -> int:
        """What the pins of all cameras of this node hold; a segment of two events counts once."""
        sizes: dict[int, int] = {}
        root = self._data_dir / "pending"
        with translated("measure what is kept for events"):
            for folder in _entries(root):
                for entry in _entries(Path(folder.path)) if folder.is_dir(follow_symlinks=False) else []:
                    stat = entry.stat(follow_symlinks=False)
                    sizes[stat.st_ino] = stat.st_size
        return sum(sizes.values())


def _entries(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            return list(found)
    except FileNotFoundError:  # an event was finished meanwhile
        return []
