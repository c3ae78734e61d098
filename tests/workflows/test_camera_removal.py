"""The CameraDeletion and CameraRepoint workflows, sandboxed, on a real server, over a real database and real files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from iris.base.errors import NotFoundError, UnavailableError
from iris.domain.operation import OperationState
from iris.store.events import EventFilters
from tests.temporal_env import connect
from tests.workflows.camera_removal_stage import CameraRemovalStage
from tests.workflows.removal_stage import until

pytestmark = pytest.mark.e2e


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address)


@pytest.fixture
async def stage(client: Client, temporal_address: str, tmp_path: Path) -> AsyncIterator[CameraRemovalStage]:
    made = CameraRemovalStage(client, temporal_address, tmp_path)
    yield made
    made.close()


def rows(stage: CameraRemovalStage) -> int:
    with stage.store.reading() as work:
        return len(work.events.page(EventFilters(leaving=True), limit=500)[0])


async def test_deletion_leaves_nothing_and_certifies_what_went(stage: CameraRemovalStage) -> None:
    for number in (1, 2, 3):
        stage.finished_event(number)
    stage.accepted_event(4)
    stage.file(f"hls/{stage.camera_id}/part.m4s")
    stage.file(f"quarantine/2026-11-23-x/recordings/{stage.camera_id}/odd.mp4")
    stage.file(f"recordings/.quarantine/2026-11-23-x/segments/{stage.camera_id}/odd.mp4")
    stage.file("recordings/another/clip.mp4")
    stage.ask()
    async with stage.everything():
        await stage.start()
        end = await stage.result()
    assert (end.remaining, end.summary) == (0, "4 events and 3 clip files were removed")
    assert stage.left() == ["recordings/another/clip.mp4"]
    assert stage.marks.events_of(stage.camera_id) == []
    assert rows(stage) == 0
    operation = stage.operation
    assert operation.state is OperationState.DONE
    assert operation.result is not None
    certificate = dict(operation.result)
    assert certificate.pop("finished_at") > certificate.pop("started_at")
    assert certificate == {
        "camera_id": stage.camera_id, "node_ids": [stage.node_id], "event_count": 4, "clips": 3, "thumbnails": 3,
        "events": {"open": 0, "closing": 0, "ready": 3, "partial": 0, "failed": 0, "not_recorded": 1},
        "clip_files": 3, "clip_bytes": 3000, "segment_files": 1, "segment_bytes": 1000, "pending_files": 1,
        "live_files": 1, "quarantine_files": 2, "outbox_rows": 1, "gap_rows": 0, "remaining": 0,
    }  # fmt: skip
    with stage.store.writing() as work:
        with pytest.raises(NotFoundError):
            work.cameras.lock(stage.camera_id)
        assert work.events.record(stage.message(9), 1).state == "deleted", "late messages are kept away"
    assert str(stage.data_dir) not in (await stage.handle.fetch_history()).to_json()


async def test_deletion_waits_for_its_host_and_for_a_process_that_takes_its_time(stage: CameraRemovalStage) -> None:
    stage.finished_event(1)
    stage.ask()
    stage.switch.errors = [UnavailableError("A process of this camera has not ended yet.")]
    async with stage.iris():
        await stage.start()
        await until(lambda: "started_at" in stage.operation.progress, "it has begun")
        assert rows(stage) == 1, "nothing goes before the camera has stopped"
        async with stage.node():
            await stage.result()
    assert (stage.switch.stopped, stage.left()) == (2, [])


async def test_deletion_ends_the_workflow_of_an_event_that_nobody_would_close(stage: CameraRemovalStage) -> None:
    message = stage.accepted_event(1)
    async with stage.everything():
        await stage.deliver(message)
        await until(lambda: rows(stage) == 1, "the event is recorded as open")
        stage.ask()
        await stage.start()
        await stage.result()
        async with asyncio.timeout(20):
            outcome = await stage.event_handle(message).result()
    assert outcome.state == "deleted"
    assert stage.left() == []


async def test_deletion_counts_each_event_once_when_it_takes_several_runs(stage: CameraRemovalStage) -> None:
    for number in range(1, 452):
        stage.finished_event(number)
    stage.ask()
    async with stage.everything():
        await stage.start(pages_per_run=2)
        await stage.result(90)
    assert stage.operation.result is not None
    assert (stage.operation.result["event_count"], stage.operation.result["clip_files"]) == (451, 451)
    assert stage.left() == []


async def test_deletion_certifies_the_same_when_temporal_lost_it_half_way(stage: CameraRemovalStage) -> None:
    for number in (1, 2, 3):
        stage.finished_event(number)
    stage.ask()
    async with stage.everything():
        with stage.gate.working(stage.camera_id):  # the files wait for whoever works with them
            await stage.start()
            await until(lambda: rows(stage) == 0, "the rows are gone")
            await stage.handle.terminate("as a lost database of Temporal would")
        # The worker starts what was asked for and is unknown; another id stands for the lost one.
        await stage.client.start_workflow(
            "CameraDeletion", {"operation_id": stage.operation_id, "camera_id": stage.camera_id},
            id=f"again:{stage.operation_id}", task_queue="iris",
        )  # fmt: skip
        async with asyncio.timeout(40):
            await stage.client.get_workflow_handle(f"again:{stage.operation_id}").result()
    assert stage.operation.result is not None
    assert (stage.operation.result["event_count"], stage.operation.result["clip_files"]) == (3, 3)


async def test_repoint_keeps_the_camera_and_has_it_started(stage: CameraRemovalStage) -> None:
    stage.finished_event(1)
    message = stage.accepted_event(2)
    stage.ask_repoint()
    async with stage.everything():
        await stage.start()
        await stage.result()
    assert (stage.left(), stage.switch.resumed) == ([], 1)
    with stage.store.writing() as work:
        assert work.cameras.lock(stage.camera_id).purging_us is None
        assert work.events.record(message, 1).state == "deleted"
        assert work.events.record(stage.message(9), 1).state == "open"


async def test_repoints_follow_one_another_and_the_newest_has_the_camera_started(stage: CameraRemovalStage) -> None:
    stage.finished_event(1)
    first, second = stage.ask_repoint(), stage.ask_repoint()
    async with stage.everything():
        await stage.start()
        stage.operation_id = first.operation_id
        await stage.start()
        await stage.result()
        with stage.store.reading() as work:
            purging = work.cameras.get(stage.camera_id).purging_us
        stage.operation_id = second.operation_id
        await stage.result()
    assert purging is not None
    with stage.store.reading() as work:
        assert work.cameras.get(stage.camera_id).purging_us is None
        assert work.operations.get(first.operation_id).result["event_count"] == 1  # type: ignore[index]  # it is done
