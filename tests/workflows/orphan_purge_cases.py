"""The paths of the OrphanPurge workflow that are recorded: one history each."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowHandle

from tests.builders.events import CAMERA_ID, uuid_of
from tests.temporal_env import connect
from tests.workflows.purge_stage import PurgeStage


async def dry_run(stage: PurgeStage) -> None:
    """Counted, not moved."""
    stage.place.file(f"recordings/{CAMERA_ID}/{uuid_of(9)}.mp4")
    await stage.ask(dry_run=True)
    async with stage.everything():
        await stage.result()


async def real_run(stage: PurgeStage) -> None:
    """Moved into quarantine."""
    stage.place.file(f"recordings/{CAMERA_ID}/{uuid_of(9)}.mp4")
    await stage.ask(dry_run=False)
    async with stage.everything():
        await stage.result()


async def refused(stage: PurgeStage) -> None:
    """A folder whose disk is not mounted."""
    (stage.place.data_dir / "recordings" / ".iris-store").unlink()
    await stage.ask(dry_run=False)
    async with stage.everything():
        await stage.result()


async def unreadable(stage: PurgeStage) -> None:
    """A camera's own file that nothing can be judged with; tried, then given up."""
    stage.place.file(f"recordings/{CAMERA_ID}/{uuid_of(9)}.mp4")
    (stage.place.data_dir / "node" / f"{CAMERA_ID}.db").write_bytes(b"not a database, and of some length" * 50)
    await stage.ask(dry_run=False)
    async with stage.everything():
        await stage.result(seconds=600)


async def no_node(stage: PurgeStage) -> None:
    """No host gives a sign of life."""
    stage.sign_of_life(ago_s=3600)
    await stage.ask(dry_run=False)
    async with stage.everything():
        await stage.result()


def _recorded(case: Callable[[PurgeStage], Awaitable[None]]) -> Any:
    async def record(address: str) -> WorkflowHandle[Any, Any]:
        with tempfile.TemporaryDirectory() as folder:
            stage = PurgeStage(await connect(address), address, Path(folder))
            try:
                await case(stage)
            finally:
                stage.place.store.close()
            return stage.handle

    return record


CASES = {case.__name__: _recorded(case) for case in (dry_run, real_run, refused, unreadable, no_node)}
