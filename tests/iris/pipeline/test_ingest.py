import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest

from iris.adapters.id_source import Uuid7Source
from iris.base.errors import CameraAuthError, CameraError, CameraStalledError, CameraStreamError, CameraUnreachableError
from iris.base.ids import CameraId
from iris.domain.camera import CameraSpec, CameraState, CameraTuning
from iris.domain.packet import CodecParams, EncodedPacket
from iris.domain.segment import Gap, GapReason, RunStart, Segment
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.reader import CameraDbReader
from iris.pipeline.ingest import Ingest, IngestPorts, _retry_delay_s
from tests.builders.packets import encoded_stream, shifted
from tests.fakes.clock import SimulatedClock
from tests.fakes.packet_source import Elapse, ScriptedOpener, ScriptedSource, Step, Streams, Wait

CAMERA = CameraId("0190a0a0-0000-7000-8000-000000000001")
PARAMS, PACKETS = encoded_stream(n=150, gop=15)
OTHER, OTHER_PACKETS = encoded_stream(n=60, gop=15, size=(200, 120))


@dataclass
class Tap:
    """Implements `iris.ports.PacketTap`."""

    runs: list[RunStart] = field(default_factory=list)
    walls: list[int] = field(default_factory=list)
    ends: list[tuple[GapReason, str]] = field(default_factory=list)

    def run_started(self, run: RunStart) -> None:
        self.runs.append(run)

    def packet(self, packet: EncodedPacket, wall_us: int) -> None:
        self.walls.append(wall_us)

    def run_ended(self, reason: GapReason, sentence: str) -> None:
        self.ends.append((reason, sentence))


class Bench:
    """An ingest over scripted connections; the last one ends in a wait, so that nothing more comes."""

    def __init__(self, data_dir: Path, *connections: list[Step] | CameraError) -> None:
        self.clock = SimulatedClock()
        self.data_dir = data_dir
        self.done = Wait()
        made: list[ScriptedSource | CameraError] = []
        for number, connection in enumerate(connections):
            if isinstance(connection, list):
                steps = [*connection, self.done] if number == len(connections) - 1 else connection
                made.append(ScriptedSource((PARAMS,), steps, self.clock))
            else:
                made.append(connection)
        self.opener = ScriptedOpener(*made)
        self.tap = Tap()
        self.ingest = Ingest(
            CameraSpec(CAMERA, "door", "rtsp://u:p@camera/1"),
            CameraTuning(),
            CameraDb(camera_db_path(data_dir, CAMERA)),
            data_dir,
            IngestPorts(self.opener, self.clock, Uuid7Source(), jitter=lambda: 0.0),
        )
        self.ingest.add_tap(self.tap)

    def play(self) -> None:
        """Run to the end of the scripts, then stop in order."""
        self.ingest.start()
        assert self.done.reached.wait(20)
        self.ingest.stop()

    def segments(self) -> list[Segment]:
        return CameraDbReader(self.data_dir).segments_between(CAMERA, 0, 2**62)

    def gaps(self) -> list[Gap]:
        return CameraDbReader(self.data_dir).gaps_between(CAMERA, 0, 2**62)


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.01)


def test_ingest_loses_no_picture_when_it_is_stopped_in_order(tmp_path: Path) -> None:
    bench = Bench(tmp_path, list(PACKETS[:100]))
    bench.play()
    assert sum(s.video_packet_count for s in bench.segments()) == 100
    assert len(bench.tap.walls) == 100
    assert len(bench.tap.runs) == 1
    assert [g.reason for g in bench.gaps()] == [GapReason.STOPPED]
    assert bench.tap.walls[0] == bench.segments()[0].start_us


def test_ingest_starts_at_a_keyframe_when_the_camera_starts_anywhere(tmp_path: Path) -> None:
    bench = Bench(tmp_path, list(PACKETS[5:65]))
    bench.play()
    assert sum(s.video_packet_count for s in bench.segments()) == 50
    assert bench.ingest.status().counters["packets_before_keyframe"] == 10


def test_ingest_keeps_what_it_held_back_when_the_session_ends_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path, list(PACKETS[:3]))
    bench.play()
    assert sum(s.video_packet_count for s in bench.segments()) == 3


def test_ingest_records_a_gap_with_the_reason_when_the_camera_was_away(tmp_path: Path) -> None:
    bench = Bench(
        tmp_path,
        [*PACKETS[:40], CameraStalledError("the camera sends nothing")],
        CameraUnreachableError("refused"),
        [Elapse(10), *PACKETS[:40]],
    )
    bench.play()
    assert [s.video_packet_count for s in bench.segments()] == [30, 10, 30, 10]
    stalled, offline, stopped = bench.gaps()
    assert [stalled.reason, offline.reason] == [GapReason.CAMERA_STALLED, GapReason.CAMERA_OFFLINE]
    assert stalled.start_us == bench.segments()[1].end_us
    assert stalled.end_us == offline.start_us
    assert offline.end_us == bench.segments()[2].start_us == pytest.approx(stalled.start_us + 10_000_000, abs=100)
    assert stopped.reason is GapReason.STOPPED
    assert bench.tap.ends[0] == (GapReason.CAMERA_STALLED, "the camera sends nothing")
    assert bench.ingest.status().counters["reconnects"] == 2


