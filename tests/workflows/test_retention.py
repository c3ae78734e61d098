"""The Retention workflow, sandboxed, on a real server, over a real database and real files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from iris.contracts.retention import RetentionResult
from iris.domain.operation import OperationState
from iris.retention.policy import RetentionPolicy
from tests.builders.events import uuid_of
from tests.builders.kept_footage import CLIP_BYTES
from tests.temporal_env import connect
from tests.workflows.retention_stage import RetentionStage

pytestmark = pytest.mark.e2e


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address)


@pytest.fixture
async def stage(client: Client, temporal_address: str, tmp_path: Path) -> AsyncIterator[RetentionStage]:
    made = RetentionStage(client, temporal_address, tmp_path)
    yield made
    made.store.close()


async def test_pass_by_schedule_removes_what_is_too_old_and_what_the_disk_needs(stage: RetentionStage) -> None:
    for number in (1, 2):
        stage.footage.keep(number, age_days=8)
    stage.footage.keep(3, age_days=8, held=True)
    for number in range(4, 92):
        stage.footage.keep(number)
    stage.sign_of_life()
    async with stage.iris(), stage.node():
        await stage.start()
        result = await stage.result()
    assert result == RetentionResult(age_count=2, space_count=9, freed_bytes=11 * CLIP_BYTES)
    assert stage.footage.events() == {3, *range(13, 92)}
    assert stage.footage.tombstones() == {1: "age", 2: "age"} | dict.fromkeys(range(4, 13), "space")


async def test_pass_by_schedule_asks_no_node_that_has_nothing_to_do_or_is_silent(stage: RetentionStage) -> None:
    stage.footage.keep(1, age_days=8)
    stage.sign_of_life(wants_pass=False)
    stage.sign_of_life(node_id=uuid_of(5, "d"), age_s=61)
    async with stage.iris():  # no node would answer
        await stage.start()
        assert await stage.result() == RetentionResult(silent_nodes=1)
    assert stage.footage.events() == {1}


async def test_pass_by_hand_ends_its_operation_with_what_went(stage: RetentionStage) -> None:
    stage.footage.keep(1, age_days=8)
    stage.footage.keep(2)
    stage.sign_of_life(wants_pass=False)
    stage.ask()
    async with stage.iris(), stage.node():
        await stage.start()
        await stage.result()
    operation = stage.operation
    assert operation.state is OperationState.DONE
    assert operation.result == {
        "age_count": 1, "space_count": 0, "freed_bytes": CLIP_BYTES, "silent_nodes": 0, "notes": [],
    }  # fmt: skip
    with stage.store.reading() as work:
        (stone,) = work.tombstones.page()[0]
    assert (stone.event_id, stone.operation_id) == (uuid_of(1), stage.operation_id)


async def test_pass_says_that_a_person_has_to_confirm_and_goes_on_when_one_did(stage: RetentionStage) -> None:
    for number in range(1, 30):
        stage.footage.keep(number, age_days=8)
    stage.sign_of_life()
    async with stage.iris(), stage.node():
        await stage.start()
        result = await stage.result()
        assert (result.age_count, len(result.notes)) == (0, 1)
        assert "until a person confirms" in result.notes[0]
        assert len(stage.footage.events()) == 29
        stage.workflow_id += "-confirmed"
        stage.ask(confirmed=True)
        await stage.start()
        assert (await stage.result()).age_count == 29


async def test_long_pass_goes_on_in_parts_down_to_low_water(stage: RetentionStage) -> None:
    for number in range(1, 191):
        stage.footage.keep(number)
    with stage.store.writing() as work:
        work.retention.set_policy(RetentionPolicy(high_water=0.8, low_water=0.2), 1)
    stage.footage.disk_bytes = 200 * CLIP_BYTES
    stage.sign_of_life()
    stage.footage.slow_s = 130
    async with stage.iris(), stage.node():
        await stage.start()
        assert (await stage.result()).space_count == 150
    assert stage.footage.events() == set(range(151, 191))


async def test_pass_tells_why_a_node_could_not_do_it(stage: RetentionStage) -> None:
    stage.footage.keep(1, age_days=8)
    stage.sign_of_life()
    stage.footage.refuses = True
    async with stage.iris(), stage.node():
        await stage.start()
        result = await stage.result()
    assert result.notes == (f"node {stage.footage.node_id}: a failure that no second try mends",)
