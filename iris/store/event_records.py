"""The `EventRecords` port over the store: one unit of work per call, so that an activity may be run twice."""

from __future__ import annotations

from iris.contracts.events import EventMessage, FinaliseEvent, RecordedEvent
from iris.ports import Clock
from iris.store.engine import Store


class StoreEventRecords:
    """Records and finalises events in the main database."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def record(self, message: EventMessage) -> RecordedEvent:
        """See `EventRecords.record`.

        Raises:
            StoreError: Try again later.
        """
        with self._store.writing() as work:
            return work.events.record(message, self._clock.wall_us())

    def finalise(self, request: FinaliseEvent) -> RecordedEvent:
        """See `EventRecords.finalise`.

        Raises:
            StoreError: Try again later.
        """
        with self._store.writing() as work:
            return work.events.finalise(request, self._clock.wall_us())
