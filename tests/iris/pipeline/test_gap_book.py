"""The gap that is open now: what of it came to an end is counted once, by its reason, as the index has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from iris.base.ids import CameraId, RunId
from iris.base.log import get_logger
from iris.domain.segment import GapReason
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.reader import CameraDbReader
from iris.outbox.segments import RunRow, SegmentIndex
from iris.pipeline.gap_book import GapBook
from iris.pipeline.packet_buffer import Away

CAMERA = CameraId("0190a0a0-0000-7000-8000-000000000001")
S = 1_000_000


@pytest.fixture
def index(tmp_path: Path) -> SegmentIndex:
    index = SegmentIndex(CameraDb(camera_db_path(tmp_path, CAMERA)))
    index.begin_run(RunRow(RunId("run"), S, "hash", "h264", 160, 96, ""))
    return index


def book_of(index: SegmentIndex) -> GapBook:
    return GapBook(index, get_logger())


def rows(tmp_path: Path) -> dict[str, int]:
    """Seconds of closed gaps by reason, as the index has them."""
    found: dict[str, int] = {}
    for gap in CameraDbReader(tmp_path).gaps_between(CAMERA, 0, 1 << 60):
        if gap.end_us is not None:
            found[gap.reason.value] = found.get(gap.reason.value, 0) + gap.end_us - gap.start_us
    return found


def test_book_counts_missing_time_by_reason_when_recording_goes_on(tmp_path: Path, index: SegmentIndex) -> None:
    book = book_of(index)
    book.resume(None)
    book.missing_since(10 * S, GapReason.CAMERA_STALLED)
    assert book.closed_us() == {}, "it lasts"
    book.away(Away(GapReason.CAMERA_OFFLINE, 13 * S))
    book.close(20 * S)
    book.missing_since(30 * S, GapReason.CAMERA_STALLED)
    book.close(31 * S)
    assert book.closed_us() == {"camera_stalled": 4 * S, "camera_offline": 7 * S} == rows(tmp_path)


def test_book_counts_a_gap_once_when_another_process_closes_it(tmp_path: Path, index: SegmentIndex) -> None:
    first = book_of(index)
    first.resume(None)
    first.missing_since(10 * S, GapReason.STOPPED)
    second = book_of(index)
    second.resume(10 * S)
    second.close(15 * S)
    third = book_of(index)
    third.resume(20 * S)  # killed: nothing was written about the time since
    third.close(22 * S)
    assert (first.closed_us(), second.closed_us(), third.closed_us()) == (
        {},
        {"stopped": 5 * S},
        {"process_died": 2 * S},
    )
    assert rows(tmp_path) == {"stopped": 5 * S, "process_died": 2 * S}
