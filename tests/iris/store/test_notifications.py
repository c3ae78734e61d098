"""Rows of notifications, on both databases."""

from __future__ import annotations

import json

import pytest

from iris.adapters.id_source import Uuid7Source
from iris.base.errors import ConflictError, NotFoundError
from iris.domain.operation import RemovalReason
from iris.store.engine import Store
from iris.store.event_records import StoreEventRecords
from iris.store.notifications import NotificationDraft, NotificationRow, NotificationState
from tests.builders.events import CAMERA_ID, S, event_message, finalise_request, uuid_of
from tests.fakes.clock import SimulatedClock

NOW = 1_700_000_000 * S
W, D, X = NotificationState.WAITING, NotificationState.DELIVERED, NotificationState.DEAD


def add(store: Store, number: int, *, event: int | None = None, kind: str = "event.finished", at: int = NOW) -> str:
    draft = NotificationDraft(
        notification_id=uuid_of(number, "f"), kind=kind, event_id=uuid_of(event or number), body="{}"
    )
    with store.writing() as work:
        work.notifications.add(draft, at)
    return draft.notification_id


def claim(store: Store, now_us: int = NOW, lease_us: int = 15 * S, limit: int = 10) -> list[str]:
    with store.writing() as work:
        return [row.notification_id for row in work.notifications.claim(now_us, lease_us, limit)]


def rows(store: Store) -> list[NotificationRow]:
    with store.reading() as work:
        return work.notifications.page()[0]


def test_claim_takes_each_once_when_asked_twice(store: Store) -> None:
    first, second = add(store, 1), add(store, 2, at=NOW + 1)
    assert claim(store, NOW - 1) == []
    assert claim(store, NOW + 1, limit=1) == [first]
    assert claim(store, NOW + 1) == [second]
    assert claim(store, NOW + 1) == []


def test_claim_takes_it_again_when_the_lease_has_run_out(store: Store) -> None:
    mine = add(store, 1)
    assert claim(store) == [mine]
    assert claim(store, NOW + 15 * S - 1) == []
    assert claim(store, NOW + 15 * S) == [mine]
    assert [row.attempt_count for row in rows(store)] == [2]


def test_claim_keeps_the_order_when_an_event_has_two(store: Store) -> None:
    first = add(store, 1, event=7, kind="event.finished")
    second = add(store, 2, event=7, kind="event.other", at=NOW + 1)
    assert claim(store, NOW + S) == [first]
    with store.writing() as work:
        work.notifications.put_off(first, "no", NOW + 100 * S)
    assert claim(store, NOW + 2 * S) == []
    with store.writing() as work:
        work.notifications.delivered(first, NOW + 3 * S)
    assert claim(store, NOW + 3 * S) == [second]


def test_delivered_one_stays_so_when_another_try_failed_later(store: Store) -> None:
    mine = add(store, 1)
    with store.writing() as work:
        work.notifications.delivered(mine, NOW + 1)
        work.notifications.put_off(mine, "a late time-out", NOW + 2)
        work.notifications.give_up(mine, "a late refusal", NOW + 3)
        assert work.notifications.get(mine).state is D
        with pytest.raises(ConflictError):
            work.notifications.retry(mine, NOW)
    assert claim(store, NOW + 10**12) == []


def test_dead_one_is_due_again_when_a_person_asks(store: Store) -> None:
    mine = add(store, 1)
    with store.writing() as work:
        work.notifications.give_up(mine, "410", NOW)
    assert claim(store, NOW + 10**12) == []
    with store.writing() as work:
        assert work.notifications.retry(mine, NOW + S).state is W
        with pytest.raises(NotFoundError):
            work.notifications.retry(uuid_of(99, "f"), NOW)
    assert claim(store, NOW + S) == [mine]


def test_counts_and_next_due_follow_the_rows_when_they_end(store: Store) -> None:
    ids = [add(store, number, at=NOW + number) for number in range(1, 6)]
    with store.writing() as work:
        work.notifications.delivered(ids[0], NOW)
        work.notifications.give_up(ids[1], "no", NOW)
        work.notifications.delivered(ids[2], NOW)
    with store.reading() as work:
        assert work.notifications.counts() == {W: 2, D: 2, X: 1}
        assert work.notifications.next_due_us() == NOW + 4
    with store.writing() as work:
        assert work.notifications.give_up_older(NOW + 5, "too old", NOW) == 1
        assert work.notifications.forget_older(NOW + 1) == 4
        assert work.notifications.counts() == {W: 1, D: 0, X: 0}


def test_page_goes_on_where_it_ended_when_there_are_more(store: Store) -> None:
    ids = [add(store, number, at=NOW + number) for number in range(1, 6)]
    with store.reading() as work:
        page, cursor = work.notifications.page(limit=3)
        rest, end = work.notifications.page(limit=3, cursor=cursor)
    assert [row.notification_id for row in [*page, *rest]] == ids[::-1]
    assert end is None


def records_of(store: Store, *, notified: bool = True) -> StoreEventRecords:
    return StoreEventRecords(store, SimulatedClock(wall_us=NOW), Uuid7Source() if notified else None)


def test_finalise_writes_one_notification_when_it_runs_twice(store: Store) -> None:
    records = records_of(store)
    for _again in range(2):
        assert records.finalise(finalise_request(1, missing_s=3)).state == "partial"
    [row] = rows(store)
    body = json.loads(row.body)
    assert (row.event_id, row.kind, row.state) == (uuid_of(1), "event.finished", W)
    assert body == {
        "type": "event.finished", "event_id": uuid_of(1), "camera_id": CAMERA_ID, "camera_name": None,
        "state": "partial", "labels": ["person"],
        "started_at": "2023-11-14T22:15:00.000000Z", "ended_at": "2023-11-14T22:15:10.000000Z",
        "window_start": "2023-11-14T22:14:55.000000Z", "window_end": "2023-11-14T22:15:20.000000Z",
        "event_url": f"/api/events/{uuid_of(1)}", "clip_url": f"/api/events/{uuid_of(1)}/clip",
        "thumbnail_url": f"/api/events/{uuid_of(1)}/thumbnail",
    }  # fmt: skip


def test_finalise_notifies_nobody_when_it_was_finished_before_there_was_a_receiver(store: Store) -> None:
    records_of(store, notified=False).finalise(finalise_request(1))
    records_of(store).finalise(finalise_request(1))
    assert rows(store) == []


def test_finalise_notifies_nobody_when_the_event_was_removed(store: Store) -> None:
    records = records_of(store)
    records.record(event_message(1))
    with store.writing() as work:
        work.tombstones.entomb([uuid_of(1)], RemovalReason.DELETED, NOW, unfinished=True)
    assert records.finalise(finalise_request(1)).state == "deleted"
    assert rows(store) == []


def test_notification_goes_when_its_event_is_removed(store: Store) -> None:
    records_of(store).finalise(finalise_request(1))
    records_of(store).finalise(finalise_request(2))
    with store.writing() as work:
        work.tombstones.entomb([uuid_of(1)], RemovalReason.CAMERA, NOW)
    assert [row.event_id for row in rows(store)] == [uuid_of(2)]
