"""R11: messages twice to five times, out of order, late, and after completion, with the real server and store."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from temporalio.client import Client

from activities.clips import ClipActivities
from activities.events import EventActivities
from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.temporal import TemporalLink, TemporalStarter
from iris.contracts.events import EventMessage
from iris.contracts.names import WORKFLOW_EVENT, event_workflow_id
from iris.contracts.workflows import EventWorkflow
from iris.store.engine import Store, open_store, sqlite_url
from iris.store.event_records import StoreEventRecords
from iris.store.events import EventFilters
from iris.store.migrate import migrate
from tests.builders.event_messages import closed, opened, updated
from tests.fakes.clip_workshop import FakeClipWorkshop
from tests.faults.ledger import Ledger, rounds
from tests.temporal_env import connect, running_server
from workers.temporal_worker import iris_worker, node_worker

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

_AT_ONCE = 8


def make_messages(chance: random.Random, node_id: str, ids: Uuid7Source) -> list[EventMessage]:
    """Everything of one event: opened, some updates, closed; the post-roll is over at once."""
    now_us = SystemClock().wall_us()
    first = opened(now_us - 60_000_000, event_id=ids.new_id(), camera_id=ids.new_id(), node_id=node_id)
    messages = [first]
    for _ in range(chance.randrange(4)):
        messages.append(
            updated(messages[-1], labels=tuple(sorted({"person", chance.choice(["car", "dog", "person"])})))
        )
    messages.append(closed(messages[-1]))
    return messages


async def test_each_event_ends_once_with_its_last_word_when_messages_come_repeated_and_shuffled(tmp_path: Path) -> None:
    ledger = Ledger("R11", "messages 1 to 5 times, shuffled, late and after completion", unit="events")
    with ledger, running_server() as address:
        chance, ids = ledger.random, Uuid7Source()
        node_id, count = ids.new_id(), rounds(25, 300)
        events = [make_messages(chance, node_id, ids) for _ in range(count)]
        url = sqlite_url(tmp_path / "vms.db")
        migrate(url)
        store, workshop = open_store(url), FakeClipWorkshop()
        client = await connect(address)
        starter = TemporalStarter(TemporalLink(address, identity="iris-test"), max_open_s=900)
        database = [EventActivities(StoreEventRecords(store, SystemClock()))]
        files = [ClipActivities(workshop, SystemClock())]
        async with iris_worker(client, database), node_worker(client, node_id, files):
            sent = await send_shuffled(starter, events, chance)
            await all_completed(client, events)
            rows_before = read_rows(store)
            # Late: everything once more, in any order, when all is over.
            again = [message for messages in events for message in messages]
            chance.shuffle(again)
            for message in again:
                await starter.deliver(message)
            ledger.rounds = ledger.events = count
            runs = Counter([run.id async for run in client.list_workflows(f"WorkflowType = '{WORKFLOW_EVENT}'")])
        ledger.facts["messages"] = sent + len(again)
        assert read_rows(store) == rows_before, "a late message changed a finished event"
        assert set(runs.values()) == {1}, runs.most_common(3)
        assert Counter(Counter(r.event_id for r in workshop.assembled).values()) == {1: count}
        assert Counter(Counter(workshop.released).values()) == {1: count}
        for messages in events:
            row = rows_before[messages[-1].event_id]
            assert row == ("ready", messages[-1].seq, messages[-1].last_seen_us, tuple(sorted(messages[-1].labels)))
        store.close()


async def send_shuffled(starter: TemporalStarter, events: list[list[EventMessage]], chance: random.Random) -> int:
    """Every message one to five times, in random order over all events, several at once; how many were sent."""
    copies = [message for messages in events for message in messages for _ in range(chance.randint(1, 5))]
    chance.shuffle(copies)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def send(message: EventMessage) -> None:
        async with slots:
            await starter.deliver(replace(message))

    await asyncio.gather(*(send(message) for message in copies))
    return len(copies)


async def all_completed(client: Client, events: list[list[EventMessage]]) -> None:
    """Wait for the result of every event's workflow."""
    async with asyncio.timeout(60 + len(events)):
        for messages in events:
            handle = client.get_workflow_handle_for(EventWorkflow.run, event_workflow_id(messages[-1].event_id))
            assert (await handle.result()).state == "ready"


def read_rows(store: Store) -> dict[str, tuple[str, int, int, tuple[str, ...]]]:
    """State, sequence number, last sight and labels of every event; one row each."""
    found: dict[str, tuple[str, int, int, tuple[str, ...]]] = {}
    cursor: str | None = None
    while True:
        with store.reading() as work:
            page, cursor = work.events.page(EventFilters(), limit=500, cursor=cursor)
        for row in page:
            assert row.event_id not in found
            found[row.event_id] = (row.state.value, row.seq, row.last_seen_us, row.labels)
        if cursor is None:
            return found
