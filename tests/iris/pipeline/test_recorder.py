import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from iris.adapters.media_files import publish
from iris.adapters.pins import pin_segment
from iris.base.errors import DiskFullError, StorageError
from iris.base.ids import CameraId, RunId
from iris.domain.segment import Gap, GapReason, RunStart, Segment
from iris.media.timeline import ArrivedPacket, Timeline
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.reader import CameraDbReader
from iris.outbox.segments import RunRow, SegmentIndex
from iris.pipeline.packet_buffer import Away, BeginRun, EndRun, Hole, Item
from iris.pipeline.recorder import Recorder, RecorderSpec, params_hash
from tests.assets import skip_or_fail
from tests.builders.packets import decoded_count, encoded_stream
from tests.fakes.clock import SimulatedClock
from tests.faults.disks import Ballast

CAMERA = CameraId("0190a0a0-0000-7000-8000-000000000001")
EVENT = "0190a0a0-0000-7000-8000-00000000000e"
START_US = 1_700_000_000_000_000
PARAMS, PACKETS = encoded_stream(n=150, gop=15)


@dataclass
class Heard:
    """Implements `iris.ports.SegmentListener`."""

    segments: list[Segment] = field(default_factory=list)
    ends: list[tuple[int, GapReason]] = field(default_factory=list)

    def segment_published(self, segment: Segment) -> None:
        self.segments.append(segment)

    def run_ended(self, end_us: int, reason: GapReason) -> None:
        self.ends.append((end_us, reason))


@dataclass
class Bench:
    """A recorder over a folder; `again` is the next process."""

    data_dir: Path
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    heard: Heard = field(default_factory=Heard)
    publish_file: Callable[[Path, Path], None] = publish
    retention_seconds: float = 120.0
    run_count: int = 0

    def __post_init__(self) -> None:
        self.again()

    def again(self) -> None:
        self.index = SegmentIndex(CameraDb(camera_db_path(self.data_dir, CAMERA)))
        spec = RecorderSpec(CAMERA, self.data_dir, 2.0, self.retention_seconds)
        self.recorder = Recorder(spec, self.index, self.clock, [self.heard], self._publish)
        self.recorder.recover()

    def _publish(self, part: Path, final: Path) -> None:
        self.publish_file(part, final)

    def run(self, first: int = 0, last: int = 150, at_us: int = START_US) -> list[Item]:
        """Marks and packets of a run whose first picture is at `at_us`."""
        items = [ArrivedPacket(p, i * 66_667) for i, p in enumerate(PACKETS[first:last])]
        timeline = Timeline(items[:10], 0, 0)
        placed = [p for i in items if (p := timeline.place(i.packet, i.arrived_us)) is not None]
        shift = at_us - placed[0].wall_us
        self.run_count += 1
        start = RunStart(RunId(f"run {self.run_count}"), PARAMS, None)
        row = RunRow(start.run_id, at_us, params_hash(PARAMS, None), "h264", 160, 96, "")
        return [BeginRun(start, row), *(replace(p, wall_us=p.wall_us + shift) for p in placed)]

    def segments(self) -> list[Segment]:
        return CameraDbReader(self.data_dir).segments_between(CAMERA, 0, 2**62)

    def gaps(self) -> list[Gap]:
        return CameraDbReader(self.data_dir).gaps_between(CAMERA, 0, 2**62)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_recorder_publishes_gapless_segments_when_a_run_goes_on(bench: Bench) -> None:
    bench.recorder.handle_all([*bench.run(), EndRun(GapReason.CAMERA_OFFLINE)])
    segments = bench.segments()
    assert [s.video_packet_count for s in segments] == [30] * 5
    assert all(a.end_us == b.start_us for a, b in pairwise(segments))
    assert segments == bench.heard.segments
    for segment in segments:
        path = bench.data_dir / segment.path
        assert path.name == f"seg_{segment.start_us}.mp4"
        assert path.stat().st_size == segment.size_bytes
        assert decoded_count(path) == 30
    assert bench.gaps() == [Gap(segments[-1].end_us, None, GapReason.CAMERA_OFFLINE)]
    assert bench.heard.ends == [(segments[-1].end_us, GapReason.CAMERA_OFFLINE)]
    assert segments[-1].end_us - segments[0].start_us == pytest.approx(10_000_000, abs=20)


def test_recorder_has_no_gap_before_the_first_recording(bench: Bench) -> None:
    bench.recorder.handle_all([*bench.run(0, 10), Away(GapReason.CAMERA_OFFLINE, START_US + 1)])  # still recording
    assert bench.gaps() == []


