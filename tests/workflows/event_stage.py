"""Both workers of an installation around fakes, and a relay's end to send messages with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

from activities.clips import ClipActivities
from activities.events import EventActivities
from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.temporal import TemporalLink, TemporalStarter
from iris.contracts.events import EventMessage, EventOutcome
from iris.contracts.names import event_workflow_id
from iris.contracts.workflows import EventWorkflow
from tests.builders.event_messages import US, opened
from tests.fakes.clip_workshop import FakeClipWorkshop
from tests.fakes.event_records import FakeEventRecords
from workers.temporal_worker import iris_worker, node_worker


class EventStage:
    """One event with ids of its own, so that tests share a server."""

    def __init__(self, client: Client, address: str, max_open_s: float = 900.0) -> None:
        ids = Uuid7Source()
        self.client = client
        self.event_id, self.camera_id, self.node_id = ids.new_id(), ids.new_id(), ids.new_id()
        self.records = FakeEventRecords()
        self.workshop = FakeClipWorkshop()
        self.starter = TemporalStarter(TemporalLink(address, identity="iris-test"), max_open_s=max_open_s)

    def opened(self, *, ago_s: float = 0.0) -> EventMessage:
        """Its first message, of a person seen `ago_s` before now."""
        now_us = SystemClock().wall_us()
        return opened(
            now_us - round(ago_s * US), event_id=self.event_id, camera_id=self.camera_id, node_id=self.node_id
        )

    async def send(self, *messages: EventMessage) -> None:
        """As the relay does."""
        for message in messages:
            await self.starter.deliver(message)

    @property
    def handle(self) -> WorkflowHandle[EventWorkflow, EventOutcome]:
        """The workflow of the event."""
        return self.client.get_workflow_handle_for(EventWorkflow.run, event_workflow_id(self.event_id))

    async def outcome(self, seconds: float = 20.0) -> EventOutcome:
        """The workflow's result."""
        async with asyncio.timeout(seconds):
            return await self.handle.result()

    async def details(self) -> str:
        """The text that the pages of Temporal show for the workflow now."""
        metadata = await self.handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        return str(metadata.current_details)

    @asynccontextmanager
    async def node(self) -> AsyncIterator[None]:
        """The node's worker."""
        async with node_worker(self.client, self.node_id, [ClipActivities(self.workshop, SystemClock())]):
            yield

    @asynccontextmanager
    async def iris(self) -> AsyncIterator[None]:
        """The worker of queue `iris`."""
        async with iris_worker(self.client, [EventActivities(self.records)]):
            yield

    @asynccontextmanager
    async def everything(self) -> AsyncIterator[None]:
        """Both workers."""
        async with self.iris(), self.node():
            yield


async def until_recorded(stage: EventStage, kind: str, seconds: float = 20.0) -> None:
    """Return once a message of that kind is in the records."""
    deadline = time.monotonic() + seconds
    while not any(message.kind == kind for message in stage.records.messages):
        assert time.monotonic() < deadline, f"no {kind} message was recorded"
        await asyncio.sleep(0.01)


async def until_details(stage: EventStage, text: str, seconds: float = 20.0) -> None:
    """Return once the workflow shows `text`."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            shown = await stage.details()
        except RPCError:
            shown = ""
        if text in shown:
            return
        assert time.monotonic() < deadline, f"{text!r} is not in {shown!r}"
        await asyncio.sleep(0.02)


async def until_asked(stage: EventStage, times: int, seconds: float = 20.0) -> None:
    """Return once the node was asked that often whether the event is abandoned."""
    deadline = time.monotonic() + seconds
    while stage.workshop.asked_abandoned < times:
        assert time.monotonic() < deadline, "the node was not asked"
        await asyncio.sleep(0.01)
