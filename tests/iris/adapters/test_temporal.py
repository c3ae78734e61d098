"""The Temporal client on a real server: handing over, being known, and every kind of error told apart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.service import RPCError, RPCStatusCode

from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.temporal import TemporalLink, TemporalStarter, translate
from iris.base.errors import ConfigError, InputError, IrisError, UnavailableError
from iris.contracts.names import SEARCH_ATTRIBUTES, event_workflow_id
from iris.outbox.marks import RelayMarks
from iris.outbox.relay import Relay, RelayTiming
from tests.builders.event_messages import closed, opened
from tests.fakes.outbox import FakeOutbox
from tests.temporal_env import free_ports, running_server

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with running_server() as running:
        yield running


def make_starter(address: str, namespace: str = "default") -> TemporalStarter:
    return TemporalStarter(TemporalLink(address, identity="iris-test", namespace=namespace), max_open_s=900)


def new_event() -> dict[str, str]:
    ids = Uuid7Source()
    return {"event_id": ids.new_id(), "camera_id": ids.new_id()}


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.01)


async def test_starter_starts_one_workflow_when_messages_follow_one_another(address: str) -> None:
    link = TemporalLink(address, identity="iris-test")
    starter = TemporalStarter(link, max_open_s=900)
    first = opened(SystemClock().wall_us(), **new_event())
    assert not await starter.knows(first.event_id)
    await starter.deliver(first)
    await starter.deliver(closed(first))
    assert await starter.knows(first.event_id)
    handle = (await link.client()).get_workflow_handle(event_workflow_id(first.event_id))
    events = (await handle.fetch_history()).events
    assert sum(event.HasField("workflow_execution_signaled_event_attributes") for event in events) == 2


async def test_starter_starts_a_second_run_when_the_first_was_ended_from_outside(address: str) -> None:
    link = TemporalLink(address, identity="iris-test")
    starter = TemporalStarter(link, max_open_s=900)
    first = opened(SystemClock().wall_us(), **new_event())
    await starter.deliver(first)
    handle = (await link.client()).get_workflow_handle(event_workflow_id(first.event_id))
    run_id = (await handle.describe()).run_id
    await handle.terminate()
    assert not await starter.knows(first.event_id)
    await starter.deliver(closed(first))
    assert (await handle.describe()).run_id != run_id
    assert await starter.knows(first.event_id)


async def test_starter_is_unavailable_within_seconds_when_nothing_listens() -> None:
    starter = make_starter(f"127.0.0.1:{free_ports(1)[0]}")
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        await starter.deliver(opened(SystemClock().wall_us(), **new_event()))
    with pytest.raises(UnavailableError):
        await starter.knows("0192f0a0-0000-7000-8000-00000000000e")
    assert time.monotonic() - began < 6


async def test_starter_says_wrong_set_up_when_the_namespace_does_not_exist(address: str) -> None:
    starter = make_starter(address, namespace="nobody-made-it")
    with pytest.raises(ConfigError):
        await starter.deliver(opened(SystemClock().wall_us(), **new_event()))
    with pytest.raises(ConfigError):
        await starter.knows("0192f0a0-0000-7000-8000-00000000000e")


@pytest.mark.parametrize("status", list(RPCStatusCode), ids=lambda status: status.name)
def test_every_answer_is_one_of_three_errors_when_translated(status: RPCStatusCode) -> None:
    refused = {"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE"}
    wrong = {"PERMISSION_DENIED", "UNAUTHENTICATED", "NOT_FOUND", "UNIMPLEMENTED"}
    expected: type[IrisError] = UnavailableError
    if status.name in refused:
        expected = InputError
    elif status.name in wrong:
        expected = ConfigError
    assert type(translate(RPCError("rtsp://a:b@c is bad", status, b""))) is expected
    assert "a:b" not in str(translate(RPCError("rtsp://a:b@c is bad", status, b"")))


async def test_link_tells_in_time_whether_the_server_answers_when_probed(address: str) -> None:
    link = TemporalLink(address, identity="iris-test")
    assert await link.answers()
    absent = TemporalLink(f"127.0.0.1:{free_ports(1)[0]}", identity="iris-test")
    began = time.monotonic()
    assert not await absent.answers()
    assert time.monotonic() - began < 3


async def test_link_registers_attributes_when_they_are_missing(address: str) -> None:
    link = TemporalLink(address, identity="iris-test")
    for _ in range(2):  # the second time there is nothing to do
        await link.register_search_attributes()
    client = await link.client()
    answer = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
    assert SEARCH_ATTRIBUTES.keys() <= set(answer.custom_attributes)


@asynccontextmanager
async def relay_running(relay: Relay) -> AsyncIterator[None]:
    task = asyncio.create_task(relay.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_relay_delivers_an_event_anew_when_the_servers_database_is_lost(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    link = TemporalLink(f"127.0.0.1:{port}", identity="iris-test")
    starter = TemporalStarter(link, max_open_s=900)
    outbox, marks = FakeOutbox(), RelayMarks(tmp_path / "relay.db")
    timing = RelayTiming(interval_s=0.05, audit_s=0.2, first_retry_s=0.2, most_away_s=0.5)
    relay = Relay(outbox, starter, marks, SystemClock(), timing=timing)
    first = opened(SystemClock().wall_us(), **new_event())
    outbox.write(first)
    async with relay_running(relay):
        await until(lambda: not relay.figures().available)  # there is no server yet
        with running_server(port):
            await until(lambda: marks.unfinished_events() != [] and relay.figures().depth == 0)
        await until(lambda: not relay.figures().available)  # its database, in memory, is gone with it
        with running_server(port):
            deadline = time.monotonic() + 30
            while not await _known(starter, first.event_id):
                assert time.monotonic() < deadline, "the event was not delivered again"
                await asyncio.sleep(0.05)
    marks.close()


async def _known(starter: TemporalStarter, event_id: str) -> bool:
    try:
        return await starter.knows(event_id)
    except UnavailableError:
        return False
