"""The paths of the Event workflow that are recorded: one history each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.client import WorkflowHandle

from iris.base.errors import CorruptMediaError, StorageError
from iris.contracts.events import TimeRange
from tests.builders.event_messages import US, closed, updated
from tests.temporal_env import connect
from tests.workflows.event_stage import EventStage, until_asked, until_details, until_recorded


async def normal(stage: EventStage) -> None:
    """Opened, updated, closed, with a post-roll to wait for."""
    first = stage.opened()
    async with stage.everything():
        await stage.send(first)
        await until_recorded(stage, "opened")
        await stage.send(updated(first, seen_after_s=0))
        await until_recorded(stage, "updated")
        await stage.send(closed(updated(first, seen_after_s=0), post_s=1.5))
        await stage.outcome()


async def partial(stage: EventStage) -> None:
    """A gap in the window."""
    first = stage.opened(ago_s=3)
    stage.workshop.gap = TimeRange(first.last_seen_us, first.last_seen_us + US, "camera_offline")
    async with stage.everything():
        await stage.send(first, closed(first, post_s=1))
        await stage.outcome()


async def closed_first(stage: EventStage) -> None:
    """The last message arrives first, then the others, late and twice."""
    first = stage.opened(ago_s=3)
    last = closed(first)
    async with stage.node():
        await stage.send(last, first, last)
        async with stage.iris():
            await stage.outcome()


async def abandoned(stage: EventStage) -> None:
    """Nobody closes it: the host is asked, first in vain."""
    first = stage.opened(ago_s=3)
    async with stage.everything():
        await stage.send(first)
        await until_asked(stage, 1)
        stage.workshop.abandoned = closed(first, end_reason="abandoned")
        await stage.outcome()


async def failed(stage: EventStage) -> None:
    """Neither clip nor picture can be made."""
    stage.workshop.errors = [CorruptMediaError("No segment of the event can be read.")]
    stage.workshop.thumbnail_error = CorruptMediaError("no picture")
    async with stage.everything():
        await stage.send(closed(stage.opened(ago_s=3)))
        await stage.outcome()


async def node_down(stage: EventStage) -> None:
    """The host is away when the clip is due; then the disk fails once."""
    stage.workshop.errors = [StorageError("the disk is full")]
    async with stage.iris():
        await stage.send(closed(stage.opened(ago_s=3)))
        await until_details(stage, "waits while its host is down")
        async with stage.node():
            await stage.outcome()


async def finished_before(stage: EventStage) -> None:
    """The database knows it as terminal already."""
    stage.records.states[stage.event_id] = "ready"
    async with stage.everything():
        await stage.send(stage.opened(ago_s=3))
        await stage.outcome()


async def removed_before(stage: EventStage) -> None:
    """It was removed before its first message came to the database."""
    stage.records.states[stage.event_id] = "deleted"
    async with stage.everything():
        await stage.send(stage.opened(ago_s=3))
        await stage.outcome()


async def removed_meanwhile(stage: EventStage) -> None:
    """It is removed while its clip is being made: what was published goes again."""
    stage.workshop.hold.clear()
    async with stage.everything():
        await stage.send(closed(stage.opened(ago_s=3)))
        await until_details(stage, "making the clip")
        stage.records.states[stage.event_id] = "deleted"
        stage.workshop.hold.set()
        await stage.outcome()


_SILENT_SOON_S = 0.3


def _recorded(case: Callable[[EventStage], Awaitable[None]], max_open_s: float = 900.0) -> Any:
    async def record(address: str) -> WorkflowHandle[Any, Any]:
        stage = EventStage(await connect(address), address, max_open_s=max_open_s)
        await case(stage)
        return stage.handle

    return record


CASES = {
    case.__name__: _recorded(case)
    for case in (
        normal, partial, closed_first, failed, node_down, finished_before, removed_before, removed_meanwhile,
    )
} | {"abandoned": _recorded(abandoned, _SILENT_SOON_S)}  # fmt: skip