def test_recorder_opens_a_gap_with_its_reason_when_the_camera_never_came(bench: Bench) -> None:
    tried_us = START_US - 60_000_000
    bench.recorder.handle_all([Away(GapReason.CAMERA_OFFLINE, tried_us)])
    assert bench.gaps() == [Gap(tried_us, None, GapReason.CAMERA_OFFLINE)]
    assert CameraDbReader(bench.data_dir).first_start_us(CAMERA) == tried_us, "before it nothing had started"
    bench.again()
    bench.recorder.handle_all([Away(GapReason.CAMERA_OFFLINE, tried_us + 9), *bench.run(0, 40)])
    assert bench.gaps() == [Gap(tried_us, START_US, GapReason.CAMERA_OFFLINE)]


def test_recorder_closes_the_gap_at_the_first_picture_when_the_camera_is_back(bench: Bench) -> None:
    bench.recorder.handle_all([*bench.run(0, 40), EndRun(GapReason.CAMERA_AUTH)])
    back_us = START_US + 60_000_000
    bench.recorder.handle_all(bench.run(0, 40, back_us))
    end_us = START_US + 40 * 1_000_000 // 15
    (gap,) = bench.gaps()
    assert abs(gap.start_us - end_us) < 10
    assert (gap.end_us, gap.reason) == (back_us, GapReason.CAMERA_AUTH)


def test_recorder_splits_the_gap_when_the_camera_is_away_for_another_reason(bench: Bench) -> None:
    bench.recorder.handle_all(bench.run(0, 40))
    bench.recorder.close()
    bench.again()
    refused_us, back_us = START_US + 60_000_000, START_US + 90_000_000
    bench.recorder.handle_all([Away(GapReason.CAMERA_AUTH, refused_us), *bench.run(0, 40, back_us)])
    bench.recorder.handle_all([Away(GapReason.CAMERA_OFFLINE, back_us + 1)])  # recording: nothing is missing
    stopped, refused = bench.gaps()
    assert (stopped.reason, stopped.end_us) == (GapReason.STOPPED, refused_us)
    assert refused == Gap(refused_us, back_us, GapReason.CAMERA_AUTH)


def test_recorder_keeps_a_gap_of_the_disk_when_the_camera_is_away_as_well(bench: Bench) -> None:
    bench.recorder.handle_all([*bench.run(0, 40), EndRun(GapReason.DISK_FULL)])
    bench.recorder.handle_all([Away(GapReason.CAMERA_OFFLINE, START_US + 60_000_000)])
    assert [(gap.reason, gap.end_us) for gap in bench.gaps()] == [(GapReason.DISK_FULL, None)]


def test_recorder_leaves_no_gap_when_parameters_change_between_two_pictures(bench: Bench) -> None:
    first = bench.run(0, 40)
    next_us = START_US + 40 * 1_000_000 // 15
    bench.recorder.handle_all([*first, EndRun(None), *bench.run(0, 40, next_us)])
    bench.recorder.close()
    segments = bench.segments()
    assert [s.video_packet_count for s in segments] == [30, 10, 30, 10]
    assert segments[1].end_us == segments[2].start_us == next_us
    assert segments[1].run_id != segments[2].run_id
    assert [g.reason for g in bench.gaps()] == [GapReason.STOPPED]


def test_recorder_adopts_whole_fragments_when_the_process_was_killed(bench: Bench) -> None:
    bench.recorder.handle_all(bench.run(0, 56))
    assert len(bench.segments()) == 1  # the second one, of 26 pictures, is unfinished
    bench.heard.segments.clear()
    bench.again()
    first, adopted = bench.segments()
    assert adopted.start_us == first.end_us
    assert 26 - 9 <= adopted.video_packet_count <= 26
    assert decoded_count(bench.data_dir / adopted.path) == adopted.video_packet_count
    assert bench.heard.segments == [adopted]
    assert bench.gaps() == [Gap(adopted.end_us, None, GapReason.PROCESS_DIED)]
    assert list(bench.data_dir.glob("segments/*/*.part")) == []
    bench.again()  # nothing changes when it dies again at once
    assert bench.segments() == [first, adopted]
    assert len(bench.gaps()) == 1


def test_recorder_keeps_the_reason_when_it_was_stopped_in_order(bench: Bench) -> None:
    bench.recorder.handle_all(bench.run(0, 56))
    bench.recorder.close()
    assert sum(s.video_packet_count for s in bench.segments()) == 56
    bench.again()
    assert [g.reason for g in bench.gaps()] == [GapReason.STOPPED]


def test_recorder_adopts_a_published_file_when_its_row_was_not_written(bench: Bench) -> None:
    bench.recorder.handle_all(bench.run(0, 20))
    (part,) = bench.data_dir.glob("segments/*/*.part")
    part.rename(part.with_suffix(""))
    bench.again()
    assert len(bench.segments()) == 1
    assert bench.segments()[0].path.endswith(part.with_suffix("").name)


