"""Activities of queue `iris`: the main database's side of an event. Idempotent because the repository is."""

from __future__ import annotations

from temporalio import activity

from activities.heartbeat import errors_told
from iris.contracts import names
from iris.contracts.events import EventMessage, FinaliseEvent, RecordedEvent
from iris.ports import EventRecords


class EventActivities:
    """Over the events of the main database; threads share one instance."""

    def __init__(self, records: EventRecords) -> None:
        self._records = records

    @activity.defn(name=names.ACTIVITY_RECORD_EVENT, no_thread_cancel_exception=True)
    def record_event(self, message: EventMessage) -> RecordedEvent:
        """Insert or update the event's row."""
        with errors_told():
            return self._records.record(message)

    @activity.defn(name=names.ACTIVITY_FINALISE_EVENT, no_thread_cancel_exception=True)
    def finalise_event(self, request: FinaliseEvent) -> RecordedEvent:
        """Terminal state, clip rows and gaps."""
        with errors_told():
            return self._records.finalise(request)
