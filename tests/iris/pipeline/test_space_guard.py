"""The node's own look after its disk: when it acts, when it waits, and what it says when nothing helps."""

from __future__ import annotations

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from iris.base.errors import DiskFullError, UnavailableError
from iris.base.ids import CameraId, RunId
from iris.contracts.retention import EvictEvents
from iris.domain.segment import Segment
from iris.pipeline.space_guard import PATIENCE_US, SpaceGuard, WriteRate
from iris.retention.policy import RetentionPolicy
from tests.builders.kept_footage import CLIP_BYTES, KeptFootage


def guard_of(node: KeptFootage) -> SpaceGuard:
    return SpaceGuard(node.evictor, node.disk, node.clock, node.policy)


def fill(node: KeptFootage, count: int, held: bool = False) -> None:
    for number in range(1, count + 1):
        node.keep(number, held=held)


def test_guard_waits_for_the_workflow_and_then_makes_room_by_itself(node: KeptFootage) -> None:
    fill(node, 88)
    guard = guard_of(node)
    guard.look()
    report = guard.report()
    assert report is not None
    assert (report.wants_pass, report.alarm, node.tombstones()) == (True, None, {})
    node.clock.advance_us(PATIENCE_US)
    guard.look()
    assert len(node.tombstones()) == 8
    report = guard.report()
    assert report is not None
    assert (report.wants_pass, report.evicted_counts, report.evicted_bytes) == (
        False, {"age": 0, "space": 8}, 8 * CLIP_BYTES,
    )  # fmt: skip


