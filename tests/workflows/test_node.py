"""The Node workflow, sandboxed, on a real server, with the real activities over fakes of their ports."""

from __future__ import annotations

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from iris.base.errors import StoreError
from iris.contracts.node import NODE_UP, NodeLife, Repair
from tests.fakes.node_audit import T_US
from tests.temporal_env import connect
from tests.workflows.node_stage import NodeStage, until, until_details

pytestmark = pytest.mark.e2e
CAMERA = "0193b0a0-0000-7000-8000-000000000001"


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address)


async def test_node_is_looked_at_again_and_again_and_at_once_when_told_of_a_change(
    client: Client, temporal_address: str
) -> None:
    often = NodeStage(client, temporal_address, every_s=0.1)
    seldom = NodeStage(client, temporal_address, every_s=600)
    async with often.iris(), often.node(), seldom.node():
        await often.starter.tell(changed=False)
        await until(lambda: often.audit.rounds >= 3, "three rounds by the clock")
        await seldom.starter.tell(changed=True)
        await until_details(seldom, "3 camera(s) should run, 2 do")
        rounds = seldom.audit.rounds
        await seldom.starter.tell(changed=True)
        await until(lambda: seldom.audit.rounds > rounds, "a round for the word")
        await often.end()
        await seldom.end()


async def test_node_is_started_once_when_it_is_told_again_and_anew_when_somebody_ended_it(
    client: Client, temporal_address: str
) -> None:
    stage = NodeStage(client, temporal_address)
    async with stage.iris(), stage.node():
        await stage.starter.tell(changed=True)
        first = (await stage.handle.describe()).run_id
        await stage.starter.tell(changed=False)
        assert (await stage.handle.describe()).run_id == first
        await stage.end()
        await stage.starter.tell(changed=False)
        assert (await stage.handle.describe()).run_id != first
        await stage.end()


async def test_repairs_are_shown_to_people_and_counted(client: Client, temporal_address: str) -> None:
    stage = NodeStage(client, temporal_address, every_s=0.2)
    stage.audit.repairs = [Repair(CAMERA, "restarted", "it hung"), Repair(CAMERA, "ended", "nobody knew it")]
    stage.audit.store_answered = False
    async with stage.iris(), stage.node():
        await stage.starter.tell(changed=False)
        await until_details(stage, "2 repair(s) so far")
        shown = await stage.details()
        assert f"restarted camera {CAMERA}: it hung" in shown
        assert "as last known: the database did not answer" in shown
        assert await stage.state() == "up"
        await stage.end()


async def test_node_reads_as_gone_when_it_does_not_answer_and_is_back_when_it_does(
    client: Client, temporal_address: str
) -> None:
    stage = NodeStage(client, temporal_address, every_s=0.2)
    async with stage.iris():
        await stage.starter.tell(changed=False)
        await until_details(stage, "The node is gone, last heard of at 2023-11-14 22:13:20Z; 3 camera(s) wait for it.")
        assert await stage.state() == "gone"
        assert stage.records.asked == [stage.node_id]
        async with stage.node():
            await until_details(stage, "The node answers again")
            await until(lambda: stage.audit.rounds >= 2, "further rounds")
            assert await stage.state() == "up"
            assert len(stage.records.asked) == 2, "gone once, back once"
            await stage.end()


async def test_node_that_lives_but_takes_no_work_is_not_called_gone(client: Client, temporal_address: str) -> None:
    stage = NodeStage(client, temporal_address, every_s=0.2)
    stage.records.answer = NodeLife(NODE_UP, T_US, 3)
    async with stage.iris():
        await stage.starter.tell(changed=False)
        await until_details(stage, "The node lives, yet takes no work from Temporal")
        await stage.end()


async def test_next_run_goes_on_with_the_counts_of_the_last(client: Client, temporal_address: str) -> None:
    stage = NodeStage(client, temporal_address, every_s=0.05)
    stage.audit.repairs = [Repair(CAMERA, "started", "it should run and did not")]
    async with stage.iris(), stage.node():
        first = await stage.start_short_runs(3)
        await until(lambda: stage.audit.rounds >= 5, "rounds of the next run")
        await until_details(stage, "1 repair(s) so far, the newest: 2023-11-14 22:13:20Z: started camera")
        before = client.get_workflow_handle(first.id, run_id=first.first_execution_run_id)
        assert (await before.describe()).status == WorkflowExecutionStatus.CONTINUED_AS_NEW
        await stage.end()


async def test_round_is_tried_again_when_the_node_fails_for_a_moment(client: Client, temporal_address: str) -> None:
    stage = NodeStage(client, temporal_address)
    stage.audit.errors = [StoreError("away for a moment")]
    async with stage.iris(), stage.node():
        await stage.starter.tell(changed=False)
        await until_details(stage, "should run")
        assert stage.audit.rounds == 2
        await stage.end()
