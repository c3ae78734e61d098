"""The paths of the Node workflow, for the replay tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.client import WorkflowHandle

from iris.base.errors import InputError, StoreError
from iris.contracts.node import Repair
from tests.temporal_env import connect
from tests.workflows.node_stage import NodeStage, until, until_details


async def normal(address: str) -> WorkflowHandle[Any, Any]:
    """Rounds by the clock and by a word of change, one with a repair."""
    stage = NodeStage(await connect(address), address, every_s=0.3)
    stage.audit.repairs = [Repair("0193b0a0-0000-7000-8000-000000000001", "restarted", "it hung")]
    async with stage.iris(), stage.node():
        await stage.starter.tell(changed=True)
        await until(lambda: stage.audit.rounds >= 2, "two rounds")
        await stage.starter.tell(changed=True)
        await until(lambda: stage.audit.rounds >= 4, "more rounds")
        await stage.end()
    return stage.handle


async def gone_and_back(address: str) -> WorkflowHandle[Any, Any]:
    """The node is away for longer than three intervals, then answers again."""
    stage = NodeStage(await connect(address), address, every_s=0.2)
    async with stage.iris():
        await stage.starter.tell(changed=False)
        await until_details(stage, "The node is gone")
        async with stage.node():
            await until_details(stage, "The node answers again")
            await stage.end()
    return stage.handle


async def gone_with_the_database(address: str) -> WorkflowHandle[Any, Any]:
    """Node and database are away together."""
    stage = NodeStage(await connect(address), address, every_s=0.2)
    stage.records.error = InputError("no such table")  # not worth another try
    async with stage.iris():
        await stage.starter.tell(changed=False)
        await until_details(stage, "neither does the database")
        stage.records.error = None
        async with stage.node():
            await until_details(stage, "The node answers again")
            await stage.end()
    return stage.handle


async def failed_round(address: str) -> WorkflowHandle[Any, Any]:
    """One round fails for a moment, another for good."""
    stage = NodeStage(await connect(address), address, every_s=0.2)
    stage.audit.errors = [StoreError("away"), InputError("nothing to compare")]
    async with stage.iris(), stage.node():
        await stage.starter.tell(changed=False)
        await until_details(stage, "could not compare")
        await until_details(stage, "should run")
        await stage.end()
    return stage.handle


async def new_run(address: str) -> WorkflowHandle[Any, Any]:
    """The run that hands over to the next one."""
    stage = NodeStage(await connect(address), address, every_s=0.1)
    async with stage.iris(), stage.node():
        first = await stage.start_short_runs(2)
        await until(lambda: stage.audit.rounds >= 3, "a round of the next run")
        await stage.end()
    return stage.client.get_workflow_handle(first.id, run_id=first.first_execution_run_id)


CASES: dict[str, Callable[[str], Awaitable[WorkflowHandle[Any, Any]]]] = {
    case.__name__: case for case in (normal, gone_and_back, gone_with_the_database, failed_round, new_run)
}
