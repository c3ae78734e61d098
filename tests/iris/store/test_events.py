from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
import sqlalchemy as sa

from iris.base.errors import InputError, NotFoundError, StoreError
from iris.base.ids import CameraId, EventId
from iris.contracts.events import ClipResult, RecordedEvent, TimeRange
from iris.domain.event import EndReason, EventState
from iris.store.engine import Store
from iris.store.event_records import StoreEventRecords
from iris.store.events import EventFilters
from iris.store.tables import clip_files, event_labels, event_ranges, events
from tests.builders.events import CAMERA_ID, START_US, S, clip_of, event_message, finalise_request, uuid_of
from tests.fakes.clock import SimulatedClock

ONE = EventId(uuid_of(1))
OPEN, CLOSING = RecordedEvent("open", terminal=False), RecordedEvent("closing", terminal=False)


def test_event_opens_and_closes_when_messages_come_in_order(store: Store) -> None:
    with store.writing() as work:
        assert work.events.record(event_message(), 7) == OPEN
        row = work.events.get(ONE)
        assert (row.state, row.ended_us, row.window_end_us, row.created_us) == (EventState.OPEN, None, None, 7)
        assert work.events.record(event_message(kind="updated", labels=("person", "car")), 8) == OPEN
        assert work.events.get(ONE).labels == ("car", "person")
        closed = event_message(kind="closed")
        assert work.events.record(closed, 9) == CLOSING
        row = work.events.get(ONE)
    assert (row.ended_us, row.end_reason, row.window_end_us) == (
        closed.last_seen_us, EndReason.LEFT, closed.window_end_us,
    )  # fmt: skip
    assert row.labels == ("person",)


def test_event_ends_alike_when_messages_come_in_any_order_and_twice(store: Store) -> None:
    messages = [
        event_message(),
        event_message(kind="updated", labels=("car", "person")),
        event_message(kind="closed", labels=("car", "dog", "person")),
    ]
    rows = set()
    for number, order in enumerate(permutations(messages), start=1):
        with store.writing() as work:
            for message in [*order, *order]:
                work.events.record(replace(message, event_id=uuid_of(number)), 7)
            rows.add(replace(work.events.get(EventId(uuid_of(number))), event_id=ONE))
    assert len(rows) == 1
    assert (row := rows.pop()).state is EventState.CLOSING
    assert row.labels == ("car", "dog", "person")
    with store.engine.connect() as connection:
        count = sa.select(sa.func.count()).select_from(event_labels)
        assert connection.execute(count).scalar() == 6 * 3


def test_finalise_writes_everything_once_when_called_twice(store: Store) -> None:
    request = finalise_request(missing_s=4)
    with store.writing() as work:
        work.events.record(event_message(), 7)
        assert work.events.finalise(request, 9) == RecordedEvent("partial", terminal=True)
    again = replace(request, clip=ClipResult("failed", failure="other"), thumbnail_path=None)
    with store.writing() as work:
        assert work.events.finalise(request, 10) == RecordedEvent("partial", terminal=True)
        assert work.events.finalise(again, 11) == RecordedEvent("partial", terminal=True)
        row = work.events.get(ONE)
    assert (row.state, row.finalised_us, row.thumbnail_path) == (EventState.PARTIAL, 9, f"thumbnails/{ONE}.jpg")
    assert (row.clip_files, row.covered, row.missing) == (
        request.clip.files, request.clip.covered, request.clip.missing,
    )  # fmt: skip


def test_finalise_needs_no_earlier_message(store: Store) -> None:
    with store.writing() as work:
        assert work.events.finalise(finalise_request(), 9).state == "ready"
        assert work.events.get(ONE).ended_us == finalise_request().message.last_seen_us


@pytest.mark.parametrize("kind", ["opened", "updated", "closed"])
def test_record_changes_nothing_when_the_event_is_terminal(store: Store, kind: str) -> None:
    with store.writing() as work:
        work.events.finalise(finalise_request(), 9)
        before = work.events.get(ONE)
        late = event_message(kind=kind, seq=99, labels=("ghost",))
        assert work.events.record(late, 10) == RecordedEvent("ready", terminal=True)
        assert work.events.get(ONE) == before


