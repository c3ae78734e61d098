"""The paths of the OrphanPurge workflow that are recorded: one history each."""

from __future__ import annotations

from tests.builders.events import CAMERA_ID, uuid_of
from tests.workflows.purge_stage import PurgeStage
from tests.workflows.recording import recorded


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


CASES = {case.__name__: recorded(PurgeStage, case) for case in (dry_run, real_run, refused, unreadable, no_node)}
