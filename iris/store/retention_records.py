"""The `RetentionRecords` port over the store: who has something to do, as the nodes' own signs of life say."""

from __future__ import annotations

from typing import Final

from iris.base.timebase import seconds_to_us
from iris.contracts.retention import RetentionNodes, RetentionStart
from iris.domain.storage import storage_report
from iris.ports import Clock
from iris.store.engine import Store

# A node signs every 5 s; what was said longer ago is not acted upon.
ALIVE_US: Final = seconds_to_us(60)


class StoreRetentionRecords:
    """Reads the signs of life of all nodes."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def plan(self, start: RetentionStart) -> RetentionNodes:
        """See `RetentionRecords.plan`.

        Raises:
            NotFoundError: There is no such operation.
            StoreError: Try again later.
        """
        since_us = self._clock.wall_us() - ALIVE_US
        with self._store.reading() as work:
            rows = work.system.nodes()
            asked = None if start.operation_id is None else work.operations.get(start.operation_id)
        alive = [row for row in rows if row.heartbeat_us >= since_us]
        reports = {row.node_id: storage_report(row.detail.get("storage")) for row in alive}
        wanting = [node_id for node_id, report in reports.items() if report is not None and report.wants_pass]
        return RetentionNodes(
            node_ids=tuple(reports) if asked is not None else tuple(wanting),
            silent_count=len(rows) - len(alive),
            confirmed=asked is not None and asked.request.get("confirmed") is True,
        )
