"""An orphan purge for real: a database, a data directory with files, both workers, on a Temporal server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle

from activities.operations import OperationActivities
from activities.orphans import OrphanActivities, PurgeActivities
from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.operation_starter import TemporalOperationStarter
from iris.adapters.temporal import TemporalLink
from iris.base.ids import NodeId
from iris.contracts.names import operation_workflow_id
from iris.contracts.orphans import OrphanPurgeOutcome
from iris.contracts.workflows import OrphanPurgeWorkflow
from iris.domain.operation import OperationKind
from iris.store.operation_records import StoreOperationRecords
from iris.store.operations import OperationDraft, OperationRow
from iris.store.purge_records import StorePurgeRecords
from tests.builders.orphan_place import OrphanPlace
from workers.temporal_worker import iris_worker, node_worker


class PurgeStage:
    """One database and one data directory; the node's id is its own, so that tests share a Temporal server."""

    def __init__(self, client: Client, address: str, folder: Path) -> None:
        self.client = client
        ids = Uuid7Source()
        self.node_id = ids.new_id()
        self.operation_id = ids.new_id()
        self.place = OrphanPlace(folder, self.node_id)
        self.place.finished(1)
        self.link = TemporalLink(address, identity="iris-test")
        self.sign_of_life()

    def sign_of_life(self, node_id: str | None = None, *, ago_s: int = 0) -> None:
        """A node's heartbeat."""
        now_us = SystemClock().wall_us() - ago_s * 1_000_000
        with self.place.store.writing() as work:
            work.system.node_seen(NodeId(node_id or self.node_id), now_us, {})

    @property
    def workflow_id(self) -> str:
        """Of the run that a person asks for."""
        return operation_workflow_id(OperationKind.ORPHAN_PURGE.value, self.operation_id)

    async def ask(self, *, dry_run: bool, max_share: float | None = None) -> None:
        """As the api does."""
        draft = OperationDraft(
            operation_id=self.operation_id, kind=OperationKind.ORPHAN_PURGE, workflow_id=self.workflow_id,
            request={"dry_run": dry_run, "max_share": max_share, "trigger": "request"},
        )  # fmt: skip
        with self.place.store.writing() as work:
            row = work.operations.ask(draft, SystemClock().wall_us())
        await TemporalOperationStarter(self.link).start(row.task())

    @property
    def operation(self) -> OperationRow:
        """The operation now."""
        with self.place.store.reading() as work:
            return work.operations.get(self.operation_id)

    @property
    def handle(self) -> WorkflowHandle[Any, OrphanPurgeOutcome]:
        """The workflow that a person asked for."""
        return self.client.get_workflow_handle_for(OrphanPurgeWorkflow.run, self.workflow_id)

    async def result(self, seconds: float = 60.0) -> OrphanPurgeOutcome:
        """The workflow's result."""
        async with asyncio.timeout(seconds):
            return await self.handle.result()

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
