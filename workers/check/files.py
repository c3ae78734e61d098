"""Rules of files: each has a row or an unfinished event that explains it (rules 3 and 6, and the segments)."""

from __future__ import annotations

from pathlib import Path

from iris.adapters.media_files import sha256_of
from iris.adapters.media_walk import MediaFile, walk_media
from iris.base.errors import StorageError
from workers.check.view import CheckTask, View
from workers.check_report import Findings


def published_files(task: CheckTask, view: View, found: Findings) -> None:
    """Rule 3, for clips and for thumbnails."""
    found.rule("orphan", "each file of clips and thumbnails belongs to an event")
    for folder, rows in (("recordings", view.clip_paths), ("thumbnails", view.thumbnail_paths)):
        for file in _walk(task, folder, "orphan", found):
            found.looked("orphan")
            event_id = file.name.partition(".")[0]
            # A published file may wait for its row while the worker or Temporal is away, a .part is being made.
            if file.path in rows or view.unfinished(event_id) or view.being_removed(file.parent):
                continue
            if event_id in view.removals.buried:
                found.problem("tombstone", f"{file.path} is there, but its event was removed and its files were, too")
            else:
                found.problem("orphan", f"{file.path} belongs to no event")


def _walk(task: CheckTask, folder: str, rule: str, found: Findings) -> list[MediaFile]:
    """What lies in a media folder and should be ours, by name: what a repair sees, and no more."""
    try:
        return sorted(walk_media(task.data_dir, folder, whole_folders=folder == "pending"), key=lambda file: file.path)
    except StorageError as error:
        found.problem(rule, str(error))
        return []


def kept_footage(task: CheckTask, view: View, found: Findings) -> None:
    """Rule 6."""
    found.rule("pending", "footage is kept only for events that still need it")
    for entry in _walk(task, "pending", "pending", found):
        found.looked("pending")
        if not view.unfinished(entry.name):
            why = "is finished and released" if entry.name in view.terminal else "is not known"
            found.problem("pending", f"{entry.path} is kept, but its event {why}")


def segments(task: CheckTask, view: View, found: Findings) -> None:
    """Each durable row of a segment index has its file, each file its row."""
    found.rule("segment", f"segment index and files agree{'' if task.full else ' (sizes; --full reads all bytes)'}")
    indexed: set[str] = set()
    for camera in view.cameras:
        for row in camera.segments:
            found.looked("segment")
            indexed.add(row.path)
            # Written to the end and renamed, but its process was killed before the row: the next start adopts it.
            indexed.add(row.path.removesuffix(".part"))
            if row.state != "durable" or view.being_removed(camera.camera_id):
                continue
            text = _segment_problem(task, task.data_dir / row.path, row.size_bytes, row.sha256)
            if text is not None:
                found.problem("segment", f"{row.path} {text}")
    for file in _walk(task, "segments", "segment", found):
        if file.path not in indexed and not view.being_removed(file.parent):
            found.problem("segment", f"{file.path} is in no index")


def _segment_problem(task: CheckTask, path: Path, size_bytes: int | None, sha256: str | None) -> str | None:
    try:
        size = path.stat().st_size
        if size != size_bytes:
            return f"has {size} bytes, the index says {size_bytes}"
        if task.full and sha256_of(path) != sha256:
            return "has other bytes than the index says"
    except FileNotFoundError:
        return "is in the index, but the file is missing"
    except (OSError, StorageError) as error:
        return f"cannot be read: {error}"
    return None
