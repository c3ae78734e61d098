"""Retention for real: a database, real files, an evictor per node, both workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle

from activities.operations import OperationActivities
from activities.retention import EvictionActivities, RetentionActivities
from iris.adapters.id_source import Uuid7Source
from iris.adapters.operation_starter import TemporalOperationStarter
from iris.adapters.temporal import TemporalLink
from iris.base.ids import NodeId
from iris.contracts.names import operation_workflow_id
from iris.contracts.retention import RetentionResult, RetentionStart
from iris.contracts.workflows import RetentionWorkflow
from iris.domain.operation import OperationKind
from iris.domain.storage import StorageReport
from iris.retention.policy import RetentionPolicy
from iris.store.engine import open_store, sqlite_url
from iris.store.migrate import migrate
from iris.store.operation_records import StoreOperationRecords
from iris.store.operations import OperationDraft, OperationRow
from iris.store.retention_records import StoreRetentionRecords
from tests.builders.kept_footage import KeptFootage
from workers.temporal_worker import iris_worker, node_worker


class RetentionStage:
    """One node with footage; its id is its own, so that tests share a Temporal server."""

    def __init__(self, client: Client, address: str, folder: Path) -> None:
        self.client = client
        data_dir = folder / "data"
        data_dir.mkdir()
        migrate(sqlite_url(folder / "vms.db"))
        self.store = open_store(sqlite_url(folder / "vms.db"))
        ids = Uuid7Source()
        self.operation_id = ids.new_id()
        self.workflow_id = operation_workflow_id("retention", self.operation_id)
        self.footage = KeptFootage(
            self.store, data_dir, RetentionPolicy(max_age_days=7), node_id=NodeId(ids.new_id())
        )  # fmt: skip
        self.clock = self.footage.clock
        self.starter = TemporalOperationStarter(TemporalLink(address, identity="iris-test"))

    def sign_of_life(self, *, wants_pass: bool = True, node_id: str | None = None, age_s: float = 0.0) -> None:
        """The node's heartbeat."""
        detail = {"storage": asdict(StorageReport(disk=self.footage.disk(), wants_pass=wants_pass))}
        at_us = self.clock.wall_us() - round(age_s * 1e6)
        with self.store.writing() as work:
            work.system.node_seen(NodeId(node_id or self.footage.node_id), at_us, detail)

    def ask(self, *, confirmed: bool = False) -> OperationRow:
        """Ask for a pass, as the api does."""
        draft = OperationDraft(
            operation_id=self.operation_id, kind=OperationKind.RETENTION, workflow_id=self.workflow_id,
            request={"confirmed": confirmed},
        )  # fmt: skip
        with self.store.writing() as work:
            return work.operations.ask(draft, self.clock.wall_us())

    async def start(self) -> None:
        """By the operation if there is one, else as the schedule does."""
        with self.store.reading() as work:
            asked = {row.operation_id: row for row in work.operations.unfinished()}.get(self.operation_id)
        if asked is not None:
            await self.starter.start(asked.task())
            return
        await self.client.start_workflow(
            RetentionWorkflow.run, RetentionStart(), id=self.workflow_id, task_queue="iris"
        )  # fmt: skip

    @property
    def operation(self) -> OperationRow:
        """The operation now."""
        with self.store.reading() as work:
            return work.operations.get(self.operation_id)

    @property
    def handle(self) -> WorkflowHandle[Any, RetentionResult]:
        """The workflow."""
        return self.client.get_workflow_handle_for(RetentionWorkflow.run, self.workflow_id)

    async def result(self, seconds: float = 30.0) -> RetentionResult:
        """The workflow's result."""
        async with asyncio.timeout(seconds):
            return await self.handle.result()

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
