"""The keeper of operations: starts what was missed, ends what Temporal ended, forgets what is long over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.adapters.id_source import Uuid7Source
from iris.base.errors import InputError, StoreError, UnavailableError
from iris.domain.operation import OperationKind, OperationState, RemovalReason, WorkflowFate, WorkflowReport
from iris.store.engine import Store, open_store, sqlite_url
from iris.store.migrate import migrate
from iris.store.operations import OperationDraft, OperationRow
from tests.builders.events import event_message, finalise_request, uuid_of
from tests.fakes.clock import SimulatedClock
from tests.fakes.operation_starter import FakeOperationStarter
from workers.operation_keeper import OperationKeeper

DAY_S = 86_400


class Desk:
    """A keeper over a real database."""

    def __init__(self, store: Store) -> None:
        self.store, self.clock, self.starter = store, SimulatedClock(), FakeOperationStarter()
        self.keeper = OperationKeeper(store, self.starter, self.clock, Uuid7Source())

    def ask(self, number: int) -> OperationRow:
        draft = OperationDraft(
            operation_id=uuid_of(number, "a"), kind=OperationKind.BACKUP, workflow_id=f"backup:{number}", request={}
        )
        with self.store.writing() as work:
            return work.operations.ask(draft, self.clock.wall_us())

    def row(self, number: int) -> OperationRow:
        with self.store.reading() as work:
            return work.operations.get(uuid_of(number, "a"))

    def report(self, number: int, fate: WorkflowFate, reason: str = "") -> None:
        self.starter.reports[f"backup:{number}"] = WorkflowReport(fate, reason)

    def progress(self, number: int) -> None:
        with self.store.writing() as work:
            work.operations.progress(uuid_of(number, "a"), {"events": 5}, self.clock.wall_us())


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    url = sqlite_url(tmp_path / "vms.db")
    migrate(url)
    store = open_store(url)
    yield Desk(store)
    store.close()


async def test_keeper_starts_what_nobody_started_once(desk: Desk) -> None:
    task = desk.ask(1).task()
    await desk.keeper.round()
    await desk.keeper.round()
    assert desk.starter.started == [task]
    assert desk.row(1).state is OperationState.REQUESTED  # only its workflow says that it runs


async def test_keeper_starts_again_when_temporal_lost_its_database(desk: Desk) -> None:
    task = desk.ask(1).task()
    desk.progress(1)
    await desk.keeper.round()
    assert desk.starter.started == []  # it reported a moment ago
    desk.clock.advance_s(16)
    await desk.keeper.round()
    assert desk.starter.started == [task]


@pytest.mark.parametrize(
    ("fate", "words"),
    [
        (WorkflowFate.TERMINATED, "terminated"),
        (WorkflowFate.CANCELLED, "cancelled"),
        (WorkflowFate.TIMED_OUT, "out of time"),
        (WorkflowFate.COMPLETED, "without writing a result"),
        (WorkflowFate.FAILED, "failed; ask for it again. The reason given: the disk is gone"),
    ],
)
async def test_keeper_ends_an_operation_with_a_sentence_when_its_workflow_ended(
    desk: Desk, fate: WorkflowFate, words: str
) -> None:
    desk.ask(1)
    desk.progress(1)
    desk.clock.advance_s(60)
    desk.report(1, fate, "the disk is gone" if fate is WorkflowFate.FAILED else "")
    await desk.keeper.round()
    row = desk.row(1)
    assert row.state is OperationState.FAILED
    assert words in (row.failure or "")
    assert row.progress == {"events": 5}  # what was done until then stays visible
    await desk.keeper.round()
    assert desk.row(1) == row
    assert desk.starter.started == []


async def test_keeper_lets_a_result_stand_that_was_written_while_it_asked(desk: Desk) -> None:
    row = desk.ask(1)

    class Slow(FakeOperationStarter):
        async def report(self, workflow_id: str) -> WorkflowReport:
            with desk.store.writing() as work:
                work.operations.finish(row.operation_id, 1, result={"events": 1})
            return WorkflowReport(WorkflowFate.COMPLETED)

    await OperationKeeper(desk.store, Slow(), desk.clock, Uuid7Source()).round()
    assert (desk.row(1).state, desk.row(1).result) == (OperationState.DONE, {"events": 1})


async def test_keeper_fails_what_temporal_will_never_accept_and_starts_the_others(desk: Desk) -> None:
    desk.ask(1)
    second = desk.ask(2).task()

    class Picky(FakeOperationStarter):
        async def start(self, task: object) -> None:
            if task != second:
                raise InputError("Temporal refused it: too large")
            await super().start(second)

    starter = Picky()
    await OperationKeeper(desk.store, starter, desk.clock, Uuid7Source()).round()
    assert desk.row(1).failure == "Temporal does not accept it: Temporal refused it: too large"
    assert starter.started == [second]


async def test_keeper_leaves_everything_as_it_is_while_temporal_is_away(desk: Desk) -> None:
    row = desk.ask(1)
    desk.starter.error = UnavailableError("away")
    with pytest.raises(UnavailableError):
        await desk.keeper.round()
    assert desk.row(1) == row
    desk.starter.error = None
    await desk.keeper.round()
    assert [task.operation_id for task in desk.starter.started] == [row.operation_id]


async def test_keeper_goes_on_when_a_round_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.operation_keeper._ROUND_S", 0.01)
    task = desk.ask(1).task()
    desk.starter.error = StoreError("away")
    running = asyncio.create_task(desk.keeper.run())
    await asyncio.sleep(0)
    desk.starter.error = None
    async with asyncio.timeout(20):
        while not desk.starter.started:  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert desk.starter.started == [task]


async def test_keeper_takes_over_files_that_an_ended_operation_left(desk: Desk) -> None:
    desk.ask(1)
    desk.ask(2)
    with desk.store.writing() as work:
        for number in (1, 2, 3, 4):
            work.events.finalise(finalise_request(number), 1)
        for number, by in ((1, uuid_of(1, "a")), (2, uuid_of(2, "a")), (3, uuid_of(9, "a")), (4, None)):
            work.tombstones.entomb([uuid_of(number)], RemovalReason.DELETED, 5, operation_id=by)
        work.operations.finish(uuid_of(1, "a"), 6, result={}, failure="somebody terminated it")
    await desk.keeper.round()
    desk.clock.advance_s(3600)
    await desk.keeper.round()  # what is under way is left alone
    with desk.store.reading() as work:
        owners = {stone.event_id: stone.operation_id for stone in work.tombstones.unburied()}
        [made] = [row for row in work.operations.unfinished() if row.kind is OperationKind.EVENT_DELETION]
    assert (made.request, made.workflow_id) == ({"leftovers": 2}, f"events-delete:{made.operation_id}")
    assert owners == {
        uuid_of(1): made.operation_id, uuid_of(2): uuid_of(2, "a"), uuid_of(3): made.operation_id, uuid_of(4): None,
    }  # fmt: skip
    assert made.operation_id in {task.operation_id for task in desk.starter.started}
    with desk.store.writing() as work:  # it removes no row, only files
        work.events.finalise(finalise_request(5), 1)
        assert not work.removals.entomb_page(made.operation_id, 7).more
        assert len(work.events.some([uuid_of(5)])) == 1


async def test_keeper_forgets_what_ended_long_ago(desk: Desk) -> None:
    desk.ask(1)
    with desk.store.writing() as work:
        for number in (1, 2):
            work.events.finalise(finalise_request(number), 1)
        work.tombstones.entomb([uuid_of(1), uuid_of(2)], RemovalReason.DELETED, desk.clock.wall_us())
        work.tombstones.bury([uuid_of(1)], desk.clock.wall_us())
        work.operations.finish(uuid_of(1, "a"), desk.clock.wall_us(), result={})
    await desk.keeper.round()
    desk.clock.advance_s(91 * DAY_S)
    await desk.keeper.round()
    with desk.store.writing() as work:
        assert [stone.event_id for stone in work.tombstones.page()[0]] == [uuid_of(2)]
        assert work.operations.page()[0] == []
        assert work.events.record(event_message(2), 1).state == "deleted"