def test_failed_event_keeps_its_reason_and_window(store: Store) -> None:
    closed = event_message(kind="closed")
    assert closed.window_end_us is not None
    clip = ClipResult(
        "failed",
        missing=(TimeRange(closed.window_start_us, closed.window_end_us, "not_started"),),
        failure="no footage",
    )
    with store.writing() as work:
        work.events.finalise(replace(finalise_request(), clip=clip, thumbnail_path=None), 9)
        row = work.events.get(ONE)
    assert (row.state, row.failure, row.missing) == (EventState.FAILED, "no footage", clip.missing)


@pytest.mark.parametrize(
    ("message", "state"),
    [("opened", "ready"), ("closed", "closing")],  # not closed; not terminal
)
def test_finalise_refuses_when_the_end_is_not_known(store: Store, message: str, state: str) -> None:
    request = finalise_request()
    request = replace(request, message=event_message(kind=message), clip=replace(request.clip, state=state))
    with store.writing() as work, pytest.raises(InputError):
        work.events.finalise(request, 9)


def test_record_refuses_when_a_closed_message_has_no_window_end(store: Store) -> None:
    with store.writing() as work, pytest.raises(InputError, match="end of its window"):
        work.events.record(event_message(kind="closed", window_end_us=None), 7)


def test_database_refuses_when_a_message_breaks_a_check_and_keeps_nothing(store: Store) -> None:
    def _two() -> None:
        with store.writing() as work:
            work.events.record(event_message(2), 7)
            work.events.record(event_message(last_seen_us=START_US), 7)

    with pytest.raises(StoreError):
        _two()
    with store.reading() as work:
        assert work.events.page(EventFilters()) == ([], None)


BAD_ROWS = [
    (events, {"state": "gone", "finalised_us": None}, "state"),
    (events, {"ended_us": 1}, "ended"),
    (events, {"window_end_us": 1}, "window"),
    (events, {"ended_us": None}, "closed"),
    (events, {"failure": "x"}, "failure"),
    (events, {"finalised_us": None}, "finalised"),
    (events, {"last_seen_us": 1}, "order"),
    (clip_files, {"size_bytes": 0}, "not_empty"),
    (clip_files, {"end_us": 1}, "order"),
    (clip_files, {"sha256": "x"}, "sha256"),
    (event_ranges, {"end_us": 1}, "order"),
]


@pytest.mark.parametrize(("table", "values", "check"), BAD_ROWS)
def test_checks_make_a_bug_loud(store: Store, table: sa.Table, values: dict[str, object], check: str) -> None:
    with store.writing() as work:
        work.events.finalise(finalise_request(), 9)
    with store.engine.connect() as connection, pytest.raises(sa.exc.IntegrityError, match=f"ck_{table.name}_{check}"):
        connection.execute(sa.update(table).values(**values))


def test_clip_path_belongs_to_one_event(store: Store) -> None:
    first = finalise_request(1)
    second = replace(finalise_request(2), clip=first.clip)
    with store.writing() as work:
        work.events.finalise(first, 9)
    with pytest.raises(StoreError), store.writing() as work:
        work.events.finalise(second, 9)


def test_missing_event_is_not_found(store: Store) -> None:
    with store.reading() as work, pytest.raises(NotFoundError):
        work.events.get(ONE)


def _fill(store: Store) -> None:
    """Events 1 to 9: odd ones of CAMERA_ID, even ones of another; every third a car; 1 to 5 finished, 4 partial."""
    with store.writing() as work:
        for number in range(1, 10):
            values: dict[str, Any] = {
                "camera_id": CAMERA_ID if number % 2 else uuid_of(2, "c"),
                "labels": ("car", "person") if number % 3 == 0 else ("person",),
            }
            if number <= 5:
                work.events.finalise(finalise_request(number, missing_s=3 if number == 4 else 0, **values), 9)
            else:
                work.events.record(event_message(number, **values), 9)


FILTERS = [
    (EventFilters(), [9, 8, 7, 6, 5, 4, 3, 2, 1]),
    (EventFilters(camera_id=CameraId(CAMERA_ID)), [9, 7, 5, 3, 1]),
    (EventFilters(label="car"), [9, 6, 3]),
    (EventFilters(label="car", camera_id=CameraId(CAMERA_ID)), [9, 3]),
    (EventFilters(label="nobody"), []),
    (EventFilters(state=EventState.PARTIAL), [4]),
    (EventFilters(state=EventState.OPEN, label="car"), [9, 6]),
    # The lower bound belongs to the span, the upper one does not.
    (EventFilters(from_us=START_US + 300 * S, to_us=START_US + 500 * S), [4, 3]),
    (EventFilters(from_us=START_US + 300 * S, to_us=START_US + 700 * S, label="car"), [6, 3]),
]


