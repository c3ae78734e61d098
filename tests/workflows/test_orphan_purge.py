"""The OrphanPurge workflow, sandboxed, on a real server, over a real database and real files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

from iris.adapters.clock import SystemClock
from iris.adapters.purge_starter import start_purge_at_boot
from iris.domain.operation import OperationKind, OperationState
from tests.builders.events import CAMERA_ID, uuid_of
from tests.temporal_env import connect
from tests.workflows.purge_stage import PurgeStage
from tests.workflows.removal_stage import until

pytestmark = pytest.mark.e2e

LOST = f"recordings/{CAMERA_ID}/{uuid_of(9)}.mp4"


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address)


@pytest.fixture
async def stage(client: Client, temporal_address: str, tmp_path: Path) -> AsyncIterator[PurgeStage]:
    made = PurgeStage(client, temporal_address, tmp_path)
    made.place.file(LOST)
    yield made
    made.place.store.close()


async def test_purge_moves_orphans_into_quarantine_and_says_so(stage: PurgeStage) -> None:
    stage.place.file("quarantine/2020-01-01-old/recordings/x.mp4")
    await stage.ask(dry_run=False)
    async with stage.everything():
        outcome = await stage.result()
    assert (outcome.refusal, outcome.moved_count, outcome.deleted_count) == ("", 1, 1)
    operation = stage.operation
    assert operation.state is OperationState.DONE
    assert operation.result is not None
    node = operation.result["nodes"][stage.node_id]
    assert (node["orphan_count"], node["examples"], node["moved_bytes"]) == (1, [LOST], 100)
    assert f"{node['quarantine']}/{LOST}" in stage.place.files()
    assert LOST not in stage.place.files()
    assert str(stage.place.data_dir) not in (await stage.handle.fetch_history()).to_json()


async def test_dry_run_counts_and_moves_nothing(stage: PurgeStage) -> None:
    stage.place.file("quarantine/2020-01-01-old/recordings/x.mp4")
    before = stage.place.files()
    await stage.ask(dry_run=True)
    async with stage.everything():
        await stage.result()
    operation = stage.operation
    assert operation.state is OperationState.DONE
    assert operation.result is not None
    assert operation.result["dry_run"] is True
    node = operation.result["nodes"][stage.node_id]
    assert (node["orphan_count"], node["expired_count"], "moved_count" in node) == (1, 1, False)
    assert stage.place.files() == before


async def test_purge_refuses_and_the_operation_says_why(stage: PurgeStage) -> None:
    for number in range(100, 121):
        stage.place.file(f"thumbnails/{uuid_of(number)}.jpg")
    before = stage.place.files()
    await stage.ask(dry_run=False)
    async with stage.everything():
        outcome = await stage.result()
    operation = stage.operation
    assert operation.state is OperationState.FAILED
    assert operation.failure == f"Nothing was moved or deleted: {outcome.refusal}"
    assert "confirm it with a higher max_share" in outcome.refusal
    assert operation.result is not None
    assert operation.result["nodes"][stage.node_id]["orphan_count"] == 22
    assert stage.place.files() == before


async def test_purge_goes_on_where_a_person_confirmed_the_share(stage: PurgeStage) -> None:
    for number in range(100, 121):
        stage.place.file(f"thumbnails/{uuid_of(number)}.jpg")
    await stage.ask(dry_run=False, max_share=1.0)
    async with stage.everything():
        outcome = await stage.result()
    assert (outcome.refusal, outcome.moved_count) == ("", 22)


async def test_purge_leaves_out_a_host_that_gave_no_sign_of_life(stage: PurgeStage) -> None:
    silent = uuid_of(2, "d")
    stage.sign_of_life(silent, ago_s=3600)
    await stage.ask(dry_run=False)
    async with stage.everything():
        outcome = await stage.result()
    assert outcome.moved_count == 1
    assert stage.operation.result is not None
    assert stage.operation.result["silent_node_ids"] == [silent]


async def test_purge_after_a_start_makes_its_own_operation_once_an_hour(stage: PurgeStage) -> None:
    now_us = SystemClock().wall_us()
    for _start in range(3):
        await start_purge_at_boot(stage.link, stage.node_id, now_us, delay=timedelta(seconds=0))
    async with stage.everything():
        await until(lambda: any(state.finished for state in _purges(stage)), "the purge ended")
    assert _purges(stage) == [OperationState.DONE]
    assert LOST not in stage.place.files()


def _purges(stage: PurgeStage) -> list[OperationState]:
    with stage.place.store.reading() as work:
        rows, _ = work.operations.page(kind=OperationKind.ORPHAN_PURGE)
    return [row.state for row in rows]
