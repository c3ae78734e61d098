"""The Event workflow, sandboxed, on a real server, with the real activities over fakes of their ports."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError

from iris.base.errors import CorruptMediaError, InputError, StorageError, StoreError
from iris.contracts.events import TimeRange
from tests.builders.event_messages import US, closed, updated
from tests.temporal_env import connect
from tests.workflows.event_stage import EventStage, until_asked, until_details, until_recorded

pytestmark = pytest.mark.e2e


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address)


async def test_event_becomes_ready_when_it_is_opened_updated_and_closed(client: Client, temporal_address: str) -> None:
    stage = EventStage(client, temporal_address)
    first = stage.opened(ago_s=3)
    second = updated(first, labels=("car", "person"))
    last = closed(second)
    async with stage.everything():
        await stage.send(first)
        await until_recorded(stage, "opened")
        await stage.send(second)
        await until_recorded(stage, "updated")
        await stage.send(last)
        outcome = await stage.outcome()
    assert (outcome.state, outcome.gap_count) == ("ready", 0)
    assert [message.kind for message in stage.records.messages] == ["opened", "updated", "closed"]
    [final] = stage.records.finalised
    assert final.message == last
    assert final.thumbnail_path == f"thumbnails/{stage.event_id}.jpg"
    [request] = stage.workshop.assembled
    assert (request.window_start_us, request.window_end_us) == (first.window_start_us, last.window_end_us)
    assert stage.workshop.released == [stage.event_id]


async def test_event_lists_its_gap_when_footage_is_missing(client: Client, temporal_address: str) -> None:
    stage = EventStage(client, temporal_address)
    first = stage.opened(ago_s=3)
    last = closed(first, post_s=1)
    stage.workshop.gap = TimeRange(first.last_seen_us, first.last_seen_us + US, "camera_offline")
    async with stage.everything():
        await stage.send(first, last)
        outcome = await stage.outcome()
    assert (outcome.state, outcome.gap_count) == ("partial", 1)
    assert stage.records.finalised[0].clip.missing == (stage.workshop.gap,)


async def test_event_is_recorded_once_when_messages_come_twice_and_out_of_order(
    client: Client, temporal_address: str
) -> None:
    stage = EventStage(client, temporal_address)
    first = stage.opened(ago_s=3)
    second = updated(first)
    last = closed(second)
    async with stage.node():
        await stage.send(second, last, first, first, last, second)  # nobody works yet: all wait in the history
        async with stage.iris():
            outcome = await stage.outcome()
            await stage.send(last)  # after the end: counts as delivered, starts nothing
            description = await stage.handle.describe()
    assert outcome.state == "ready"
    assert stage.records.messages == [last]
    assert len(stage.records.finalised) == 1
    assert description.run_id == (await stage.handle.describe()).run_id


async def test_event_needs_no_opened_message_when_the_closed_one_comes_first(
    client: Client, temporal_address: str
) -> None:
    stage = EventStage(client, temporal_address)
    last = closed(stage.opened(ago_s=3))
    async with stage.everything():
        await stage.send(last)
        outcome = await stage.outcome()
    assert outcome.state == "ready"
    assert stage.records.finalised[0].message == last


async def test_event_closes_when_the_host_says_that_nobody_holds_it(client: Client, temporal_address: str) -> None:
    stage = EventStage(client, temporal_address, max_open_s=0.3)
    first = stage.opened(ago_s=3)
    stage.workshop.abandoned = closed(first, end_reason="abandoned")
    async with stage.everything():
        await stage.send(first)
        outcome = await stage.outcome()
    assert outcome.state == "ready"
    assert stage.records.finalised[0].message.end_reason == "abandoned"


async def test_event_keeps_waiting_when_the_camera_still_holds_it(client: Client, temporal_address: str) -> None:
    stage = EventStage(client, temporal_address, max_open_s=0.2)
    first = stage.opened(ago_s=3)
    async with stage.everything():
        await stage.send(first)
        await until_asked(stage, 2)
        await stage.send(closed(first))
        outcome = await stage.outcome()
    assert outcome.state == "ready"
    assert stage.records.finalised[0].message.end_reason == "left"


async def test_event_closes_where_last_seen_when_the_host_knows_nothing_of_it(
    client: Client, temporal_address: str
) -> None:
    stage = EventStage(client, temporal_address, max_open_s=0.2)
    first = stage.opened(ago_s=3)
    stage.workshop.abandoned_error = InputError("no such event here")
    async with stage.everything():
        await stage.send(first)
        await stage.outcome()
    message = stage.records.finalised[0].message
    assert (message.kind, message.end_reason, message.window_end_us) == ("closed", "abandoned", first.last_seen_us)


async def test_event_fails_with_its_reason_and_is_released_when_media_is_bad(
    client: Client, temporal_address: str
) -> None:
    stage = EventStage(client, temporal_address)
    last = closed(stage.opened(ago_s=3))
    stage.workshop.errors = [CorruptMediaError("No segment of the event can be read.")]
    stage.workshop.thumbnail_error = CorruptMediaError("no picture")
    async with stage.everything():
        await stage.send(last)
        outcome = await stage.outcome()
    [final] = stage.records.finalised
    assert outcome.state == final.clip.state == "failed"
    assert final.clip.failure == "No segment of the event can be read."
    assert final.clip.missing == (TimeRange(last.window_start_us, last.window_end_us or 0, "unknown"),)
    assert final.thumbnail_path is None
    assert stage.workshop.released == [stage.event_id]


async def test_event_is_tried_again_when_disk_or_database_fail_for_a_moment(
    client: Client, temporal_address: str
) -> None:
    stage = EventStage(client, temporal_address)
    stage.workshop.errors = [StorageError("rtsp://someone:CANARY@camera/ is not a file")]
    stage.records.errors = [StoreError("the database is away")]
    async with stage.everything():
        await stage.send(closed(stage.opened(ago_s=3)))
        outcome = await stage.outcome()
    assert outcome.state == "ready"
    assert len(stage.workshop.assembled) == 2
    assert len(stage.records.finalised) == 1
    history = (await stage.handle.fetch_history()).to_json()
    assert "CANARY" not in history
    assert ".py" not in history


async def test_event_waits_for_its_host_when_that_is_down(client: Client, temporal_address: str) -> None:
    stage = EventStage(client, temporal_address)
    async with stage.iris():
        await stage.send(closed(stage.opened(ago_s=3)))
        await until_details(stage, "waits while its host is down")
        assert stage.records.finalised == []
        async with stage.node():
            outcome = await stage.outcome()
    assert outcome.state == "ready"


async def test_event_is_only_released_when_it_was_finished_before(client: Client, temporal_address: str) -> None:
    stage = EventStage(client, temporal_address)
    stage.records.states[stage.event_id] = "partial"  # Temporal lost its database after the event had ended
    async with stage.everything():
        await stage.send(stage.opened(ago_s=3))
        outcome = await stage.outcome()
    assert outcome.state == "partial"
    assert stage.workshop.assembled == []
    assert stage.workshop.released == [stage.event_id]


async def test_event_is_discarded_when_it_was_removed_before(client: Client, temporal_address: str) -> None:
    stage = EventStage(client, temporal_address)
    stage.records.states[stage.event_id] = "deleted"
    async with stage.everything():
        await stage.send(stage.opened(ago_s=3))
        outcome = await stage.outcome()
    assert outcome.state == "deleted"
    assert stage.workshop.assembled == []
    assert stage.workshop.discarded == [stage.event_id]


async def test_event_discards_its_clip_when_it_is_removed_while_that_is_made(
    client: Client, temporal_address: str
) -> None:
    stage = EventStage(client, temporal_address)
    stage.workshop.hold.clear()
    async with stage.everything():
        await stage.send(closed(stage.opened(ago_s=3)))
        await until_details(stage, "making the clip")
        stage.records.states[stage.event_id] = "deleted"
        stage.workshop.hold.set()
        outcome = await stage.outcome()
    assert (outcome.state, outcome.gap_count) == ("deleted", 0)
    assert len(stage.workshop.assembled) == 1
    assert stage.workshop.published == {}
    assert stage.workshop.discarded == [stage.event_id]
    assert stage.workshop.released == []


async def test_event_keeps_its_pins_when_the_database_refuses_the_result_for_good(
    client: Client, temporal_address: str
) -> None:
    stage = EventStage(client, temporal_address)
    stage.records.errors = [InputError("the row is wrong"), InputError("the result is wrong")]
    async with stage.everything():
        await stage.send(closed(stage.opened(ago_s=3)))
        with pytest.raises(WorkflowFailureError) as caught:
            await stage.outcome()
    assert "the result is wrong" in str(caught.value.cause.__cause__)
    assert stage.workshop.released == []


async def test_event_waits_for_the_post_roll_by_the_messages_time_when_it_closes(
    client: Client, temporal_address: str
) -> None:
    late, early = EventStage(client, temporal_address), EventStage(client, temporal_address)
    late_last = closed(late.opened(ago_s=60), post_s=30)
    early_last = closed(early.opened(), post_s=1.5)
    async with late.everything():
        await late.send(late_last)
        assert (await late.outcome(10)).state == "ready"
    async with early.everything():
        await early.send(early_last)
        await early.outcome()
    history = await early.handle.fetch_history()
    [timer] = [e.timer_started_event_attributes for e in history.events if e.HasField("timer_started_event_attributes")]
    assert timedelta(seconds=0.5) < timer.start_to_fire_timeout.ToTimedelta() <= timedelta(seconds=1.5)
    assert not any(e.HasField("timer_started_event_attributes") for e in (await late.handle.fetch_history()).events)


async def test_event_shows_people_and_searches_what_it_does_when_it_runs(client: Client, temporal_address: str) -> None:
    stage = EventStage(client, temporal_address)
    first = stage.opened(ago_s=3)
    async with stage.everything():
        await stage.send(first)
        await until_details(stage, "opened, person")
        await stage.send(closed(replace(first, labels=("car",))))
        await stage.outcome()
        await until_details(stage, "ready")
    description = await stage.handle.describe()
    attributes = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert attributes["IrisCameraId"] == stage.camera_id
    assert attributes["IrisNodeId"] == stage.node_id
    assert attributes["IrisState"] == "ready"
    assert attributes["IrisKind"] == "event"
    assert "IrisEventStart" in attributes
    assert "person, since" in (await description.static_summary() or "")