def test_guard_starts_its_patience_anew_when_the_workflow_helped(node: KeptFootage) -> None:
    fill(node, 88)
    guard = guard_of(node)
    guard.look()
    node.clock.advance_us(PATIENCE_US // 2)
    node.foreign_bytes = -20 * CLIP_BYTES
    guard.look()
    node.foreign_bytes = 0
    guard.look()
    node.clock.advance_us(PATIENCE_US // 2)
    guard.look()
    assert node.tombstones() == {}


def test_guard_does_not_wait_when_the_disk_is_critically_full(node: KeptFootage) -> None:
    fill(node, 93)
    guard_of(node).look()
    assert len(node.tombstones()) == 13


def test_guard_does_nothing_when_there_is_room(node: KeptFootage) -> None:
    fill(node, 84)
    guard = guard_of(node)
    guard.look()
    node.clock.advance_us(2 * PATIENCE_US)
    guard.look()
    report = guard.report()
    assert report is not None
    assert (report.wants_pass, node.tombstones()) == (False, {})


def test_guard_says_once_that_only_holds_are_left_and_keeps_them(node: KeptFootage) -> None:
    fill(node, 95, held=True)
    guard = guard_of(node)
    with capture_logs() as logs:
        for _ in range(5):
            guard.look()
            node.clock.advance_s(31)
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["no room can be made"]
    report = guard.report()
    assert report is not None
    assert report.alarm is not None
    assert "95 are on hold" in report.alarm
    assert len(node.events()) == 95
    node.foreign_bytes = -20 * CLIP_BYTES
    guard.look()
    report = guard.report()
    assert report is not None
    assert report.alarm is None


def test_guard_says_that_the_database_is_away_when_the_disk_fills(node: KeptFootage) -> None:
    fill(node, 95)
    guard = guard_of(node)
    node.paired = False
    with capture_logs() as logs:
        guard.look()
        guard.look()
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["no room can be made"]
    report = guard.report()
    assert report is not None
    assert report.alarm is not None
    assert "recording goes on" in report.alarm
    assert node.tombstones() == {}
    node.paired = True
    guard.look()
    report = guard.report()
    assert report is not None
    assert report.alarm is None
    assert len(node.events()) == 80


def test_guard_is_silent_about_the_database_when_there_is_room(node: KeptFootage) -> None:
    fill(node, 10)
    node.paired = False
    guard = guard_of(node)
    with capture_logs() as logs:
        guard.look()
    report = guard.report()
    assert report is not None
    assert (logs, report.alarm) == ([], None)


def test_guard_makes_room_before_a_clip_is_written(node: KeptFootage) -> None:
    fill(node, 84)
    guard = guard_of(node)
    guard.look()
    guard.make_room_for(5 * CLIP_BYTES)
    assert node.tombstones() == {}
    guard.make_room_for(10 * CLIP_BYTES)
    assert len(node.events()) == 70


def test_clip_is_refused_when_no_room_can_be_made_for_it(node: KeptFootage) -> None:
    fill(node, 90, held=True)
    guard = guard_of(node)
    guard.look()
    guard.make_room_for(10 * CLIP_BYTES)
    with pytest.raises(DiskFullError, match="no room for a clip"):
        guard.make_room_for(10 * CLIP_BYTES + 1)
    assert len(node.events()) == 90


def test_guard_begins_earlier_when_two_hours_of_writing_are_not_left(node: KeptFootage) -> None:
    fill(node, 82)
    node.write_bytes_per_s = 18 * CLIP_BYTES / 7200 + 1
    guard = guard_of(node)
    guard.look()
    node.clock.advance_us(PATIENCE_US)
    guard.look()
    assert len(node.events()) == 80


def test_guard_follows_the_policy_that_a_person_sets(node: KeptFootage) -> None:
    fill(node, 60)
    guard = guard_of(node)
    guard.look()
    with node.store.writing() as work:
        work.retention.set_policy(RetentionPolicy(high_water=0.5, low_water=0.3), 1)
    node.clock.advance_s(11)
    guard.look()
    node.clock.advance_us(PATIENCE_US)
    guard.look()
    assert len(node.events()) == 30


class OneCamera:
    """Implements the part of `SegmentIndexReader` that the rate needs."""

    def __init__(self, segments: list[Segment]) -> None:
        self.segments = segments

    def newest_end_us(self, camera_id: CameraId) -> int | None:
        return max((segment.end_us for segment in self.segments), default=None)

    def segments_between(self, camera_id: CameraId, start_us: int, end_us: int) -> list[Segment]:
        return [segment for segment in self.segments if segment.end_us > start_us and segment.start_us < end_us]


def test_write_rate_is_that_of_the_cameras_that_record_now(node: KeptFootage) -> None:
    now_us = node.clock.wall_us()
    segment = Segment(1, CameraId("c"), RunId("r"), "p", now_us - 4_000_000, now_us - 2_000_000, 500, 1, 0, "", "", 1)
    earlier = replace(segment, start_us=now_us - 6_000_000, end_us=now_us - 4_000_000, size_bytes=1500)
    index = OneCamera([earlier, segment])
    cameras = [CameraId("c"), CameraId("d")]
    rate = WriteRate(index, lambda: cameras, node.clock)  # type: ignore[arg-type]  # the part that is asked
    assert rate.bytes_per_s() == 1000
    node.clock.advance_s(90)
    assert rate.bytes_per_s() == 0


def test_guard_stops_and_says_so_when_removing_makes_no_room(node: KeptFootage) -> None:
    node.gives_back_after_s = 1e9  # a snapshot holds all of it
    fill(node, 93)
    guard = guard_of(node)
    with capture_logs() as logs:
        for _ in range(20):
            guard.look()
            node.clock.advance_s(60)
    assert len(node.events()) == 80, "what was needed went, and no more"
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["no room can be made"]
    report = guard.report()
    assert report is not None
    assert "makes no room" in (report.alarm or "")
    node.evictor.run(EvictEvents(node.operation()), lambda step, done, total: None)
    assert len(node.events()) == 67, "a person may try again"
    node.gives_back_after_s = None
    guard.look()
    report = guard.report()
    assert report is not None
    assert report.alarm is None


def test_guard_removes_no_more_while_the_disk_gives_room_back_late(node: KeptFootage) -> None:
    node.gives_back_after_s = 6
    fill(node, 93)
    guard = guard_of(node)
    for _ in range(30):
        guard.look()
        node.clock.advance_s(2)
    assert len(node.events()) == 80
    report = guard.report()
    assert report is not None
    assert report.alarm is None


def test_guard_says_that_a_media_disk_is_missing_and_removes_nothing_until_it_is_back(node: KeptFootage) -> None:
    fill(node, 95)
    missing = [UnavailableError("recordings has lost its mark")]

    def expect_folders() -> None:
        for error in missing:
            raise error

    guard = SpaceGuard(node.evictor, node.disk, node.clock, node.policy, expect_folders)
    node.clock.advance_us(2 * PATIENCE_US)
    with capture_logs() as said:
        for _ in range(3):
            guard.look()
    report = guard.report()
    assert report is not None
    assert (report.alarm, node.tombstones()) == ("recordings has lost its mark", {})
    assert len(said) == 1
    missing.clear()
    guard.look()
    report = guard.report()
    assert report is not None
    assert report.alarm is None
    assert node.tombstones()
