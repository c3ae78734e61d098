"""The Backup workflow, sandboxed, on a real server, over a real database and real files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowFailureError

from iris.domain.operation import OperationState
from iris.pipeline.backup.finish import finished_backups
from tests.builders.events import CAMERA_ID, uuid_of
from tests.temporal_env import connect
from tests.workflows.backup_stage import BackupStage

pytestmark = pytest.mark.e2e


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address)


@pytest.fixture
async def stage(client: Client, temporal_address: str, tmp_path: Path) -> AsyncIterator[BackupStage]:
    made = BackupStage(client, temporal_address, tmp_path)
    yield made
    made.store.close()


async def test_backup_by_hand_ends_its_operation_with_what_is_in_it(stage: BackupStage) -> None:
    stage.sign_of_life()
    stage.ask()
    async with stage.iris(), stage.node():
        await stage.start()
        result = await stage.result()
    [(path, manifest)] = finished_backups(stage.target)
    assert (result.name, result.events, result.damaged) == (path.name, 3, 0)
    assert manifest.counts["operations"] == 1
    clips = path / "nodes" / stage.node_id / "recordings" / CAMERA_ID
    assert {clip.stem for clip in clips.iterdir()} == {uuid_of(number) for number in (1, 2, 3)}
    assert stage.operation.state is OperationState.DONE
    assert (stage.operation.result or {})["name"] == path.name
    assert stage.clip(1).samefile(clips / stage.clip(1).name)


async def test_backup_waits_when_no_node_gives_a_sign_of_life(stage: BackupStage) -> None:
    async with stage.iris(), stage.node():
        await stage.start()

        async def waits() -> bool:
            description = await stage.handle.describe()
            pending = description.raw_description.pending_activities
            return any("No node gives a sign of life" in item.last_failure.message for item in pending)

        async with asyncio.timeout(30):
            while not await waits():  # noqa: ASYNC110 - Temporal rings no bell for a failed try
                await asyncio.sleep(0.05)
        stage.sign_of_life()
        assert (await stage.result()).events == 3


async def test_backup_fails_with_its_reason_when_it_can_never_be_made(stage: BackupStage) -> None:
    stage.sign_of_life()
    stage.ask()
    with stage.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM store")
    async with stage.iris(), stage.node():
        await stage.start()
        with pytest.raises(WorkflowFailureError):
            await stage.result()
    assert stage.operation.state is OperationState.FAILED
    assert "never paired" in str(stage.operation.failure)
    assert list(finished_backups(stage.target)) == []
