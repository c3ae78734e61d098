"""Holds: an event that must be kept, whatever deletes or evicts others."""

from __future__ import annotations

from sqlalchemy import Connection, func, update

from iris.base.ids import EventId
from iris.store.events import EventRepository, EventRow
from iris.store.tables import events


class HoldRepository:
    """Holds over one connection in a transaction; never commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._events = EventRepository(connection)

    def put(self, event_id: EventId, note: str, now_us: int) -> EventRow:
        """Hold an event; again changes only the note.

        Raises:
            NotFoundError: There is none of this id.
        """
        return self._set(event_id, hold_us=func.coalesce(events.c.hold_us, now_us), hold_note=note or None)

    def remove(self, event_id: EventId) -> EventRow:
        """Take the hold away; again changes nothing.

        Raises:
            NotFoundError: There is none of this id.
        """
        return self._set(event_id, hold_us=None, hold_note=None)

    def _set(self, event_id: EventId, **values: object) -> EventRow:
        self._connection.execute(update(events).where(events.c.event_id == event_id).values(**values))
        return self._events.get(event_id)
