"""What one look at a system sees, read once and shared by all rules: rows, outboxes, marks of the relay.

Memory: an id or a path per event, about 50 MB for 100,000 events; the command is not part of a running Iris.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from iris.outbox.check import CameraFile, RelayFile, read_camera_files, read_relay_file
from iris.store.check_removals import Removals, read_removals
from iris.store.engine import Store
from iris.store.events import EventRow


@dataclass(frozen=True, slots=True)
class CheckTask:
    """What to check. `newest_media` clips are read and decoded; `full` reads all and decodes every frame."""

    store: Store
    data_dir: Path
    event_max_us: int
    now_us: Callable[[], int]
    full: bool = False
    newest_media: int = 200


@dataclass(slots=True)
class View:
    """What one look at the system saw. The sets of events are filled by `workers.check.clips`."""

    cameras: list[CameraFile]
    relay: RelayFile
    removals: Removals
    node_id: str | None
    known: dict[str, EventRow] = field(default_factory=dict)  # not terminal
    terminal: set[str] = field(default_factory=set)
    clip_paths: set[str] = field(default_factory=set)
    thumbnail_paths: set[str] = field(default_factory=set)

    def in_outbox(self, event_id: str) -> bool:
        """Whether the node still has work with an event."""
        return event_id not in self.relay.terminal and any(
            event_id in camera.outbox or event_id in camera.open_event_ids or event_id in camera.closed_windows
            for camera in self.cameras
        )

    def unfinished(self, event_id: str) -> bool:
        """Whether something may still happen to an event's files."""
        return event_id in self.known or event_id in self.removals.unburied or self.in_outbox(event_id)

    def being_removed(self, camera_id: str) -> bool:
        """Whether a deletion or purge of this camera's footage is under way: its files go now."""
        return camera_id in self.removals.cameras_under_way


def read_view(task: CheckTask) -> View:
    """Everything but the events.

    Raises:
        StoreError: The database is unreachable.
    """
    # Files of the node first: what they hold back is in the database before it leaves them.
    cameras, relay = read_camera_files(task.data_dir), read_relay_file(task.data_dir)
    node_id = task.data_dir / "node" / "id"
    return View(
        cameras,
        relay,
        read_removals(task.store),
        node_id.read_text("utf-8").strip() if node_id.is_file() else None,
    )
