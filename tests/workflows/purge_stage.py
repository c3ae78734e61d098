"""An orphan purge for real: a database, a data directory with files, both workers, on a Temporal server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client

from activities.operations import OperationActivities
from activities.orphans import OrphanActivities, PurgeActivities
from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.base.ids import NodeId
from iris.contracts.orphans import OrphanPurgeOutcome
from iris.contracts.workflows import OrphanPurgeWorkflow
from iris.domain.operation import OperationKind
from iris.store.operation_records import StoreOperationRecords
from iris.store.purge_records import StorePurgeRecords
from tests.builders.orphan_place import OrphanPlace
from tests.workflows.operation_stage import OperationStage
from workers.temporal_worker import iris_worker, node_worker


class PurgeStage(OperationStage[OrphanPurgeOutcome]):
    """One database and one data directory; the node's id is its own, so that tests share a Temporal server."""

    def __init__(self, client: Client, address: str, folder: Path) -> None:
        self.node_id = Uuid7Source().new_id()
        self.place = OrphanPlace(folder, self.node_id)
        self.place.finished(1)
        super().__init__(client, address, self.place.store, OperationKind.ORPHAN_PURGE, OrphanPurgeWorkflow.run)
        self.sign_of_life()

    def sign_of_life(self, node_id: str | None = None, *, ago_s: int = 0) -> None:
        """A node's heartbeat."""
        now_us = SystemClock().wall_us() - ago_s * 1_000_000
        with self.place.store.writing() as work:
            work.system.node_seen(NodeId(node_id or self.node_id), now_us, {})

    async def ask(self, *, dry_run: bool, max_share: float | None = None) -> None:
        """As the api does."""
        row = self.ask_for({"dry_run": dry_run, "max_share": max_share, "trigger": "request"})
        await self.starter.start(row.task())

    @asynccontextmanager
    async def everything(self) -> AsyncIterator[None]:
        """Both workers."""
        store = self.place.store
        database = [
            PurgeActivities(StorePurgeRecords(store, SystemClock(), Uuid7Source())),
            OperationActivities(StoreOperationRecords(store, SystemClock())),
        ]
        files = OrphanActivities(self.place.orphans)
        async with iris_worker(self.client, database), node_worker(self.client, self.node_id, [files]):
            yield
