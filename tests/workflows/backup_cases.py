"""The paths of the Backup workflow that are recorded: one history each."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError, WorkflowHandle

from tests.temporal_env import connect
from tests.workflows.backup_stage import BackupStage


async def scheduled(stage: BackupStage) -> None:
    """By schedule."""
    stage.sign_of_life()
    async with stage.iris(), stage.node():
        await stage.start()
        await stage.result()


async def by_hand(stage: BackupStage) -> None:
    """A person asked."""
    stage.sign_of_life()
    stage.ask()
    async with stage.iris(), stage.node():
        await stage.start()
        await stage.result()


async def refused(stage: BackupStage) -> None:
    """It can never be made, and the operation says why."""
    stage.sign_of_life()
    stage.ask()
    with stage.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM store")
    async with stage.iris(), stage.node():
        await stage.start()
        with contextlib.suppress(WorkflowFailureError):
            await stage.result()


async def refused_by_schedule(stage: BackupStage) -> None:
    """Nobody asked, so only the workflow fails."""
    stage.sign_of_life()
    with stage.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM store")
    async with stage.iris(), stage.node():
        await stage.start()
        with contextlib.suppress(WorkflowFailureError):
            await stage.result()


def _recorded(case: Callable[[BackupStage], Awaitable[None]]) -> Any:
    async def record(address: str) -> WorkflowHandle[Any, Any]:
        with tempfile.TemporaryDirectory() as folder:
            stage = BackupStage(await connect(address), address, Path(folder))
            try:
                await case(stage)
            finally:
                stage.store.close()
            return stage.handle

    return record


CASES = {case.__name__: _recorded(case) for case in (scheduled, by_hand, refused, refused_by_schedule)}
