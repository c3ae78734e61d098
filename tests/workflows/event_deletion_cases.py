"""The paths of the EventDeletion workflow that are recorded: one history each."""

from __future__ import annotations

from tests.workflows.recording import recorded
from tests.workflows.removal_stage import RemovalStage, until


async def normal(stage: RemovalStage) -> None:
    """Two go, one is on hold, one is open."""
    for number in (1, 2, 3):
        stage.finished_event(number)
    stage.open_event(4)
    stage.hold(2)
    stage.ask()
    async with stage.iris(), stage.node():
        await stage.start()
        await stage.result()


async def nothing(stage: RemovalStage) -> None:
    """There is nothing to delete."""
    stage.ask()
    async with stage.iris():
        await stage.start()
        await stage.result()


async def node_down(stage: RemovalStage) -> None:
    """The host is away when its files are due."""
    stage.finished_event(1)
    stage.ask()
    async with stage.iris():
        await stage.start()
        await until(lambda: stage.unburied() == 1, "the row is gone")
        async with stage.node():
            await stage.result()


async def continued(stage: RemovalStage) -> None:
    """More than one run holds: the last run of several."""
    for number in range(1, 402):
        stage.finished_event(number)
    stage.ask()
    async with stage.iris(), stage.node():
        await stage.start(pages_per_run=1)
        await stage.result()


CASES = {case.__name__: recorded(RemovalStage, case) for case in (normal, nothing, node_down, continued)}