def test_recorder_abandons_the_file_when_fsync_fails_and_goes_on_with_a_new_name(bench: Bench) -> None:
    names: list[str] = []

    def failing(part: Path, final: Path) -> None:
        names.append(part.name)
        if len(names) == 2:
            raise StorageError("input/output error")
        publish(part, final)

    bench.publish_file = failing
    bench.recorder.handle_all(bench.run(0, 75))
    assert bench.recorder.failure_count == 1
    bench.recorder.handle_all([EndRun(None), *bench.run(75, 150, START_US + 5_000_000)])
    bench.recorder.close()
    segments = bench.segments()
    assert [s.start_us - START_US for s in segments][:1] == [0]
    assert len(set(names)) == len(names)
    lost = [g for g in bench.gaps() if g.reason is GapReason.STORAGE_ERROR]
    assert len(lost) == 1
    assert lost[0].start_us == segments[0].end_us
    assert lost[0].end_us == segments[1].start_us
    assert bench.recorder.failure is None


def test_recorder_has_no_gap_over_a_durable_segment_when_the_next_file_cannot_be_made(bench: Bench) -> None:
    items = bench.run()
    bench.recorder.handle_all(items[:20])
    (part,) = bench.data_dir.glob("segments/*/*.part")
    # What is in the way of the second file: a link to nowhere.
    (part.parent / f"seg_{START_US + 2_000_000}.mp4.part").symlink_to("nowhere")
    bench.recorder.handle_all(items[20:40])
    assert bench.recorder.failure_count == 1
    (segment,) = bench.segments()
    assert bench.heard.segments == [segment]
    assert bench.gaps() == [Gap(segment.end_us, None, GapReason.STORAGE_ERROR)]


def test_recorder_splits_the_gap_when_the_camera_is_back_and_the_disk_refuses(bench: Bench) -> None:
    bench.recorder.handle_all([*bench.run(0, 40), EndRun(GapReason.CAMERA_OFFLINE)])
    back_us = START_US + 60_000_000
    folder = next(bench.data_dir.glob("segments/*"))
    (folder / f"seg_{back_us}.mp4.part").symlink_to("nowhere")
    bench.recorder.handle_all(bench.run(0, 10, back_us))
    away, refused = bench.gaps()
    assert (away.reason, away.end_us) == (GapReason.CAMERA_OFFLINE, back_us)
    assert refused == Gap(back_us, None, GapReason.STORAGE_ERROR)


def test_recorder_records_a_gap_when_the_buffer_dropped_packets(bench: Bench) -> None:
    items = bench.run()
    # Pictures 40 to 59 were dropped: the rest of a GOP is never dropped in part, so the next one is a keyframe.
    bench.recorder.handle_all([*items[:41], Hole(), *items[61:]])
    first, second, third = bench.segments()[:3]
    assert second.video_packet_count == 10
    assert bench.gaps() == [Gap(second.end_us, third.start_us, GapReason.STORAGE_ERROR)]
    assert third.start_us == pytest.approx(START_US + 4_000_000, abs=20)
    assert first.end_us == second.start_us


def test_recorder_prunes_what_is_old_and_keeps_what_is_pinned(tmp_path: Path) -> None:
    bench = Bench(tmp_path, retention_seconds=4.0)
    items = bench.run()
    bench.recorder.handle_all(items[:70])
    oldest, pinned = bench.segments()[:2]
    pin_segment(tmp_path, EVENT, pinned)
    bench.clock.advance_s(11)
    bench.recorder.handle_all([*items[70:], EndRun(GapReason.CAMERA_OFFLINE)])
    bench.clock.advance_s(11)
    bench.recorder.handle_all([*bench.run(0, 40, START_US + 20_000_000)])
    left = [s.start_us for s in bench.segments()]
    assert oldest.start_us not in left
    assert pinned.start_us in left
    assert not (tmp_path / oldest.path).exists()
    assert (tmp_path / pinned.path).exists()
    on_disk = {p.name for p in tmp_path.glob("segments/*/*.mp4")}
    assert on_disk == {Path(s.path).name for s in bench.segments()}


@pytest.mark.parametrize("step_s", [7200, -7200, 86_400 * 365])
def test_recorder_prunes_nothing_for_a_wall_clock_that_was_set(bench: Bench, step_s: int) -> None:
    bench.recorder.handle_all([*bench.run(0, 75), EndRun(GapReason.STREAM_CHANGED)])
    before = bench.segments()
    bench.clock.advance_s(11)
    bench.recorder.handle_all([*bench.run(0, 75, START_US + step_s * 1_000_000), EndRun(GapReason.CAMERA_OFFLINE)])
    assert {s.path for s in before} <= {s.path for s in bench.segments()}
    assert all((bench.data_dir / s.path).exists() for s in before)