@pytest.mark.parametrize(("filters", "numbers"), FILTERS)
def test_page_holds_what_the_filters_ask_newest_first(store: Store, filters: EventFilters, numbers: list[int]) -> None:
    _fill(store)
    with store.reading() as work:
        rows, cursor = work.events.page(filters)
        assert ([row.event_id for row in rows], cursor) == ([uuid_of(number) for number in numbers], None)
        assert [replace(work.events.get(row.event_id), covered=()) for row in rows] == rows


@pytest.mark.parametrize("filters", [EventFilters(), EventFilters(label="person"), EventFilters(from_us=START_US)])
def test_pages_show_every_event_once_when_followed(store: Store, filters: EventFilters) -> None:
    _fill(store)
    seen: list[str] = []
    sizes: list[int] = []
    cursor = None
    while not sizes or cursor is not None:
        with store.reading() as work:
            rows, cursor = work.events.page(filters, limit=4, cursor=cursor)
        seen += [row.event_id for row in rows]
        sizes.append(len(rows))
        if len(sizes) == 1:  # one that comes meanwhile shows on no later page
            with store.writing() as work:
                work.events.record(event_message(99), 9)
    assert (seen, sizes) == ([uuid_of(number) for number in range(9, 0, -1)], [4, 4, 1])


def test_pages_split_events_of_one_instant_by_id(store: Store) -> None:
    with store.writing() as work:
        for number in (1, 2, 3):
            work.events.record(replace(event_message(1), event_id=uuid_of(number)), 7)
    with store.reading() as work:
        first, cursor = work.events.page(EventFilters(), limit=2)
        rest, end = work.events.page(EventFilters(), limit=2, cursor=cursor)
    assert [row.event_id for row in first + rest] == [uuid_of(3), uuid_of(2), uuid_of(1)]
    assert end is None


def test_page_skips_when_an_offset_is_given(store: Store) -> None:
    _fill(store)
    with store.reading() as work:
        rows, _ = work.events.page(EventFilters(), limit=2, offset=7)
        assert [row.event_id for row in rows] == [uuid_of(2), uuid_of(1)]
        with pytest.raises(InputError, match="cannot be combined"):
            work.events.page(EventFilters(), offset=1, cursor="x")


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_page_refuses_when_the_limit_is_absurd(store: Store, limit: int) -> None:
    with store.reading() as work, pytest.raises(InputError, match="limit must be between 1 and 500"):
        work.events.page(EventFilters(), limit=limit)


def test_unfinished_lists_what_has_no_terminal_state_oldest_first(store: Store) -> None:
    _fill(store)
    with store.reading() as work:
        assert [row.event_id for row in work.events.unfinished()] == [uuid_of(number) for number in (6, 7, 8, 9)]


def test_records_port_stamps_rows_with_its_clock(store: Store) -> None:
    records = StoreEventRecords(store, SimulatedClock(wall_us=123))
    assert records.record(event_message()) == OPEN
    assert records.finalise(finalise_request()).terminal
    with store.reading() as work:
        row = work.events.get(ONE)
    assert (row.created_us, row.finalised_us) == (123, 123)


def test_page_takes_three_statements_and_walks_an_index_when_sqlite(store: Store) -> None:
    _fill(store)
    statements: list[tuple[str, Any]] = []

    @sa.event.listens_for(store.engine, "before_cursor_execute")
    def _note(_c: object, _cursor: object, statement: str, parameters: Any, _x: object, _many: object) -> None:
        statements.append((statement, parameters))

    for filters, _numbers in FILTERS:
        statements.clear()
        with store.reading() as work:
            work.events.page(filters, limit=3, cursor=None)
        selects = [(text, values) for text, values in statements if text.startswith("SELECT")]
        assert len(selects) <= 3
        assert not any("count(" in text.lower() for text, _values in selects)
        if store.engine.dialect.name == "sqlite":
            with store.engine.connect() as connection:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {selects[0][0]}", selects[0][1]).all()
            assert not any("TEMP B-TREE" in row.detail for row in plan), (filters, plan)


def test_clip_of_builder_covers_its_window() -> None:
    closed = event_message(kind="closed")
    clip = clip_of(closed, missing_s=4)
    assert clip.covered[0].start_us == closed.window_start_us
    assert clip.missing[0].end_us == closed.window_end_us
