"""Retention for real: a database, real files, an evictor per node, both workers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

from temporalio.client import Client

from activities.operations import OperationActivities
from activities.retention import EvictionActivities, RetentionActivities
from iris.adapters.id_source import Uuid7Source
from iris.base.ids import NodeId
from iris.contracts.retention import RetentionResult, RetentionStart
from iris.contracts.workflows import RetentionWorkflow
from iris.domain.operation import OperationKind
from iris.domain.storage import StorageReport
from iris.retention.policy import RetentionPolicy
from iris.store.engine import open_store, sqlite_url
from iris.store.migrate import migrate
from iris.store.operation_records import StoreOperationRecords
from iris.store.operations import OperationRow
from iris.store.retention_records import StoreRetentionRecords
from tests.builders.kept_footage import KeptFootage
from tests.workflows.operation_stage import OperationStage
from workers.temporal_worker import iris_worker, node_worker


class RetentionStage(OperationStage[RetentionResult]):
    """One node with footage; its id is its own, so that tests share a Temporal server."""

    def __init__(self, client: Client, address: str, folder: Path) -> None:
        data_dir = folder / "data"
        data_dir.mkdir()
        migrate(sqlite_url(folder / "vms.db"))
        store = open_store(sqlite_url(folder / "vms.db"))
        super().__init__(client, address, store, OperationKind.RETENTION, RetentionWorkflow.run)
        self.footage = KeptFootage(
            self.store, data_dir, RetentionPolicy(max_age_days=7), node_id=NodeId(Uuid7Source().new_id())
        )  # fmt: skip
        self.clock = self.footage.clock

    def sign_of_life(self, *, wants_pass: bool = True, node_id: str | None = None, age_s: float = 0.0) -> None:
        """The node's heartbeat."""
        detail = {"storage": asdict(StorageReport(disk=self.footage.disk(), wants_pass=wants_pass))}
        at_us = self.clock.wall_us() - round(age_s * 1e6)
        with self.store.writing() as work:
            work.system.node_seen(NodeId(node_id or self.footage.node_id), at_us, detail)

    def ask(self, *, confirmed: bool = False) -> OperationRow:
        """Ask for a pass."""
        return self.ask_for({"confirmed": confirmed})

    async def start(self) -> None:
        """See `start_asked_or`."""
        await self.start_asked_or(RetentionStart())

    @asynccontextmanager
    async def iris(self) -> AsyncIterator[None]:
        """The worker of queue `iris`."""
        families = [
            RetentionActivities(StoreRetentionRecords(self.store, self.clock)),
            OperationActivities(StoreOperationRecords(self.store, self.clock)),
        ]
        async with iris_worker(self.client, families):
            yield

    @asynccontextmanager
    async def node(self) -> AsyncIterator[None]:
        """The worker of the node."""
        async with node_worker(self.client, self.footage.node_id, [EvictionActivities(self.footage.evictor)]):
            yield