def test_recorder_finishes_a_deletion_when_it_was_killed_in_it(bench: Bench) -> None:
    bench.recorder.handle_all([*bench.run(0, 40), EndRun(GapReason.STOPPED)])
    first, second = bench.segments()
    bench.index.mark_deleting([first.segment_id])
    bench.again()
    assert not (bench.data_dir / first.path).exists()
    assert bench.segments() == [second]
    assert bench.index.deleting() == []


def test_recorder_never_writes_over_footage_when_the_clock_was_set_back(bench: Bench) -> None:
    bench.recorder.handle_all([*bench.run(0, 40), EndRun(GapReason.STREAM_CHANGED), *bench.run(0, 40)])
    bench.recorder.close()
    paths = [s.path for s in bench.segments()]
    assert len(paths) == len(set(paths)) == 4
    assert all((bench.data_dir / path).exists() for path in paths)


def test_recorder_goes_on_when_a_listener_fails(bench: Bench) -> None:
    def broken(segment: Segment) -> None:
        raise RuntimeError("a bug elsewhere")

    bench.heard.segment_published = broken  # type: ignore[method-assign]  # a fault of the listener is the case
    bench.recorder.handle_all([*bench.run(), EndRun(GapReason.STOPPED)])
    assert len(bench.segments()) == 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MiB for the segments; the index has room elsewhere."""
    folder = tmp_path / "segments"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        skip_or_fail("a full disk needs root to mount a tmpfs; run the tests as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_recorder_resumes_by_itself_when_a_full_disk_has_space_again(small_disk: Path) -> None:
    bench = Bench(small_disk.parent)
    ballast = small_disk / "ballast"
    items = bench.run()
    bench.recorder.handle_all(items[:50])
    with ballast.open("wb", buffering=0) as file:
        while True:
            try:
                if file.write(bytes(4096)) < 4096:
                    break
            except OSError:
                break
    with capture_logs() as logs:
        bench.recorder.handle_all(items[50:100])
        assert isinstance(bench.recorder.failure, DiskFullError)
        assert not bench.recorder.ready()
        bench.clock.advance_s(1)
        assert bench.recorder.ready()
        ballast.unlink()
        bench.recorder.handle_all(items[100:])
        bench.recorder.close()
    said = [line["event"] for line in logs]
    assert (said.count("recording interrupted"), said.count("recording resumed")) == (1, 1)
    assert said.index("recording interrupted") < said.index("recording resumed")
    after_failure: StorageError | None = bench.recorder.failure
    assert after_failure is None
    full = [g for g in bench.gaps() if g.reason is GapReason.DISK_FULL]
    assert len(full) == 1
    segments = bench.segments()
    before = [s for s in segments if s.end_us <= full[0].start_us]
    after = [s for s in segments if s.start_us >= (full[0].end_us or 0)]
    assert before
    assert after
    assert len(before) + len(after) == len(segments)
    assert full[0].start_us == before[-1].end_us
    assert full[0].end_us == after[0].start_us
    for segment in segments:
        assert decoded_count(bench.data_dir / segment.path) == segment.video_packet_count


def test_recorder_leaves_no_file_open_when_the_disk_stays_full(small_disk: Path) -> None:
    bench = Bench(small_disk.parent)
    items = bench.run()
    bench.recorder.handle_all(items[:20])
    Ballast(small_disk).fill()
    for item in items[20:]:
        bench.clock.advance_s(1)
        bench.recorder.handle_all([item])
    assert bench.recorder.failure_count > 5
    bench.recorder.close()
    links = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    assert [link for link in links if str(small_disk) in link] == []


def test_recorder_waits_and_keeps_every_row_while_its_disk_is_not_mounted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.recorder.handle_all(bench.run(last=100))
    unfinished = bench.index.unfinished()
    assert unfinished, "a killed process left a segment"
    (tmp_path / "store.json").write_text(json.dumps({"store_id": CAMERA, "generation": 1, "folders": ["segments"]}))
    (tmp_path / "segments").rename(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match=r"segments has lost its mark .*is its disk not mounted"):
        bench.again()
    assert bench.index.unfinished() == unfinished
    assert not (tmp_path / "segments").exists()
    (tmp_path / "elsewhere").rename(tmp_path / "segments")
    (tmp_path / "segments" / ".iris-store").write_text(CAMERA)
    bench.again()
    assert bench.index.unfinished() == []
    assert len(bench.index.durable_segments()) > 1
