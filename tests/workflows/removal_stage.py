"""Removing events for real: a database, a data directory with files, both workers; one node unless a test has more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.client import Client

from activities.operations import OperationActivities
from activities.removal import EventFileActivities, RemovalActivities
from iris.adapters.clock import SystemClock
from iris.adapters.event_files import DiskEventFiles
from iris.adapters.id_source import Uuid7Source
from iris.base.ids import EventId
from iris.contracts.names import event_deletion_workflow_id
from iris.contracts.removal import EventDeletionResult, EventDeletionStart
from iris.contracts.workflows import EventDeletionWorkflow
from iris.domain.operation import OperationKind
from iris.store.engine import open_store, sqlite_url
from iris.store.migrate import migrate
from iris.store.operation_records import StoreEventRemovals, StoreOperationRecords
from iris.store.operations import OperationRow
from iris.store.removals import EventSelection
from tests.builders.events import event_message, finalise_request, uuid_of
from tests.workflows.operation_stage import OperationStage
from workers.temporal_worker import iris_worker, node_worker


class RemovalStage(OperationStage[EventDeletionResult]):
    """One database and one data directory; ids of nodes are its own, so that tests share a Temporal server."""

    def __init__(self, client: Client, address: str, folder: Path, nodes: int = 1) -> None:
        self.data_dir = folder / "data"
        self.data_dir.mkdir(exist_ok=True)
        migrate(sqlite_url(folder / "vms.db"))
        store = open_store(sqlite_url(folder / "vms.db"))
        super().__init__(client, address, store, OperationKind.EVENT_DELETION, EventDeletionWorkflow.run)
        self.workflow_id = event_deletion_workflow_id(self.operation_id)
        self.clock = SystemClock()
        ids = Uuid7Source()
        self.node_ids = [ids.new_id() for _ in range(nodes)]

    def finished_event(self, number: int, node: int = 0) -> str:
        """An event with a clip, a thumbnail and, as if it had not been released yet, a pin."""
        request = finalise_request(number, node_id=self.node_ids[node])
        with self.store.writing() as work:
            work.events.finalise(request, number)
        event_id = request.message.event_id
        for name in (
            *(file.path for file in request.clip.files),
            request.thumbnail_path,
            f"pending/{event_id}/seg_1.mp4",
        ):
            path = self.data_dir / str(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 1000)
        return event_id

    def open_event(self, number: int) -> str:
        """An event that is not finished."""
        message = event_message(number, node_id=self.node_ids[0])
        with self.store.writing() as work:
            work.events.record(message, number)
        return message.event_id

    def hold(self, number: int) -> None:
        """Put event `number` on hold."""
        with self.store.writing() as work:
            work.holds.put(EventId(uuid_of(number)), "court", 1)

    def ask(self, selection: EventSelection | None = None) -> OperationRow:
        """Ask for a deletion, as the api does."""
        return self.ask_for((selection or EventSelection()).request())

    async def start(self, pages_per_run: int | None = None) -> None:
        """Start the workflow as the api does, or with another length of its runs."""
        if pages_per_run is None:
            await self.starter.start(self.operation.task())
            return
        start = EventDeletionStart(self.operation_id, pages_per_run)
        await self.client.start_workflow(EventDeletionWorkflow.run, start, id=self.workflow_id, task_queue="iris")

    def files(self) -> set[str]:
        """Every file of the data directory."""
        found = (path for path in self.data_dir.rglob("*") if path.is_file())
        return {path.relative_to(self.data_dir).as_posix() for path in found}

    def unburied(self) -> int:
        """Removed events whose files may exist."""
        with self.store.reading() as work:
            return len(work.tombstones.unburied())

    @asynccontextmanager
    async def iris(self) -> AsyncIterator[None]:
        """The worker of queue `iris`."""
        families = [
            RemovalActivities(StoreEventRemovals(self.store, self.clock)),
            OperationActivities(StoreOperationRecords(self.store, self.clock)),
        ]
        async with iris_worker(self.client, families):
            yield

    @asynccontextmanager
    async def node(self, number: int = 0) -> AsyncIterator[None]:
        """The worker of a node."""
        files = EventFileActivities(DiskEventFiles(self.data_dir))
        async with node_worker(self.client, self.node_ids[number], [files]):
            yield


async def until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Return once a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.02)
