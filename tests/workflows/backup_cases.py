"""The paths of the Backup workflow that are recorded: one history each."""

from __future__ import annotations

import contextlib

from temporalio.client import WorkflowFailureError

from tests.workflows.backup_stage import BackupStage
from tests.workflows.recording import recorded


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


CASES = {case.__name__: recorded(BackupStage, case) for case in (scheduled, by_hand, refused, refused_by_schedule)}
