"""Activities of retention. Idempotent: a pass looks at what is there, and finishes what an earlier one began."""

from __future__ import annotations

from temporalio import activity

from activities.heartbeat import errors_told, tell_progress
from iris.contracts import names
from iris.contracts.retention import EvictedEvents, EvictEvents, RetentionNodes, RetentionStart
from iris.ports import EventEvictor, RetentionRecords


class RetentionActivities:
    """Over the main database; queue `iris`."""

    def __init__(self, records: RetentionRecords) -> None:
        self._records = records

    @activity.defn(name=names.ACTIVITY_PLAN_RETENTION, no_thread_cancel_exception=True)
    def plan_retention(self, start: RetentionStart) -> RetentionNodes:
        """Which nodes have something to do."""
        with errors_told():
            return self._records.plan(start)


class EvictionActivities:
    """Over the events and the disk of one node; its own queue."""

    def __init__(self, evictor: EventEvictor) -> None:
        self._evictor = evictor

    @activity.defn(name=names.ACTIVITY_EVICT_EVENTS, no_thread_cancel_exception=True)
    def evict_events(self, request: EvictEvents) -> EvictedEvents:
        """One pass, or the next part of a long one."""
        with errors_told():
            return self._evictor.run(request, tell_progress)
