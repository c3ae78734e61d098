"""The node's delivery marks: they outlive a restart and are never lowered."""

from __future__ import annotations

from pathlib import Path

import pytest

from iris.base.errors import StorageError
from iris.base.ids import CameraId
from iris.base.sqlite import connect
from iris.outbox.marks import RelayMarks
from tests.builders.event_messages import CAMERA, EVENT, US, closed, opened, updated

FIRST = opened(1_700_000_000 * US)
SECOND = updated(FIRST)
LAST = closed(SECOND)
ROWS = [(1, FIRST), (2, SECOND), (3, LAST)]


def test_marks_know_what_is_undelivered_when_opened_again(tmp_path: Path) -> None:
    marks = RelayMarks(tmp_path / "relay.db")
    marks.mark_delivered(SECOND)
    marks.mark_delivered(FIRST)  # late: lowers nothing
    marks.close()
    marks = RelayMarks(tmp_path / "relay.db")
    assert marks.undelivered(ROWS) == [LAST]
    assert marks.unfinished_events() == [(CAMERA, EVENT)]
    marks.close()


def test_marks_let_rows_go_when_the_event_is_terminal(tmp_path: Path) -> None:
    marks = RelayMarks(tmp_path / "relay.db")
    marks.mark_delivered(FIRST)
    marks.mark_dead(SECOND, "too large", 5)
    for now_us in (7, 8):  # twice: the activity may run again
        marks.mark_terminal(EVENT, CameraId(CAMERA), now_us)
    assert marks.undelivered(ROWS) == []
    assert marks.unfinished_events() == []
    assert marks.dead_letters() == []
    assert marks.terminal_events(CameraId(CAMERA)) == [EVENT]
    marks.forget([EVENT])
    assert marks.terminal_events(CameraId(CAMERA)) == []
    marks.close()


def test_marks_skip_a_dead_message_only_when_it_is_that_one(tmp_path: Path) -> None:
    marks = RelayMarks(tmp_path / "relay.db")
    marks.mark_dead(SECOND, "too large", 5)
    assert marks.undelivered(ROWS) == [FIRST, LAST]
    marks.close()


def test_marks_refuse_a_file_when_it_is_of_a_newer_iris(tmp_path: Path) -> None:
    connection = connect(tmp_path / "relay.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StorageError, match="newer Iris"):
        RelayMarks(tmp_path / "relay.db")
