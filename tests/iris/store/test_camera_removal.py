"""Removing a camera's rows: asked for once, page by page, counted exactly, in the order of asking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from sqlalchemy import update

from iris.base.errors import ConflictError, NotFoundError
from iris.base.ids import CameraId, EventId, NodeId
from iris.contracts.camera_removal import CameraSurvey, NodeEvent
from iris.domain.event import EventState
from iris.domain.operation import OperationKind, OperationState
from iris.store.cameras import CameraDraft
from iris.store.engine import Store
from iris.store.events import EventFilters
from iris.store.operations import OperationRow
from iris.store.tables import events
from tests.builders.events import CAMERA_ID, NODE_ID, START_US, S, event_message, finalise_request, uuid_of

GATE, HALL = CameraId(CAMERA_ID), CameraId(uuid_of(2, "c"))
DRAFT = CameraDraft(name="gate", rtsp_url_sealed=b"old", rtsp_url_masked="rtsp://***@192.0.2.1/a")
NEW = {"rtsp_url_sealed": b"new", "rtsp_url_masked": "rtsp://***@192.0.2.2/a"}
NOW = START_US + 10_000 * S


@pytest.fixture
def ids() -> Iterator[str]:
    return (uuid_of(number, "f") for number in count(1))


@pytest.fixture
def cameras(store: Store) -> Store:
    with store.writing() as work:
        work.cameras.add(GATE, DRAFT, 1)
        work.cameras.add(HALL, replace(DRAFT, name="hall"), 1)
        work.system.node_seen(NodeId(NODE_ID), 1, {})
    return store


def add_events(store: Store) -> None:
    """Of the gate: 1 ready, 2 partial, 3 open, 4 closing; of the hall: 5 ready."""
    with store.writing() as work:
        work.events.finalise(finalise_request(1), NOW)
        work.events.finalise(finalise_request(2, missing_s=3), NOW)
        work.events.record(event_message(3), NOW)
        work.events.record(event_message(4, "closed"), NOW)
        work.events.finalise(finalise_request(5, camera_id=HALL), NOW)


def hold(store: Store, number: int) -> None:
    with store.writing() as work:
        work.events._connection.execute(update(events).where(events.c.event_id == uuid_of(number)).values(hold_us=NOW))


def ask_deletion(store: Store, ids: Iterator[str], *, include_held: bool = False) -> OperationRow:
    with store.writing() as work:
        return work.camera_removals.ask_deletion(GATE, lambda: next(ids), NOW, include_held=include_held)


def ask_repoint(store: Store, ids: Iterator[str], now_us: int = NOW, *, include_held: bool = False) -> OperationRow:
    with store.writing() as work:
        row = work.cameras.lock(GATE)
        _, operation = work.camera_removals.ask_repoint(row, NEW, next(ids), now_us, include_held=include_held)  # type: ignore[arg-type]  # a plain dictionary
        return operation


def remove_all(store: Store, operation_id: str) -> tuple[int, dict[str, object]]:
    """Every step of the database, as the workflow does them; the files count as gone."""
    with store.writing() as work:
        assert work.camera_removals.begin(operation_id, NOW) is None
    with store.writing() as work:
        page = work.camera_removals.entomb_page(operation_id, GATE, NOW)
    assert not page.more
    with store.writing() as work:
        stones = work.tombstones.unburied(operation_id=operation_id)
        work.tombstones.bury([stone.event_id for stone in stones], NOW)
    with store.writing() as work:
        left, certificate = work.camera_removals.finish(operation_id, GATE, NOW + S)
        return left, dict(certificate)


def test_camera_and_its_events_are_in_no_list_when_its_deletion_is_asked_for(
    cameras: Store, ids: Iterator[str]
) -> None:
    add_events(cameras)
    operation = ask_deletion(cameras, ids)
    assert (operation.kind, operation.workflow_id) == (OperationKind.CAMERA_DELETION, f"camera-delete:{GATE}")
    with cameras.reading() as work:
        assert [row.camera_id for row in work.cameras.all()] == [HALL]
        assert [row.camera_id for row in work.cameras.page()[0]] == [HALL]
        with pytest.raises(NotFoundError):
            work.cameras.get(GATE)
        for filters in (EventFilters(), EventFilters(label="person"), EventFilters(state=EventState.READY)):
            assert {row.camera_id for row in work.events.page(filters)[0]} == {HALL}
        assert work.events.page(EventFilters(camera_id=GATE))[0] == []
        assert len(work.events.page(EventFilters(leaving=True))[0]) == 5, "a check sees them"
        with pytest.raises(NotFoundError):
            work.events.get(EventId(uuid_of(1)))
    with cameras.writing() as work, pytest.raises(NotFoundError):
        work.cameras.update(GATE, {"name": "again"}, NOW)


def test_second_deletion_joins_the_first_when_it_runs_or_is_over(cameras: Store, ids: Iterator[str]) -> None:
    first = ask_deletion(cameras, ids)
    assert ask_deletion(cameras, ids).operation_id == first.operation_id
    remove_all(cameras, first.operation_id)
    assert ask_deletion(cameras, ids).state is OperationState.DONE
    with cameras.writing() as work, pytest.raises(NotFoundError):
        work.camera_removals.ask_deletion(CameraId(uuid_of(9, "c")), lambda: "x", NOW, include_held=False)


def test_deletion_is_asked_for_anew_when_a_person_ended_its_workflow(cameras: Store, ids: Iterator[str]) -> None:
    first = ask_deletion(cameras, ids)
    with cameras.writing() as work:
        work.operations.finish(first.operation_id, NOW, result={}, failure="terminated")
    second = ask_deletion(cameras, ids)
    assert second.workflow_id == f"camera-delete:{GATE}:{first.operation_id}"
    assert remove_all(cameras, second.operation_id)[0] == 0


def test_removal_refuses_when_events_are_on_hold_unless_they_are_included(cameras: Store, ids: Iterator[str]) -> None:
    add_events(cameras)
    hold(cameras, 1)
    with pytest.raises(ConflictError, match="include_held"):
        ask_deletion(cameras, ids)
    with pytest.raises(ConflictError, match="include_held"):
        ask_repoint(cameras, ids)
    with cameras.reading() as work:
        assert work.cameras.get(GATE).purging_us is None
    operation = ask_deletion(cameras, ids, include_held=True)
    assert remove_all(cameras, operation.operation_id)[1]["event_count"] == 4


def test_deletion_counts_what_went_once_when_its_steps_are_repeated(cameras: Store, ids: Iterator[str]) -> None:
    add_events(cameras)
    operation_id = ask_deletion(cameras, ids).operation_id
    known = [NodeEvent(uuid_of(n), NODE_ID, START_US, START_US + S) for n in (3, 7, 8)]
    survey = CameraSurvey(clip_files=3, clip_bytes=70, segment_files=9, segment_bytes=900, pending_files=4, gap_rows=2)
    for _ in range(2):
        with cameras.writing() as work:
            assert work.camera_removals.begin(operation_id, NOW) is None
            work.camera_removals.note_survey(operation_id, NODE_ID, survey, NOW)
            work.camera_removals.entomb_known(operation_id, GATE, known, NOW)
    with cameras.writing() as work:
        page = work.camera_removals.entomb_page(operation_id, GATE, NOW)
        assert [event.event_id for event in page.unfinished] == [uuid_of(3), uuid_of(4)]
        assert (page.count, page.more) == (4, False)
        assert work.camera_removals.entomb_page(operation_id, GATE, NOW).count == 0
        # A later look finds less of one thing and more of another: the most of each counts.
        work.camera_removals.note_survey(operation_id, NODE_ID, CameraSurvey(gap_rows=3), NOW)
        left, _ = work.camera_removals.finish(operation_id, GATE, NOW)
        assert left == 6, "six tombstones whose files may exist"
    _, certificate = remove_all(cameras, operation_id)
    assert certificate["events"] == {
        "open": 1, "closing": 1, "ready": 1, "partial": 1, "failed": 0, "not_recorded": 2,
    }  # fmt: skip
    assert certificate["event_count"] == 6
    assert (certificate["clips"], certificate["thumbnails"], certificate["remaining"]) == (2, 2, 0)
    assert (certificate["clip_files"], certificate["segment_bytes"], certificate["gap_rows"]) == (3, 900, 3)
    with cameras.reading() as work:
        assert work.tombstones.page()[0] == []
        assert [row.event_id for row in work.events.page(EventFilters(leaving=True))[0]] == [uuid_of(5)]
        assert work.operations.get(operation_id).result == certificate
    with cameras.writing() as work:
        again = work.camera_removals.finish(operation_id, GATE, NOW + 99 * S)
        assert again == (0, certificate)
        assert work.events.record(event_message(7), NOW).state == "deleted", "a late message makes no row"


def test_repoint_leaves_the_camera_and_runs_it_again_when_it_is_over(cameras: Store, ids: Iterator[str]) -> None:
    add_events(cameras)
    operation = ask_repoint(cameras, ids)
    assert operation.workflow_id == f"camera-repoint:{GATE}:2"
    with cameras.reading() as work:
        row = work.cameras.get(GATE)
        assert (row.purging_us, row.address_count, row.rtsp_url_sealed) == (NOW, 2, b"new")
        assert work.events.page(EventFilters(camera_id=GATE))[0] == []
    left, certificate = remove_all(cameras, operation.operation_id)
    assert (left, certificate["event_count"]) == (0, 4)
    with cameras.writing() as work:
        assert work.cameras.get(GATE).purging_us is None
        assert work.events.record(event_message(3), NOW).state == "deleted", "an event of the old address stays gone"
        work.events.record(event_message(30), NOW)
        # A step that comes late must not touch what the new address shows.
        assert work.camera_removals.entomb_page(operation.operation_id, GATE, NOW).count == 0
        assert len(work.events.page(EventFilters(camera_id=GATE))[0]) == 1


def test_removals_of_a_camera_follow_one_another_when_the_clock_goes_back(cameras: Store, ids: Iterator[str]) -> None:
    first = ask_repoint(cameras, ids)
    second = ask_repoint(cameras, ids, NOW - 3600 * S)
    deletion = ask_deletion(cameras, ids)
    with cameras.writing() as work:
        assert work.camera_removals.begin(second.operation_id, NOW).operation_id == first.operation_id  # type: ignore[union-attr]  # it waits
        assert work.camera_removals.begin(deletion.operation_id, NOW).operation_id == first.operation_id  # type: ignore[union-attr]  # it waits
    remove_all(cameras, first.operation_id)
    with cameras.writing() as work:
        assert work.camera_removals.begin(deletion.operation_id, NOW).operation_id == second.operation_id  # type: ignore[union-attr]  # it waits
    remove_all(cameras, second.operation_id)
    assert remove_all(cameras, deletion.operation_id)[0] == 0


def test_camera_stays_stopped_when_another_address_came_meanwhile(cameras: Store, ids: Iterator[str]) -> None:
    first, second = ask_repoint(cameras, ids), ask_repoint(cameras, ids)
    remove_all(cameras, first.operation_id)
    with cameras.reading() as work:
        assert work.cameras.get(GATE).purging_us == NOW
        assert work.camera_removals.running_repoint(GATE).operation_id == second.operation_id  # type: ignore[union-attr]  # it runs
    remove_all(cameras, second.operation_id)
    with cameras.reading() as work:
        assert work.cameras.get(GATE).purging_us is None
        assert work.camera_removals.running_repoint(GATE) is None


def test_removal_takes_over_the_files_when_others_removed_events_of_the_camera(
    cameras: Store, ids: Iterator[str]
) -> None:
    add_events(cameras)
    with cameras.writing() as work:
        from iris.domain.operation import RemovalReason

        work.tombstones.entomb([uuid_of(1)], RemovalReason.SPACE, NOW)
    operation_id = ask_deletion(cameras, ids).operation_id
    assert remove_all(cameras, operation_id)[0] == 0


def test_nodes_are_those_that_may_hold_something_of_the_camera(cameras: Store) -> None:
    other, newest = uuid_of(2, "d"), uuid_of(3, "d")
    with cameras.writing() as work:
        work.system.node_seen(NodeId(newest), 5, {})
        work.events.finalise(finalise_request(1, node_id=other), NOW)
        assert work.camera_removals.node_ids(GATE) == [other, newest]
        assert work.camera_removals.node_ids(HALL) == [newest]
