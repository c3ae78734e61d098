"""The paths of the Retention workflow that are recorded: one history each."""

from __future__ import annotations

from iris.retention.policy import RetentionPolicy
from tests.builders.kept_footage import CLIP_BYTES
from tests.workflows.recording import recorded
from tests.workflows.retention_stage import RetentionStage


async def idle(stage: RetentionStage) -> None:
    """By schedule, and nothing has to go."""
    stage.sign_of_life(wants_pass=False)
    async with stage.iris():
        await stage.start()
        await stage.result()


async def scheduled(stage: RetentionStage) -> None:
    """By schedule: some are too old, and the disk is full."""
    for number in range(1, 4):
        stage.footage.keep(number, age_days=8)
    for number in range(4, 91):
        stage.footage.keep(number)
    stage.sign_of_life()
    async with stage.iris(), stage.node():
        await stage.start()
        await stage.result()


async def by_hand(stage: RetentionStage) -> None:
    """A person asked."""
    stage.footage.keep(1, age_days=8)
    stage.sign_of_life(wants_pass=False)
    stage.ask()
    async with stage.iris(), stage.node():
        await stage.start()
        await stage.result()


async def in_parts(stage: RetentionStage) -> None:
    """A pass that is longer than one call of the node."""
    for number in range(1, 191):
        stage.footage.keep(number)
    with stage.store.writing() as work:
        work.retention.set_policy(RetentionPolicy(high_water=0.8, low_water=0.2), 1)
    stage.footage.disk_bytes = 200 * CLIP_BYTES
    stage.sign_of_life()
    stage.ask()
    stage.footage.slow_s = 130
    async with stage.iris(), stage.node():
        await stage.start()
        await stage.result()


async def refused(stage: RetentionStage) -> None:
    """The node cannot do it and says why."""
    stage.sign_of_life()
    stage.ask()
    stage.footage.refuses = True
    async with stage.iris(), stage.node():
        await stage.start()
        await stage.result()


CASES = {case.__name__: recorded(RetentionStage, case) for case in (idle, scheduled, by_hand, in_parts, refused)}
