"""The schedules of Iris on a real server: made, brought up to date, made again, and never against an operator."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleDescription,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    ScheduleSpec,
)
from temporalio.service import RPCError, RPCStatusCode

from iris.adapters.id_source import Uuid7Source
from iris.adapters.temporal import TemporalLink
from iris.config import Settings
from tests.temporal_env import connect, free_ports, running_server
from workers.schedules import ScheduleKeeper, ScheduleLine, schedule_table

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_server() as running:
        yield running


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    """A client; schedules that a test leaves are removed."""
    client = await connect(address)
    yield client
    async for listed in await client.list_schedules():
        await client.get_schedule_handle(listed.id).delete()


@pytest.fixture
def line() -> ScheduleLine:
    """A line of the table with an id of its own."""
    return ScheduleLine(
        schedule_id=f"test-{Uuid7Source().new_id()}", workflow="Nothing", every_s=3600, offset_s=60, jitter_s=5,
        note="Does nothing, hourly",
    )  # fmt: skip


def keeper(address: str, *lines: ScheduleLine, version: str = "1.2.0") -> ScheduleKeeper:
    return ScheduleKeeper(TemporalLink(address, identity="iris-test"), lines, version=version)


async def described(client: Client, schedule_id: str) -> ScheduleDescription | None:
    try:
        return await client.get_schedule_handle(schedule_id).describe()
    except RPCError as error:
        if error.status == RPCStatusCode.NOT_FOUND:
            return None
        raise


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.02)


async def until_listed(client: Client, *schedule_ids: str) -> None:
    """Lists lag a little behind."""

    async def all_there() -> bool:
        return {s.id async for s in await client.list_schedules()} >= set(schedule_ids)

    await until(all_there)


async def test_schedule_is_made_as_its_line_says(client: Client, address: str, line: ScheduleLine) -> None:
    await keeper(address, replace(line, argument={"a": 1})).ensure()
    found = await described(client, line.schedule_id)
    assert found is not None
    [interval] = found.schedule.spec.intervals
    assert (interval.every, interval.offset) == (timedelta(hours=1), timedelta(minutes=1))
    assert found.schedule.spec.jitter == timedelta(seconds=5)
    assert found.schedule.policy.overlap == ScheduleOverlapPolicy.SKIP
    assert found.schedule.policy.catchup_window == timedelta(minutes=10)
    assert found.schedule.state.note == line.note
    action = found.schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    assert (action.workflow, action.id, action.task_queue) == ("Nothing", line.schedule_id, "iris")
    assert len(action.args) == 1


async def test_pause_and_note_of_an_operator_stay_when_the_line_changes(
    client: Client, address: str, line: ScheduleLine
) -> None:
    await keeper(address, line).ensure()
    await client.get_schedule_handle(line.schedule_id).pause(note="disk is being replaced")
    changed = replace(line, every_s=7200, overlap=ScheduleOverlapPolicy.BUFFER_ONE, workflow="Another")
    for _ in range(2):
        await keeper(address, changed).ensure()
    found = await described(client, line.schedule_id)
    assert found is not None
    assert (found.schedule.state.paused, found.schedule.state.note) == (True, "disk is being replaced")
    assert found.schedule.spec.intervals[0].every == timedelta(hours=2)
    assert found.schedule.policy.overlap == ScheduleOverlapPolicy.BUFFER_ONE
    assert isinstance(found.schedule.action, ScheduleActionStartWorkflow)
    assert found.schedule.action.workflow == "Another"


@pytest.mark.parametrize("shift_s", [0.0, 60.0])
async def test_schedule_is_updated_only_when_its_line_changed(
    client: Client, address: str, line: ScheduleLine, shift_s: float
) -> None:
    line = replace(line, offset_s=shift_s, jitter_s=shift_s)
    await keeper(address, line).ensure()
    before = await described(client, line.schedule_id)
    await keeper(address, line).ensure()
    same = await described(client, line.schedule_id)
    await keeper(address, replace(line, jitter_s=6)).ensure()
    after = await described(client, line.schedule_id)
    assert before is not None
    assert same is not None
    assert after is not None
    assert same.info.last_updated_at == before.info.last_updated_at
    assert after.info.last_updated_at != before.info.last_updated_at


async def test_only_schedules_of_ours_are_removed_when_the_table_has_no_such_line(
    client: Client, address: str, line: ScheduleLine
) -> None:
    older, newer = (
        replace(line, schedule_id=line.schedule_id + "-old"),
        replace(line, schedule_id=line.schedule_id + "-new"),
    )
    await keeper(address, older, version="1.1.9").ensure()
    await keeper(address, newer, version="1.10.0").make_missing()
    foreign = Schedule(
        action=ScheduleActionStartWorkflow("Theirs", id="theirs", task_queue="theirs"),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=1))]),
    )
    await client.create_schedule(line.schedule_id + "-theirs", foreign)
    await until_listed(client, older.schedule_id, newer.schedule_id, line.schedule_id + "-theirs")
    await keeper(address, line).ensure()
    assert await described(client, older.schedule_id) is None
    assert await described(client, newer.schedule_id) is not None
    assert await described(client, line.schedule_id) is not None
    assert await described(client, line.schedule_id + "-theirs") is not None


async def test_schedule_of_somebody_else_is_left_alone_when_it_has_our_id(
    client: Client, address: str, line: ScheduleLine
) -> None:
    foreign = Schedule(
        action=ScheduleActionStartWorkflow("Theirs", id="theirs", task_queue="theirs"),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(days=1))]),
    )
    await client.create_schedule(line.schedule_id, foreign)
    await keeper(address, line).ensure()
    found = await described(client, line.schedule_id)
    assert found is not None
    assert isinstance(found.schedule.action, ScheduleActionStartWorkflow)
    assert found.schedule.action.workflow == "Theirs"


async def test_schedules_are_made_when_temporal_comes_late_and_again_when_its_database_is_lost(
    line: ScheduleLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.schedules.LOOK_AGAIN_S", 0.2)
    port, stop = free_ports(1)[0], asyncio.Event()
    running = asyncio.create_task(keeper(f"127.0.0.1:{port}", line).run(stop))
    try:
        for _ in range(2):  # the second server knows nothing: its database was in memory
            with running_server(port) as address:
                client = await connect(address)

                async def there(client: Client = client) -> bool:
                    return await described(client, line.schedule_id) is not None

                await until(there)
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)


def test_table_names_each_schedule_once_and_says_what_it_is_for() -> None:
    table = schedule_table(Settings())
    assert len({line.schedule_id for line in table}) == len(table)
    for line in table:
        assert line.note
        assert len(line.note) <= 200
        assert line.every_s >= 10
    with pytest.raises(ValueError, match="catch-up"):
        ScheduleLine(schedule_id="a", workflow="A", every_s=60, note="a", catch_up_s=601)
