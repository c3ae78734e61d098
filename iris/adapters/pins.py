"""Pins: hard links of segments under `DATA_DIR/pending/<event_id>/`, so that pruning cannot take them.

A pin costs no copy. The folder also holds `thumbnail.jpg`, the best shot so far. `segments/` and `pending/` must lie
on one file system.
"""

from __future__ import annotations

import os
from pathlib import Path

from iris.adapters.media_files import fsync_dir, make_dir, storage_error, translated
from iris.base.ids import parse_id
from iris.domain.segment import Segment


def pending_dir(data_dir: Path, event_id: str) -> Path:
    """Where the pins of an event lie.

    Raises:
        InputError: `event_id` is no id.
    """
    return data_dir / "pending" / parse_id(event_id, field="event_id")


def pin_segment(data_dir: Path, event_id: str, segment: Segment) -> bool:
    """Keep a durable segment for an event; idempotent and durable when it returns.

    Returns:
        True where the pin is there now, False where the segment's file is gone already.

    Raises:
        StorageError: The link could not be made (another file system, no inode left).
    """
    source = data_dir / segment.path
    folder = pending_dir(data_dir, event_id)
    make_dir(folder)
    try:
        os.link(source, folder / source.name)
    except FileExistsError:
        return True  # made before; its fsync below may not have happened, so do it again
    except FileNotFoundError:
        return (folder / source.name).exists()
    except OSError as error:
        raise storage_error(error, f"keep {source.name} for an event") from error
    finally:
        fsync_dir(folder)
    return True


def release_pins(data_dir: Path, event_id: str) -> int:
    """Drop everything kept for an event, best shot included; idempotent.

    Returns:
        How many files were removed.

    Raises:
        StorageError: Something could not be removed.
    """
    folder = pending_dir(data_dir, event_id)
    if not folder.is_dir():
        return 0
    removed = 0
    with translated("release the footage kept for an event"):
        for file in list(folder.iterdir()):
            file.unlink(missing_ok=True)
            removed += 1
        folder.rmdir()
    fsync_dir(folder.parent)
    return removed


def pinned_files(data_dir: Path, event_id: str) -> dict[str, Path]:
    """Pinned segments of an event: base name of the segment to the pin's path; empty where there are none."""
    return {file.name: file for file in sorted(pending_dir(data_dir, event_id).glob("seg_*.mp4"))}


def pinned_events(data_dir: Path) -> set[str]:
    """Ids of events that have a folder under `pending/`."""
    folder = data_dir / "pending"
    return {entry.name for entry in folder.iterdir() if entry.is_dir()} if folder.is_dir() else set()


def is_pinned(path: Path) -> bool:
    """Whether an event holds on to a segment's file."""
    try:
        return path.stat().st_nlink > 1
    except OSError:
        return False
