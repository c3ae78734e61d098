"""Event deletions: what they select, page by page, counted once; over rows a test of the workflow does not reach."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from iris.base.errors import InputError, NotFoundError
from iris.base.ids import CameraId, EventId
from iris.contracts.removal import BurialPlace, BuriedEvents, EventDeletionResult, EventDeletionStart, EventPlace
from iris.domain.event import EventState
from iris.domain.operation import OperationKind, OperationState
from iris.store import removals
from iris.store.engine import Store
from iris.store.events import EventFilters
from iris.store.operation_records import StoreEventRemovals
from iris.store.operations import OperationDraft
from iris.store.removals import EventSelection
from tests.builders.events import CAMERA_ID, NODE_ID, START_US, S, event_message, finalise_request, uuid_of
from tests.fakes.clock import SimulatedClock

OPERATION = uuid_of(1, "a")
START = EventDeletionStart(OPERATION)


def finished(store: Store, *numbers: int) -> None:
    with store.writing() as work:
        for number in numbers:
            work.events.finalise(finalise_request(number), number)


def ask(store: Store, selection: EventSelection | None = None, now_us: int = 1000) -> None:
    draft = OperationDraft(
        operation_id=OPERATION, kind=OperationKind.EVENT_DELETION, workflow_id=f"events-delete:{OPERATION}",
        request=(selection or EventSelection()).request(),
    )  # fmt: skip
    with store.writing() as work:
        work.operations.ask(draft, now_us)


def left(store: Store) -> list[str]:
    with store.reading() as work:
        return sorted(row.event_id for row in work.events.page(EventFilters())[0])


@pytest.mark.parametrize(
    "selection",
    [
        EventSelection(),
        EventSelection(event_ids=(uuid_of(2), uuid_of(1))),
        EventSelection(
            EventFilters(camera_id=CameraId(CAMERA_ID), from_us=START_US, to_us=START_US + 1, label="person",
                         state=EventState.READY)
        ),
    ],
)  # fmt: skip
def test_selection_is_the_same_when_it_was_kept_in_a_row(store: Store, selection: EventSelection) -> None:
    ask(store, selection)
    with store.reading() as work:
        assert EventSelection.of_request(work.operations.get(OPERATION).request) == selection


@pytest.mark.parametrize("request_", [{}, {"leftovers": 1}, {"from_": "x"}])
def test_nothing_goes_when_a_request_does_not_say_what(request_: dict[str, object]) -> None:
    with pytest.raises(InputError):
        EventSelection.of_request(request_)


def test_pages_are_walked_once_and_counted_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "PAGE_EVENTS", 3)
    finished(store, *range(1, 8))
    with store.writing() as work:
        work.holds.put(EventId(uuid_of(6)), "", 1)
        work.events.record(event_message(8), 8)
    ask(store)
    events = StoreEventRemovals(store, SimulatedClock())
    pages = [events.entomb_page(START) for _ in range(5)]
    assert [page.more for page in pages] == [True, True, False, False, False]
    assert [page.counts.events for page in pages] == [1, 4, 6, 6, 6]
    assert pages[-1].counts == EventDeletionResult(events=6, files=12, size_bytes=6000, left_held=1, left_open=1)
    assert left(store) == [uuid_of(6), uuid_of(8)]


def test_named_events_are_walked_in_pages_too(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removals, "PAGE_EVENTS", 2)
    finished(store, 1, 2, 3)
    ask(store, EventSelection(event_ids=(uuid_of(77), uuid_of(3), uuid_of(78), uuid_of(1), uuid_of(79))))
    events = StoreEventRemovals(store, SimulatedClock())
    pages = [events.entomb_page(START) for _ in range(3)]
    assert [page.more for page in pages] == [True, True, False]
    assert pages[-1].counts == EventDeletionResult(events=2, files=4, size_bytes=2000, not_found=3)
    assert left(store) == [uuid_of(2)]


def test_page_counts_once_when_two_attempts_of_a_step_run_at_once(store: Store) -> None:
    finished(store, *range(1, 41))
    ask(store)
    events = StoreEventRemovals(store, SimulatedClock())
    gate = threading.Barrier(4)

    def attempt() -> EventDeletionResult:
        gate.wait(10)
        return events.entomb_page(START).counts

    with ThreadPoolExecutor(4) as pool:
        counts = {future.result(30) for future in [pool.submit(attempt) for _ in range(4)]}
    assert counts == {EventDeletionResult(events=40, files=80, size_bytes=40_000)}


def test_burials_of_two_hosts_at_once_are_all_counted(store: Store) -> None:
    finished(store, *range(1, 21))
    ask(store)
    events = StoreEventRemovals(store, SimulatedClock())
    events.entomb_page(START)
    with ThreadPoolExecutor(4) as pool:
        for future in [
            pool.submit(events.bury, BuriedEvents(OPERATION, (uuid_of(number), uuid_of(number + 1))))
            for number in [*range(1, 20, 2), 1, 3]
        ]:
            future.result(30)
    with store.reading() as work:
        operation = work.operations.get(OPERATION)
    assert operation.progress["buried"] == 20
    assert operation.state is OperationState.RUNNING
    assert events.waiting_nodes(OPERATION) == ()


def test_files_that_wait_are_those_of_this_operation_and_node(store: Store) -> None:
    finished(store, 1)
    ask(store)
    events = StoreEventRemovals(store, SimulatedClock())
    events.entomb_page(START)
    assert events.waiting_nodes(OPERATION) == (NODE_ID,)
    assert events.waiting_files(BurialPlace(OPERATION, NODE_ID)).events == (EventPlace(uuid_of(1), CAMERA_ID),)
    assert events.waiting_files(BurialPlace(OPERATION, uuid_of(2, "d"))).events == ()


def test_page_of_an_unknown_operation_is_refused(store: Store) -> None:
    with pytest.raises(NotFoundError):
        StoreEventRemovals(store, SimulatedClock()).entomb_page(START)


def test_event_of_an_older_page_is_kept_when_it_was_recorded_after_the_request(store: Store) -> None:
    finished(store, 1)
    ask(store, now_us=1)
    with store.writing() as work:
        work.events.finalise(finalise_request(2), 2)
        late = work.events.get(EventId(uuid_of(2))).started_us
    assert late == START_US + 200 * S
    assert StoreEventRemovals(store, SimulatedClock()).entomb_page(START).counts.events == 1
    assert left(store) == [uuid_of(2)]
