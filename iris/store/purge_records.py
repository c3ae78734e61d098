"""What `activities.orphans` needs of the store: the operation of an orphan purge, and the nodes that answer."""

from __future__ import annotations

from typing import Any, Final

from iris.base.timebase import US_PER_S, format_rfc3339
from iris.contracts.orphans import BeginPurge, PurgePlan
from iris.domain.operation import OperationKind
from iris.ports import Clock, IdSource
from iris.store.engine import Store
from iris.store.operations import OperationDraft

# A node writes a sign of life every 5 s; one that is silent for longer is not waited for.
_SILENT_US: Final = 120 * US_PER_S


class StorePurgeRecords:
    """Over the operations and nodes of the main database."""

    def __init__(self, store: Store, clock: Clock, ids: IdSource) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    def begin(self, begin: BeginPurge) -> PurgePlan:
        """See `PurgeRecords.begin`; the operation of a run is found by its workflow's id.

        Raises:
            StoreError: Try again later.
        """
        now_us = self._clock.wall_us()
        draft = OperationDraft(
            operation_id=self._ids.new_id(),
            kind=OperationKind.ORPHAN_PURGE,
            workflow_id=begin.workflow_id,
            request={"dry_run": False, "max_share": None, "trigger": begin.trigger},
        )
        with self._store.writing() as work:
            row = work.operations.ask(draft, now_us)
            work.operations.progress(row.operation_id, {"step": "looking for files that belong to nothing"}, now_us)
            nodes = work.system.nodes()
        silent = {node.node_id for node in nodes if abs(now_us - node.heartbeat_us) > _SILENT_US}
        return PurgePlan(
            operation_id=row.operation_id,
            # Of the day it was asked for, so that a repeated step finds the same folder.
            batch=f"{format_rfc3339(row.created_us)[:10]}-{row.operation_id}",
            dry_run=bool(row.request.get("dry_run")),
            max_share=_share(row.request.get("max_share")),
            node_ids=tuple(node.node_id for node in nodes if node.node_id not in silent),
            silent_node_ids=tuple(sorted(silent)),
        )


def _share(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
