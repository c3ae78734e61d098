"""Rows and the state of events change together, once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from iris.base.errors import StorageError
from iris.base.ids import CameraId
from iris.contracts.events import EventMessage
from iris.domain.event import OpenEvent
from iris.domain.segment import GapReason
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.reader import CameraDbReader
from iris.outbox.rows import message_from_json, message_to_json
from iris.outbox.writer import ClosedWindow, EventOutbox
from tests.builders.events import CAMERA_ID, event_message, uuid_of
from tests.fakes.clock import SimulatedClock

CAMERA = CameraId(CAMERA_ID)


@pytest.fixture
def db(tmp_path: Path) -> CameraDb:
    return CameraDb(camera_db_path(tmp_path, CAMERA))


@pytest.fixture
def outbox(db: CameraDb) -> EventOutbox:
    return EventOutbox(db, SimulatedClock())


def _event(number: int = 1, continues: str | None = None) -> OpenEvent:
    message = event_message(number)
    return OpenEvent(
        message.event_id, message.started_us, message.last_seen_us, message.window_start_us, ("person",), 0, continues
    )


def _rows(tmp_path: Path) -> list[EventMessage]:
    return [message for _, message in CameraDbReader(tmp_path).rows_after(CAMERA, 0, 100)]


def test_event_is_open_but_not_accepted_when_it_has_only_begun(outbox: EventOutbox, tmp_path: Path) -> None:
    outbox.begin(_event())
    outbox.begin(_event())

    assert outbox.load_open_event() == _event()
    assert _rows(tmp_path) == []


def test_rows_are_numbered_and_the_open_event_follows_them(outbox: EventOutbox, tmp_path: Path) -> None:
    outbox.begin(_event())
    opened = outbox.append(event_message(1, "opened"))
    updated = outbox.append(replace(event_message(1, "updated"), labels=("person", "dog"), last_seen_us=2**51))

    assert [message.seq for message in (opened, updated) if message] == [1, 2]
    assert _rows(tmp_path) == [opened, updated]
    assert outbox.load_open_event() == replace(_event(), seq=2, labels=("person", "dog"), last_seen_us=2**51)


def test_step_that_is_repeated_stores_nothing_again(outbox: EventOutbox, tmp_path: Path) -> None:
    outbox.begin(_event())
    for kind in ("opened", "opened", "closed", "closed"):
        outbox.append(event_message(1, kind))

    assert [message.kind for message in _rows(tmp_path)] == ["opened", "closed"]


def test_closing_ends_the_event_and_keeps_its_window_for_late_segments(outbox: EventOutbox) -> None:
    outbox.begin(_event())
    outbox.append(event_message(1, "opened"))
    closed = outbox.append(event_message(1, "closed"))

    assert closed is not None
    assert outbox.load_open_event() is None
    assert outbox.closed_windows() == [ClosedWindow(uuid_of(1), closed.window_start_us, closed.window_end_us or 0)]
    outbox.drop_window(uuid_of(1))
    assert outbox.closed_windows() == []


def test_event_that_continues_begins_in_the_same_step(outbox: EventOutbox) -> None:
    outbox.begin(_event(1))
    outbox.append(event_message(1, "opened"))
    outbox.append(event_message(1, "closed"), continued_by=_event(2, continues=uuid_of(1)))

    assert outbox.load_open_event() == _event(2, continues=uuid_of(1))


def test_second_open_event_is_refused_and_changes_nothing(outbox: EventOutbox) -> None:
    outbox.begin(_event(1))

    with pytest.raises(StorageError):
        outbox.begin(_event(2))
    assert outbox.load_open_event() == _event(1)


def test_touch_moves_last_seen_forward_only(outbox: EventOutbox) -> None:
    outbox.begin(_event())
    later_us = _event().last_seen_us + 5
    for last_seen_us in (later_us, later_us - 3):
        outbox.touch(uuid_of(1), last_seen_us)
    outbox.touch(uuid_of(9), later_us + 100)

    event = outbox.load_open_event()
    assert event is not None
    assert event.last_seen_us == later_us


def test_forgetting_drops_finished_events_and_keeps_the_open_one(outbox: EventOutbox, tmp_path: Path) -> None:
    for number in (1, 2):
        outbox.begin(_event(number))
        outbox.append(event_message(number, "opened"))
        if number == 1:
            outbox.append(event_message(number, "closed"))

    outbox.forget([uuid_of(1), uuid_of(2)])

    assert outbox.event_ids() == [uuid_of(2)]
    assert [message.event_id for message in _rows(tmp_path)] == [uuid_of(2)]
    assert outbox.closed_windows() == []


def test_dropped_footage_is_one_growing_gap(outbox: EventOutbox, tmp_path: Path) -> None:
    for start_us, end_us in ((100, 200), (200, 300), (200, 300), (900, 1000)):
        outbox.record_dropped(start_us, end_us)

    gaps = CameraDbReader(tmp_path).gaps_between(CAMERA, 0, 5000)
    assert [(gap.start_us, gap.end_us, gap.reason) for gap in gaps] == [
        (100, 300, GapReason.PIN_BUDGET),
        (900, 1000, GapReason.PIN_BUDGET),
    ]


def test_camera_file_can_be_written_again_when_a_commit_failed(db: CameraDb, outbox: EventOutbox) -> None:
    with db.transaction() as connection:
        connection.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        connection.execute("CREATE TABLE child (id INTEGER REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED)")
    with pytest.raises(Exception, match="FOREIGN KEY"), db.transaction() as connection:
        connection.execute("INSERT INTO child VALUES (1)")  # found out by COMMIT only

    outbox.begin(_event())

    assert outbox.load_open_event() == _event()


def test_message_is_the_same_after_its_way_through_json_and_unknown_fields_are_dropped() -> None:
    message = event_message(1, "closed")
    text = message_to_json(message)

    assert message_from_json(text) == message
    assert message_from_json(text[:-1] + ',"of_a_newer_version":1}') == message
