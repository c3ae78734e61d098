"""An outbox in memory, with the numbering of a camera's file."""

from __future__ import annotations

from iris.base.errors import StorageError
from iris.base.ids import CameraId
from iris.contracts.events import EventMessage
from iris.domain.event import OpenEvent


class FakeOutbox:
    """Implements `iris.ports.OutboxReader`; `unreadable` cameras fail as a broken file does."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[int, EventMessage]]] = {}
        self.unreadable: set[str] = set()

    def write(self, *messages: EventMessage) -> None:
        for message in messages:
            rows = self.rows.setdefault(message.camera_id, [])
            rows.append((len(rows) + 1, message))

    def camera_ids(self) -> list[CameraId]:
        return [CameraId(camera_id) for camera_id in sorted(self.rows)]

    def rows_after(self, camera_id: CameraId, row_id: int, limit: int) -> list[tuple[int, EventMessage]]:
        if camera_id in self.unreadable:
            raise StorageError("the file cannot be read")
        return [row for row in self.rows.get(camera_id, []) if row[0] > row_id][:limit]

    def rows_of_event(self, camera_id: CameraId, event_id: str) -> list[tuple[int, EventMessage]]:
        return [row for row in self.rows.get(camera_id, []) if row[1].event_id == event_id]

    def open_events(self, camera_id: CameraId) -> list[OpenEvent]:
        return []
