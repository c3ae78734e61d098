"""The `EventRecords` port over the store: one unit of work per call, so that an activity may be run twice."""

from __future__ import annotations

from iris.base.errors import NotFoundError
from iris.base.ids import EventId
from iris.contracts.events import EventMessage, FinaliseEvent, RecordedEvent
from iris.ports import Clock, IdSource
from iris.store.engine import Repositories, Store
from iris.store.event_notices import KIND_EVENT_FINISHED, event_notice
from iris.store.events import EventRow
from iris.store.notifications import NotificationDraft


class StoreEventRecords:
    """Records and finalises events in the main database."""

    def __init__(self, store: Store, clock: Clock, notice_ids: IdSource | None = None) -> None:
        """Over a store.

        Args:
            store: The main database.
            clock: For the times of rows.
            notice_ids: Mints ids of notifications; None where nobody is to be notified.
        """
        self._store = store
        self._clock = clock
        self._notice_ids = notice_ids

    def record(self, message: EventMessage) -> RecordedEvent:
        """See `EventRecords.record`.

        Raises:
            StoreError: Try again later.
        """
        with self._store.writing() as work:
            return work.events.record(message, self._clock.wall_us())

    def finalise(self, request: FinaliseEvent) -> RecordedEvent:
        """See `EventRecords.finalise`; a notification is written with the end of the event, or not at all.

        Raises:
            StoreError: Try again later.
        """
        event_id, now_us = EventId(request.message.event_id), self._clock.wall_us()
        with self._store.writing() as work:
            before = _row(work, event_id) if self._notice_ids is not None else None
            recorded = work.events.finalise(request, now_us)
            # What was finished before was finished without a receiver, or has its notification already.
            if self._notice_ids is not None and not (before is not None and before.state.terminal):
                self._notify(work, event_id, self._notice_ids, now_us)
            return recorded

    @staticmethod
    def _notify(work: Repositories, event_id: EventId, ids: IdSource, now_us: int) -> None:
        row = _row(work, event_id)
        if row is None or not row.state.terminal:
            return  # it was removed meanwhile: nothing is to be told of it
        try:
            name = work.cameras.get(row.camera_id).name
        except NotFoundError:
            name = None
        draft = NotificationDraft(
            notification_id=ids.new_id(), kind=KIND_EVENT_FINISHED, event_id=event_id, body=event_notice(row, name)
        )
        work.notifications.add(draft, now_us)


def _row(work: Repositories, event_id: EventId) -> EventRow | None:
    try:
        return work.events.get(event_id)
    except NotFoundError:
        return None
