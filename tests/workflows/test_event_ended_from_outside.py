"""Somebody ends the workflow of an event in Temporal's pages: the relay delivers again, and it is finished once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle

from iris.adapters.clock import SystemClock
from iris.base.errors import InputError
from iris.outbox.marks import RelayMarks
from iris.outbox.relay import Relay, RelayTiming
from tests.builders.event_messages import closed, updated
from tests.fakes.clock import SimulatedClock
from tests.fakes.outbox import FakeOutbox
from tests.temporal_env import connect
from tests.workflows.event_stage import EventStage, until_recorded

pytestmark = pytest.mark.e2e
TIMING = RelayTiming(interval_s=0.05, audit_s=0.2, first_retry_s=0.2, most_away_s=0.5)


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address)


async def terminated(handle: WorkflowHandle[Any, Any]) -> None:
    await handle.terminate("by hand")


async def cancelled(handle: WorkflowHandle[Any, Any]) -> None:
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()


ENDINGS = [terminated, cancelled]


@asynccontextmanager
async def relaying(stage: EventStage, outbox: FakeOutbox, folder: Path) -> AsyncIterator[None]:
    marks = RelayMarks(folder / "relay.db")
    task = asyncio.create_task(Relay(outbox, stage.starter, marks, SystemClock(), timing=TIMING).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        marks.close()


async def run_id(stage: EventStage) -> str:
    return str((await stage.handle.describe()).run_id)


async def until_another_run(stage: EventStage, first: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while await run_id(stage) == first:
        assert time.monotonic() < deadline, "the event was not delivered again"
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("end", ENDINGS)
async def test_open_event_becomes_ready_once_when_its_workflow_was_ended(
    client: Client, temporal_address: str, tmp_path: Path, end: Callable[[WorkflowHandle[Any, Any]], Awaitable[None]]
) -> None:
    stage, outbox = EventStage(client, temporal_address), FakeOutbox()
    first = stage.opened(ago_s=3)
    async with stage.everything(), relaying(stage, outbox, tmp_path):
        outbox.write(first)
        await until_recorded(stage, "opened")
        ended = await run_id(stage)
        await end(stage.handle)
        await until_another_run(stage, ended)  # nothing new came from the camera: the audit found it
        outbox.write(closed(updated(first)))
        assert (await stage.outcome()).state == "ready"
    assert len(stage.records.finalised) == 1
    assert stage.workshop.released == [stage.event_id]


@pytest.mark.parametrize("end", ENDINGS)
async def test_closed_event_becomes_ready_once_when_its_workflow_was_ended_while_the_clip_was_made(
    client: Client, temporal_address: str, tmp_path: Path, end: Callable[[WorkflowHandle[Any, Any]], Awaitable[None]]
) -> None:
    stage, outbox = EventStage(client, temporal_address), FakeOutbox()
    stage.workshop.hold.clear()
    async with stage.everything(), relaying(stage, outbox, tmp_path):
        outbox.write(closed(stage.opened(ago_s=3)))
        assert await asyncio.to_thread(stage.workshop.assembling.wait, 20)
        ended = await run_id(stage)
        await end(stage.handle)
        await until_another_run(stage, ended)
        stage.workshop.hold.set()
        assert (await stage.outcome()).state == "ready"
    assert len(stage.records.finalised) == 1


async def test_next_message_starts_another_run_by_itself_when_the_first_was_ended(
    client: Client, temporal_address: str
) -> None:
    stage = EventStage(client, temporal_address)
    first = stage.opened(ago_s=3)
    async with stage.everything():
        await stage.send(first)
        ended = await run_id(stage)
        await stage.handle.terminate()
        assert not await stage.starter.knows(stage.event_id)
        await stage.send(closed(first))
        assert (await stage.outcome()).state == "ready"
        assert await run_id(stage) != ended
        completed = await run_id(stage)
        await stage.send(closed(first))  # after a completed run nothing is started any more
        assert await run_id(stage) == completed
        assert await stage.starter.knows(stage.event_id)


async def test_failed_event_rests_for_an_hour_before_it_is_delivered_again(
    client: Client, temporal_address: str
) -> None:
    stage = EventStage(client, temporal_address)
    stage.records.errors = [InputError("the row is wrong"), InputError("the result is wrong")]
    async with stage.everything():
        await stage.send(last := closed(stage.opened(ago_s=3)))
        with pytest.raises(WorkflowFailureError):
            await stage.outcome()
        assert (await stage.handle.describe()).status == WorkflowExecutionStatus.FAILED
        clock = SimulatedClock(wall_us=SystemClock().wall_us())
        stage.starter._clock = clock
        clock.advance_s(3590)
        assert await stage.starter.knows(stage.event_id)
        clock.advance_s(20)
        assert not await stage.starter.knows(stage.event_id)
        await stage.send(last)
        assert (await stage.outcome()).state == "ready"
    assert len(stage.records.finalised) == 1
