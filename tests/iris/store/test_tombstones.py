from __future__ import annotations

import pytest
import sqlalchemy as sa

from iris.base.errors import NotFoundError
from iris.base.ids import CameraId, EventId, NodeId
from iris.contracts.events import RecordedEvent
from iris.domain.operation import OperationKind, RemovalReason
from iris.store.engine import Store
from iris.store.operations import OperationDraft
from iris.store.tables import clip_files, event_labels, event_ranges
from iris.store.tombstones import Tombstone
from tests.builders.events import CAMERA_ID, NODE_ID, START_US, S, event_message, finalise_request, uuid_of

GONE = RecordedEvent("deleted", terminal=True)
OPERATION = uuid_of(1, "a")


def finished(store: Store, *numbers: int, **values: str) -> None:
    with store.writing() as work:
        for number in numbers:
            work.events.finalise(finalise_request(number, missing_s=2, **values), number)


def entomb(store: Store, *numbers: int, now_us: int = 9, **how: bool) -> list[Tombstone]:
    with store.writing() as work:
        ids = [uuid_of(number) for number in numbers]
        return work.tombstones.entomb(ids, RemovalReason.DELETED, now_us, operation_id=OPERATION, **how)


def test_event_goes_with_everything_it_has_and_leaves_a_tombstone(store: Store) -> None:
    finished(store, 1, 2)
    [stone] = entomb(store, 1)
    assert type(stone.size_bytes) is int
    assert stone == Tombstone(
        event_id=EventId(uuid_of(1)), camera_id=CameraId(CAMERA_ID), node_id=NodeId(NODE_ID), operation_id=OPERATION,
        reason=RemovalReason.DELETED, started_us=START_US + 100 * S, last_seen_us=START_US + 110 * S,
        size_bytes=1000, created_us=9,
    )  # fmt: skip
    with store.reading() as work:
        with pytest.raises(NotFoundError):
            work.events.get(EventId(uuid_of(1)))
        assert work.events.get(EventId(uuid_of(2))).clip_files
        assert work.tombstones.unburied() == [stone]
    with store.engine.connect() as connection:
        for table in (clip_files, event_labels, event_ranges):
            assert set(connection.execute(sa.select(table.c.event_id)).scalars()) == {uuid_of(2)}
    assert entomb(store, 1) == []  # again: it is gone already


def test_removed_event_stays_removed_whatever_comes_late(store: Store) -> None:
    finished(store, 1)
    entomb(store, 1)
    with store.writing() as work:
        assert work.tombstones.forbids(uuid_of(1), CAMERA_ID)
        assert not work.tombstones.forbids(uuid_of(2), CAMERA_ID)
        for kind in ("opened", "updated", "closed"):
            assert work.events.record(event_message(1, kind), 10) == GONE
        assert work.events.finalise(finalise_request(1), 10) == GONE
        with pytest.raises(NotFoundError):
            work.events.get(EventId(uuid_of(1)))
        work.tombstones.bury([uuid_of(1)], 11)
        assert work.events.record(event_message(1), 12) == GONE


def test_no_event_of_a_camera_comes_back_when_that_is_deleted(store: Store) -> None:
    draft = OperationDraft(
        operation_id=OPERATION, kind=OperationKind.CAMERA_DELETION, workflow_id="camera-delete:1",
        camera_id=CameraId(CAMERA_ID), request={},
    )  # fmt: skip
    with store.writing() as work:
        work.operations.ask(draft, 1)
        assert work.events.record(event_message(1), 2) == GONE
        assert work.events.record(event_message(2, camera_id=uuid_of(2, "c")), 2) != GONE
        work.operations.finish(OPERATION, 3, result={})
        assert work.events.record(event_message(3), 4) == GONE


@pytest.mark.parametrize(
    ("how", "goes"),
    [
        ({}, [1]),
        ({"held": True}, [1, 2]),
        ({"unfinished": True}, [1, 3]),
        ({"held": True, "unfinished": True}, [1, 2, 3]),
    ],
)
def test_held_and_unfinished_events_go_only_when_said(store: Store, how: dict[str, bool], goes: list[int]) -> None:
    finished(store, 1, 2)
    with store.writing() as work:
        work.holds.put(EventId(uuid_of(2)), "", 1)
        work.events.record(event_message(3), 3)
    assert sorted(stone.event_id for stone in entomb(store, 1, 2, 3, 77, **how)) == [uuid_of(number) for number in goes]


def test_tombstone_of_an_event_without_a_row_keeps_it_away(store: Store) -> None:
    finished(store, 1)
    [stone] = entomb(store, 1)
    with store.writing() as work:
        work.tombstones.forget_of_camera(CameraId(CAMERA_ID))
        work.tombstones.add([stone])
        work.tombstones.add([stone])
        work.tombstones.add([])
        assert work.tombstones.unburied() == [stone]
        assert work.events.record(event_message(1), 2) == GONE


def test_burial_is_once_and_ends_the_waiting(store: Store) -> None:
    finished(store, 1, 2)
    finished(store, 3, node_id=uuid_of(2, "d"))
    entomb(store, 1, 2, 3)
    other = uuid_of(2, "d")
    with store.writing() as work:
        assert work.tombstones.waiting_nodes(OPERATION) == [NODE_ID, other]
        assert work.tombstones.waiting_nodes(uuid_of(9, "a")) == []
        assert [stone.event_id for stone in work.tombstones.unburied(node_id=NodeId(other))] == [uuid_of(3)]
        assert len(work.tombstones.unburied(operation_id=OPERATION, limit=2)) == 2
        assert work.tombstones.unburied(operation_id=uuid_of(9, "a")) == []
        assert work.tombstones.bury([uuid_of(1), uuid_of(2), uuid_of(77)], 20) == 2
        assert work.tombstones.bury([uuid_of(1), uuid_of(3)], 21) == 1
        assert work.tombstones.unburied() == []
        assert work.tombstones.waiting_nodes(OPERATION) == []
        stones, _ = work.tombstones.page()
        assert {stone.event_id[-1]: stone.buried_us for stone in stones} == {"1": 20, "2": 20, "3": 21}


def test_page_shows_the_newest_first_and_the_reasons_asked_for(store: Store) -> None:
    finished(store, 1, 2, 3)
    for number in (1, 2, 3):
        entomb(store, number, now_us=number)
    with store.reading() as work:
        first, cursor = work.tombstones.page(limit=2)
        rest, end = work.tombstones.page(limit=2, cursor=cursor)
        assert work.tombstones.page(reasons=[RemovalReason.AGE, RemovalReason.SPACE])[0] == []
        assert len(work.tombstones.page(reasons=[RemovalReason.DELETED])[0]) == 3
    assert [stone.event_id[-1] for stone in first + rest] == ["3", "2", "1"]
    assert end is None


def test_only_buried_tombstones_are_forgotten_when_old(store: Store) -> None:
    finished(store, 1, 2, 3)
    entomb(store, 1, 2, 3)
    with store.writing() as work:
        work.tombstones.bury([uuid_of(1)], 100)
        work.tombstones.bury([uuid_of(2)], 200)
        assert work.tombstones.forget_older(100) == 0
        assert work.tombstones.forget_older(101) == 1
        assert sorted(stone.event_id for stone in work.tombstones.page()[0]) == [uuid_of(2), uuid_of(3)]
