import sqlite3
from pathlib import Path

import pytest

from iris.base.errors import StorageError
from iris.base.ids import CameraId, RunId
from iris.base.sqlite import sqlite_module
from iris.domain.segment import Gap, GapReason
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.reader import CameraDbReader
from iris.outbox.segments import DurableSegment, RunRow, SegmentIndex

CAMERA = CameraId("0190a0a0-0000-7000-8000-000000000001")
RUN = RunRow(RunId("run"), 1_000, "hash", "h264", 160, 96, "")


@pytest.fixture
def db(tmp_path: Path) -> CameraDb:
    return CameraDb(camera_db_path(tmp_path, CAMERA))


@pytest.fixture
def index(db: CameraDb) -> SegmentIndex:
    index = SegmentIndex(db)
    index.begin_run(RUN)
    return index


def add(index: SegmentIndex, start_us: int, end_us: int) -> int:
    number = index.begin_segment(RUN.run_id, f"seg_{start_us}.part", start_us - RUN.started_us)
    index.finish_segment(
        number, DurableSegment(f"seg_{start_us}.mp4", start_us, end_us, 9, 3, 0, "0" * 64, end_us - start_us)
    )
    return number


def test_reader_reads_as_empty_when_the_camera_never_recorded(tmp_path: Path) -> None:
    reader = CameraDbReader(tmp_path)
    assert reader.camera_ids() == []
    assert reader.segments_between(CAMERA, 0, 10) == []
    assert reader.gaps_between(CAMERA, 0, 10) == []
    assert reader.newest_end_us(CAMERA) is None
    assert reader.rows_after(CAMERA, 0, 10) == []
    assert reader.open_events(CAMERA) == []


def test_reader_sees_durable_segments_that_overlap_when_others_are_being_written(
    tmp_path: Path, index: SegmentIndex
) -> None:
    for start in (1_000, 2_000, 3_000):
        add(index, start, start + 1_000)
    index.begin_segment(RUN.run_id, "seg_4000.part", 3_000)
    reader = CameraDbReader(tmp_path)
    assert [s.start_us for s in reader.segments_between(CAMERA, 1_999, 2_001)] == [1_000, 2_000]
    assert [s.start_us for s in reader.segments_between(CAMERA, 2_000, 3_000)] == [2_000]
    assert reader.segments_between(CAMERA, 0, 2**60)[0].params_hash == "hash"
    assert reader.newest_end_us(CAMERA) == 4_000
    assert reader.camera_ids() == [CAMERA]


def test_reader_opens_anew_when_the_file_was_made_anew(tmp_path: Path, db: CameraDb, index: SegmentIndex) -> None:
    add(index, 1_000, 2_000)
    reader = CameraDbReader(tmp_path)
    assert reader.newest_end_us(CAMERA) == 2_000
    db.close()
    for file in (tmp_path / "node").iterdir():
        file.unlink()
    assert reader.newest_end_us(CAMERA) is None
    SegmentIndex(CameraDb(camera_db_path(tmp_path, CAMERA))).begin_run(RUN)
    assert reader.newest_end_us(CAMERA) is None


def test_reader_cannot_write(tmp_path: Path, index: SegmentIndex) -> None:
    reader = CameraDbReader(tmp_path)
    with pytest.raises(StorageError):
        reader._query(CAMERA, "DELETE FROM segments")


def test_unfinished_names_the_start_when_the_process_was_killed(index: SegmentIndex) -> None:
    number = index.begin_segment(RUN.run_id, "seg_5000.mp4.part", 4_000)
    (row,) = index.unfinished()
    assert (row.segment_id, row.path, row.start_us) == (number, "seg_5000.mp4.part", 5_000)
    index.forget_segment(number)
    assert index.unfinished() == []


def test_gap_stays_open_until_recording_goes_on(tmp_path: Path, index: SegmentIndex) -> None:
    add(index, 1_000, 2_000)
    index.open_gap(2_000, GapReason.CAMERA_OFFLINE)
    index.open_gap(2_500, GapReason.CAMERA_AUTH)  # the first reason stays
    assert index.current_gap() == Gap(2_000, None, GapReason.CAMERA_OFFLINE)
    index.close_gap(9_000)
    assert index.current_gap() is None
    assert CameraDbReader(tmp_path).gaps_between(CAMERA, 0, 10_000) == [Gap(2_000, 9_000, GapReason.CAMERA_OFFLINE)]
    assert index.known_until_us() == 9_000


def test_gap_goes_on_as_one_when_a_try_recorded_nothing(tmp_path: Path, index: SegmentIndex) -> None:
    index.open_gap(2_000, GapReason.DISK_FULL)
    index.close_gap(3_000)
    index.open_gap(3_000, GapReason.DISK_FULL)
    assert index.current_gap() == Gap(2_000, None, GapReason.DISK_FULL)
    index.close_gap(4_000)
    index.open_gap(4_000, GapReason.PROCESS_DIED)
    assert index.current_gap() == Gap(4_000, None, GapReason.PROCESS_DIED)


def test_gap_never_was_when_it_would_end_before_it_starts(index: SegmentIndex) -> None:
    index.open_gap(2_000, GapReason.STREAM_CHANGED)
    index.close_gap(2_000)
    assert index.known_until_us() is None


def test_gap_begins_at_the_end_of_a_segment_that_is_adopted_into_it(tmp_path: Path, index: SegmentIndex) -> None:
    index.open_gap(5_000, GapReason.DISK_FULL)
    add(index, 5_000, 5_600)
    assert index.current_gap() == Gap(5_600, None, GapReason.DISK_FULL)


def test_deletion_hides_the_row_first_and_drops_it_last(tmp_path: Path, index: SegmentIndex) -> None:
    number = add(index, 1_000, 2_000)
    index.mark_deleting([number])
    assert CameraDbReader(tmp_path).segments_between(CAMERA, 0, 10_000) == []
    assert index.deleting() == [(number, "seg_1000.mp4")]
    assert index.known_until_us() == 2_000  # no gap is invented where footage was pruned
    index.drop_deleted([number], 3_000)
    assert index.deleting() == []


def test_index_refuses_a_durable_row_that_holds_nothing(index: SegmentIndex) -> None:
    number = index.begin_segment(RUN.run_id, "a.part", 0)
    with pytest.raises(StorageError):
        index.finish_segment(number, DurableSegment("a.mp4", 10, 10, 0, 0, 0, "", 0))


def test_index_keeps_what_it_said_when_the_process_dies(tmp_path: Path, index: SegmentIndex) -> None:
    add(index, 1_000, 2_000)
    other: sqlite3.Connection = sqlite_module().connect(str(camera_db_path(tmp_path, CAMERA)))
    assert other.execute("SELECT count(*) FROM segments WHERE state = 'durable'").fetchone() == (1,)
    assert other.execute("PRAGMA synchronous").fetchone() is not None
    other.close()
