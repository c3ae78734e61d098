"""The EventDeletion workflow, sandboxed, on a real server, over a real database and real files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from iris.contracts.removal import EventDeletionResult
from iris.domain.operation import OperationState, WorkflowFate
from iris.store.events import EventFilters
from iris.store.removals import EventSelection
from tests.builders.events import START_US, S, uuid_of
from tests.temporal_env import connect
from tests.workflows.removal_stage import RemovalStage, until

pytestmark = pytest.mark.e2e


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address)


@pytest.fixture
async def stage(client: Client, temporal_address: str, tmp_path: Path) -> AsyncIterator[RemovalStage]:
    made = RemovalStage(client, temporal_address, tmp_path, nodes=2)
    yield made
    made.store.close()


def kept(stage: RemovalStage) -> list[str]:
    with stage.store.reading() as work:
        rows, _ = work.events.page(EventFilters(), limit=500)
    return sorted(row.event_id for row in rows)


async def test_deletion_removes_what_is_selected_and_counts_what_is_left(stage: RemovalStage) -> None:
    for number in (1, 2, 3):
        stage.finished_event(number)
    stage.open_event(4)
    stage.hold(2)
    stage.ask()
    async with stage.iris(), stage.node():
        await stage.start()
        result = await stage.result()
    assert result == EventDeletionResult(events=2, files=4, size_bytes=2000, left_held=1, left_open=1)
    assert kept(stage) == [uuid_of(2), uuid_of(4)]
    assert all(uuid_of(2) in name for name in stage.files())
    assert len(stage.files()) == 3
    operation = stage.operation
    assert operation.state is OperationState.DONE
    assert operation.result == {
        "events": 2, "files": 4, "size_bytes": 2000, "left_held": 1, "left_open": 1, "not_found": 0,
    }  # fmt: skip
    assert operation.progress["buried"] == 2
    assert stage.unburied() == 0
    history = (await stage.handle.fetch_history()).to_json()
    assert str(stage.data_dir) not in history


async def test_deletion_counts_each_event_once_when_it_takes_several_runs(stage: RemovalStage) -> None:
    for number in range(1, 452):
        stage.finished_event(number)
    stage.hold(7)
    stage.ask()
    async with stage.iris(), stage.node():
        await stage.start(pages_per_run=1)
        result = await stage.result(60)
    assert (result.events, result.files, result.left_held) == (450, 900, 1)
    assert kept(stage) == [uuid_of(7)]
    assert len(stage.files()) == 3
    assert stage.operation.progress["buried"] == 450


async def test_deletion_waits_for_a_host_that_is_down_and_lets_no_other_wait(stage: RemovalStage) -> None:
    stage.finished_event(1, node=0)
    stage.finished_event(2, node=1)
    stage.ask()
    async with stage.iris(), stage.node(0):
        await stage.start()
        await until(lambda: stage.unburied() == 1, "the files of the host that is up are gone")
        assert kept(stage) == []
        assert all(uuid_of(2) in name for name in stage.files())
        assert stage.operation.state is OperationState.RUNNING
        async with stage.node(1):
            assert (await stage.result()).events == 2
    assert stage.files() == set()


async def test_deletion_goes_on_where_it_was_when_temporal_lost_it(stage: RemovalStage) -> None:
    for number in range(1, 4):
        stage.finished_event(number)
    stage.ask()
    with stage.store.writing() as work:  # a run that was lost had removed the rows
        work.removals.entomb_page(stage.operation_id, 1)
    stage.finished_event(9)
    async with stage.iris(), stage.node():
        await stage.start()
        assert await stage.result() == EventDeletionResult(events=3, files=6, size_bytes=3000)
    assert kept(stage) == [uuid_of(9)]


async def test_deletion_of_named_events_leaves_all_others(stage: RemovalStage) -> None:
    for number in (1, 2, 3):
        stage.finished_event(number)
    stage.ask(EventSelection(event_ids=(uuid_of(1), uuid_of(77), uuid_of(3))))
    async with stage.iris(), stage.node():
        await stage.start()
        result = await stage.result()
    assert (result.events, result.not_found) == (2, 1)
    assert kept(stage) == [uuid_of(2)]


async def test_deletion_spares_what_was_recorded_after_it_was_asked_for(stage: RemovalStage) -> None:
    stage.finished_event(1)
    row = stage.ask(EventSelection(EventFilters(to_us=START_US + 900 * S)))
    stage.finished_event(2)
    with stage.store.engine.begin() as connection:
        connection.exec_driver_sql(
            f"UPDATE events SET created_us = {row.created_us + 1} WHERE event_id = '{uuid_of(2)}'"
        )
    async with stage.iris(), stage.node():
        await stage.start()
        assert (await stage.result()).events == 1
    assert kept(stage) == [uuid_of(2)]


async def test_report_tells_what_became_of_a_workflow(stage: RemovalStage) -> None:
    workflow_id = stage.ask().workflow_id
    assert (await stage.starter.report(workflow_id)).fate is WorkflowFate.UNKNOWN
    await stage.start()
    await stage.start()  # again changes nothing
    assert (await stage.starter.report(workflow_id)).fate is WorkflowFate.RUNNING
    async with stage.iris(), stage.node():
        await stage.result()
    assert (await stage.starter.report(workflow_id)).fate is WorkflowFate.COMPLETED
    await stage.start()  # once is enough
    assert (await stage.starter.report(workflow_id)).fate is WorkflowFate.COMPLETED


async def test_report_has_the_sentence_of_a_workflow_that_failed(stage: RemovalStage) -> None:
    task = stage.ask().task()
    with stage.store.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM operations")
    async with stage.iris():
        await stage.starter.start(task)
        await until_ended(stage, task.workflow_id)
    report = await stage.starter.report(task.workflow_id)
    assert report.fate is WorkflowFate.FAILED
    assert report.reason == f"there is no operation {stage.operation_id}"


async def until_ended(stage: RemovalStage, workflow_id: str) -> None:
    for _ in range(1000):
        if (await stage.starter.report(workflow_id)).fate is not WorkflowFate.RUNNING:
            return
    raise AssertionError("the workflow did not end")


async def test_report_says_that_somebody_terminated_it(stage: RemovalStage) -> None:
    task = stage.ask().task()
    await stage.start()
    await stage.handle.terminate("by hand")
    assert (await stage.starter.report(task.workflow_id)).fate is WorkflowFate.TERMINATED
