"""The `OperationRecords` and `EventRemovals` ports over the store: one unit of work per call, each may be run twice."""

from __future__ import annotations

from iris.base.failpoint import failpoint
from iris.base.ids import NodeId
from iris.contracts.operations import OperationEnd, OperationProgress
from iris.contracts.removal import (
    BurialPlace,
    BuriedEvents,
    EntombedPage,
    EventDeletionStart,
    EventPlace,
    RemovedEvents,
)
from iris.ports import Clock
from iris.store.engine import Store
from iris.store.removals import PAGE_EVENTS


class StoreOperationRecords:
    """Progress and end of operations in the main database."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def progress(self, report: OperationProgress) -> None:
        """See `OperationRecords.progress`.

        Raises:
            NotFoundError: There is no such operation.
            StoreError: Try again later.
        """
        with self._store.writing() as work:
            work.operations.progress(report.operation_id, report.progress, self._clock.wall_us())

    def finish(self, end: OperationEnd) -> None:
        """See `OperationRecords.finish`.

        Raises:
            NotFoundError: There is no such operation.
            StoreError: Try again later.
        """
        with self._store.writing() as work:
            now_us = self._clock.wall_us()
            work.operations.finish(end.operation_id, now_us, result=end.result, failure=end.failure)


class StoreEventRemovals:
    """Removed events in the main database; every method raises `StoreError` where it is away."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def entomb_page(self, start: EventDeletionStart) -> EntombedPage:
        """See `EventRemovals.entomb_page`."""
        with self._store.writing() as work:
            page = work.removals.entomb_page(start.operation_id, self._clock.wall_us())
        failpoint("event_delete.after_tombstone")
        return page

    def waiting_nodes(self, operation_id: str) -> tuple[str, ...]:
        """See `EventRemovals.waiting_nodes`."""
        with self._store.reading() as work:
            return tuple(work.tombstones.waiting_nodes(operation_id))

    def waiting_files(self, place: BurialPlace) -> RemovedEvents:
        """See `EventRemovals.waiting_files`."""
        with self._store.reading() as work:
            stones = work.tombstones.unburied(
                node_id=NodeId(place.node_id), operation_id=place.operation_id, limit=PAGE_EVENTS
            )
        return RemovedEvents(tuple(EventPlace(stone.event_id, stone.camera_id) for stone in stones))

    def bury(self, buried: BuriedEvents) -> None:
        """See `EventRemovals.bury`."""
        failpoint("event_delete.before_bury")
        with self._store.writing() as work:
            now_us = self._clock.wall_us()
            before = work.operations.locked(buried.operation_id).progress.get("buried", 0)
            count = work.tombstones.bury(buried.event_ids, now_us)
            work.operations.progress(buried.operation_id, {"buried": before + count}, now_us)
