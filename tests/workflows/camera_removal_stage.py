"""Removing a camera for real: a database, a node's files of the camera, both workers; only its process is a fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle

from activities.camera_removal import CameraFootageActivities, CameraRemovalActivities
from activities.clips import ClipActivities
from activities.events import EventActivities
from activities.operations import OperationActivities
from activities.removal import EventFileActivities, RemovalActivities
from iris.adapters.clock import SystemClock
from iris.adapters.event_files import DiskEventFiles
from iris.adapters.id_source import Uuid7Source
from iris.adapters.operation_starter import TemporalOperationStarter
from iris.adapters.temporal import TemporalLink, TemporalStarter
from iris.base.errors import IrisError
from iris.base.ids import CameraId, NodeId
from iris.contracts.camera_removal import CameraRemovalStart, RemovalEnd
from iris.contracts.events import EventMessage
from iris.contracts.names import event_workflow_id
from iris.contracts.workflows import CameraDeletionWorkflow, EventWorkflow
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.marks import RelayMarks
from iris.outbox.reader import CameraDbReader
from iris.outbox.rows import message_to_json
from iris.pipeline.camera_footage import NodeCameraFootage
from iris.pipeline.camera_gate import CameraGate
from iris.pipeline.clip_workshop import NodeClipWorkshop, NodeHooks
from iris.store.camera_removal_records import StoreCameraRemovals
from iris.store.cameras import CameraDraft, CameraPatch
from iris.store.engine import Store, open_store, sqlite_url
from iris.store.event_records import StoreEventRecords
from iris.store.migrate import migrate
from iris.store.operation_records import StoreEventRemovals, StoreOperationRecords
from iris.store.operations import OperationRow
from tests.builders.events import event_message, finalise_request
from workers.temporal_worker import iris_worker, node_worker

DRAFT = CameraDraft(name="gate", rtsp_url_sealed=b"old", rtsp_url_masked="rtsp://***@192.0.2.1/a")


class FakeSwitch:
    """Implements `CameraSwitch`; `errors` are raised, one per stop."""

    def __init__(self) -> None:
        self.errors: list[IrisError] = []
        self.stopped = 0
        self.resumed = 0

    def stop(self, camera_id: str) -> None:
        self.stopped += 1
        if self.errors:
            raise self.errors.pop(0)

    def resume(self, camera_id: str) -> None:
        self.resumed += 1


class CameraRemovalStage:
    """One camera with everything it leaves behind; ids are its own, so that tests share a Temporal server."""

    def __init__(self, client: Client, address: str, folder: Path) -> None:
        self.client = client
        self.data_dir = folder / "data"
        self.data_dir.mkdir(exist_ok=True)
        migrate(sqlite_url(folder / "vms.db"))
        self.store: Store = open_store(sqlite_url(folder / "vms.db"))
        self.clock, self.ids = SystemClock(), Uuid7Source()
        self.node_id, self.camera_id = NodeId(self.ids.new_id()), CameraId(self.ids.new_id())
        self.switch, self.gate = FakeSwitch(), CameraGate()
        self.marks = RelayMarks(self.data_dir / "node" / "relay.db")
        self.reader = CameraDbReader(self.data_dir)
        self.link = TemporalLink(address, identity="iris-test")
        self.operation_id = ""
        with self.store.writing() as work:
            work.cameras.add(self.camera_id, replace(DRAFT, node_id=self.node_id), 1)
        self._own = CameraDb(camera_db_path(self.data_dir, self.camera_id))
        self.file(f"segments/{self.camera_id}/seg_1.mp4")

    def close(self) -> None:
        """Close every database."""
        self._own.close()
        self.reader.close()
        self.marks.close()
        self.store.close()

    def file(self, name: str, size_bytes: int = 1000) -> None:
        """A file of the data directory."""
        path = self.data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size_bytes)

    def message(self, number: int, kind: str = "opened") -> EventMessage:
        """A message of event `number`, whose id is this stage's own."""
        event_id = f"{self.camera_id[:-6]}{number:06x}"
        return event_message(number, kind, event_id=event_id, camera_id=self.camera_id, node_id=self.node_id)

    def finished_event(self, number: int) -> str:
        """An event with a clip and a thumbnail."""
        message = self.message(number, "closed")
        with self.store.writing() as work:
            request = finalise_request(
                number, event_id=message.event_id, camera_id=self.camera_id, node_id=self.node_id
            )
            work.events.finalise(request, number)
        self.file(f"recordings/{self.camera_id}/{message.event_id}.mp4")
        self.file(f"thumbnails/{message.event_id}.jpg")
        return message.event_id

    def accepted_event(self, number: int) -> EventMessage:
        """An event that only the node knows: a row of its outbox, a pin, a mark of the relay."""
        message = self.message(number)
        with self._own.transaction() as connection:
            connection.execute(
                "INSERT INTO outbox (event_id, seq, message, created_us) VALUES (?, ?, ?, 1)",
                (message.event_id, message.seq, message_to_json(message)),
            )
        self.file(f"pending/{message.event_id}/seg_1.mp4")
        self.marks.mark_delivered(message)
        return message

    async def deliver(self, message: EventMessage) -> None:
        """Start the event's workflow, as the relay does."""
        await TemporalStarter(self.link, max_open_s=900).deliver(message)

    def event_handle(self, message: EventMessage) -> WorkflowHandle[Any, Any]:
        """The event's workflow."""
        return self.client.get_workflow_handle_for(EventWorkflow.run, event_workflow_id(message.event_id))

    def ask(self) -> OperationRow:
        """Ask for the deletion, as the api does."""
        with self.store.writing() as work:
            row = work.camera_removals.ask_deletion(
                self.camera_id, self.ids.new_id, self.clock.wall_us(), include_held=False
            )
        self.operation_id = row.operation_id
        return row

    def ask_repoint(self) -> OperationRow:
        """Give the camera another address, as the api does."""
        new: CameraPatch = {"rtsp_url_sealed": b"new", "rtsp_url_masked": "rtsp://***@192.0.2.2/a"}
        with self.store.writing() as work:
            row = work.cameras.lock(self.camera_id)
            _, operation = work.camera_removals.ask_repoint(
                row, new, self.ids.new_id(), self.clock.wall_us(), include_held=False
            )
        self.operation_id = operation.operation_id
        return operation

    async def start(self, pages_per_run: int | None = None) -> None:
        """Start the workflow as the api does, or with another length of its runs."""
        task = self.operation.task()
        if pages_per_run is None:
            await TemporalOperationStarter(self.link).start(task)
            return
        start = CameraRemovalStart(self.operation_id, self.camera_id, pages_per_run)
        await self.client.start_workflow(CameraDeletionWorkflow.run, start, id=task.workflow_id, task_queue="iris")

    @property
    def operation(self) -> OperationRow:
        """The operation now."""
        with self.store.reading() as work:
            return work.operations.get(self.operation_id)

    @property
    def handle(self) -> WorkflowHandle[Any, RemovalEnd]:
        """Its workflow."""
        return self.client.get_workflow_handle_for(CameraDeletionWorkflow.run, self.operation.workflow_id)

    async def result(self, seconds: float = 40.0) -> RemovalEnd:
        """The workflow's result."""
        async with asyncio.timeout(seconds):
            return await self.handle.result()

    def left(self) -> list[str]:
        """What of the camera is still on the node's disk."""
        found = [path.relative_to(self.data_dir).as_posix() for path in self.data_dir.rglob("*") if path.is_file()]
        return sorted(name for name in found if not name.startswith("node/relay.db"))

    @asynccontextmanager
    async def iris(self) -> AsyncIterator[None]:
        """The worker of queue `iris`."""
        families = [
            CameraRemovalActivities(StoreCameraRemovals(self.store, self.clock)),
            RemovalActivities(StoreEventRemovals(self.store, self.clock)),
            OperationActivities(StoreOperationRecords(self.store, self.clock)),
            EventActivities(StoreEventRecords(self.store, self.clock)),
        ]
        async with iris_worker(self.client, families):
            yield

    @asynccontextmanager
    async def node(self) -> AsyncIterator[None]:
        """The worker of the node."""
        footage = NodeCameraFootage(
            self.data_dir, self.node_id, self.reader, self.marks, self.gate, self.marks.forget_camera
        )
        hooks = NodeHooks(lambda _: False, lambda _: 0, lambda _camera, _event: None)
        workshop = NodeClipWorkshop(self.data_dir, self.reader, self.reader, self.clock, hooks, self.gate)
        families = [
            CameraFootageActivities(self.switch, footage),
            EventFileActivities(DiskEventFiles(self.data_dir)),
            ClipActivities(workshop, self.clock),
        ]
        async with node_worker(self.client, self.node_id, families):
            yield

    @asynccontextmanager
    async def everything(self) -> AsyncIterator[None]:
        """Both workers."""
        async with self.iris(), self.node():
            yield