def test_ingest_starts_a_run_without_a_gap_when_the_picture_changes(tmp_path: Path) -> None:
    later = shifted(OTHER_PACKETS[:40], 40 * 6000)
    bench = Bench(tmp_path, [*PACKETS[:40], Streams((OTHER,)), *later])
    bench.play()
    segments = bench.segments()
    assert [s.video_packet_count for s in segments] == [30, 10, 30, 10]
    assert segments[1].params_hash != segments[2].params_hash
    assert all(a.end_us == b.start_us for a, b in pairwise(segments))
    assert [g.reason for g in bench.gaps()] == [GapReason.STOPPED]
    assert [r.video.width_px for r in bench.tap.runs] == [160, 200]


@pytest.mark.parametrize("seconds", [3600, -100])
def test_ingest_starts_a_run_at_the_next_keyframe_when_time_stamps_jump(tmp_path: Path, seconds: int) -> None:
    bench = Bench(tmp_path, [*PACKETS[:40], *shifted(PACKETS[40:100], seconds * 90_000)])
    bench.play()
    # Pictures 40 to 44 belong to a GOP whose time is broken; the next keyframe is picture 45.
    assert sum(s.video_packet_count for s in bench.segments()) == 95
    jump, _ = bench.gaps()
    assert jump.reason is GapReason.STREAM_CHANGED
    assert jump.end_us is not None
    assert jump.end_us - jump.start_us == pytest.approx(5 * 66_667, abs=70_000)
    assert bench.ingest.status().counters["discontinuities"] == 1


def test_ingest_starts_a_run_when_the_wall_clock_is_set(tmp_path: Path) -> None:
    wait = Wait()
    bench = Bench(tmp_path, [*PACKETS[:40], wait, *PACKETS[40:100]])
    bench.ingest.start()
    assert wait.reached.wait(10)
    bench.clock.step_wall_us(-7_200_000_000)
    wait.go.set()
    assert bench.done.reached.wait(10)
    bench.ingest.stop()
    assert sum(s.video_packet_count for s in bench.segments()) == 100
    assert len(bench.tap.runs) == 2
    spans = sorted((s.start_us, s.end_us) for s in bench.segments())
    assert all(end > start for start, end in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_ingest_records_reordered_pictures_when_the_parameters_do_not_announce_them(tmp_path: Path) -> None:
    params, packets = encoded_stream(n=60, gop=15, b_frames=3)
    bench = Bench(tmp_path, [Streams((params,)), *packets])
    bench.play()
    assert sum(s.video_packet_count for s in bench.segments()) == 60
    assert bench.ingest.status().counters["discontinuities"] == 0


def test_status_says_what_is_wrong_when_the_camera_refuses(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CameraAuthError("the camera refused the user name or password"), list(PACKETS[:10]))
    assert bench.ingest.status().state is CameraState.CONNECTING
    bench.ingest.start()
    until(lambda: bench.ingest.status().state is CameraState.ERROR)
    status = bench.ingest.status()
    assert (status.error_code, status.sentence) == ("camera_auth", "the camera refused the user name or password")
    until(lambda: bench.ingest.status().state is CameraState.RECORDING, timeout_s=15)
    assert bench.ingest.status().sentence == ""
    bench.ingest.stop()


def test_ingest_records_on_when_a_tap_fails(tmp_path: Path) -> None:
    class Broken(Tap):
        def packet(self, packet: EncodedPacket, wall_us: int) -> None:
            raise RuntimeError("a bug of analysis")

    bench = Bench(tmp_path, list(PACKETS[:60]))
    bench.ingest.add_tap(Broken())
    bench.play()
    assert sum(s.video_packet_count for s in bench.segments()) == 60
    assert len(bench.tap.walls) == 60


def test_ingest_connects_again_when_a_session_meets_a_bug(tmp_path: Path) -> None:
    class Odd(ScriptedSource):
        @property
        def streams(self) -> tuple[CodecParams, ...]:
            raise RuntimeError("a bug")

    bench = Bench(tmp_path, list(PACKETS[:60]))
    bench.opener._connections.insert(0, Odd((PARAMS,), [*PACKETS[:10]], bench.clock))
    bench.play()
    assert sum(s.video_packet_count for s in bench.segments()) == 60


def test_ingest_drops_a_first_pts_of_none_into_place(tmp_path: Path) -> None:
    bench = Bench(tmp_path, [replace(PACKETS[0], pts=None), *PACKETS[1:40]])
    bench.play()
    assert sum(s.video_packet_count for s in bench.segments()) == 40
    assert bench.segments()[0].end_us - bench.segments()[0].start_us == pytest.approx(2_000_000, abs=10)


def test_retry_is_every_second_for_two_minutes_and_then_rarer() -> None:
    away = CameraUnreachableError("away")
    assert [_retry_delay_s(away, n, n * 500_000, 0.5) for n in (1, 120, 239)] == [0.5, 0.5, 0.5]
    assert [_retry_delay_s(away, n, n * 500_000, 0.5) for n in (241, 242, 250, 500)] == [2.0, 4.0, 60.0, 60.0]


@pytest.mark.parametrize("error", [CameraAuthError("401"), CameraStreamError("404")])
def test_retry_backs_off_at_once_when_only_a_person_can_help(error: CameraAuthError) -> None:
    assert [_retry_delay_s(error, n, 0, 0.5) for n in (1, 2, 3, 10)] == [2.0, 4.0, 8.0, 60.0]
