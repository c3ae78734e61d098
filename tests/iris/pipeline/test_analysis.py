import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from iris.adapters.av_decode import AvDecoderOpener
from iris.adapters.clock import SystemClock
from iris.adapters.detector import DetectorOpener
from iris.adapters.jpeg import encode_jpeg
from iris.base.errors import NotFoundError
from iris.base.ids import RunId
from iris.domain.camera import DetectorBackend
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from iris.domain.segment import GapReason, RunStart
from iris.domain.track import TrackState
from iris.pipeline.analysis import Analysis
from iris.pipeline.decode import PacketQueue, TimedPacket
from iris.pipeline.detect import DetectLoop, DetectSettings
from iris.tracking.tracker import Tracker
from tests.assets import film, model
from tests.builders.film_packets import EPOCH_US, film_packets, grey_with_box, scene_packets
from tests.fakes.clock import SimulatedClock
from tests.fakes.detection import FakeDecoderOpener, FakeDetector, one_person
from tests.fakes.presence import RecordingObserver

S = 1_000_000
VIDEO = CodecParams(MediaKind.VIDEO, "h264", Fraction(1, 90_000))
# Source: the ground truth beside the films, to about half a second.
ONE_BY_ONE_S = ((6.5, 19.5), (22.5, 44.5), (50.5, 69.5), (74.5, 86.5), (92.5, 119.5), (123.5, 135.5))


@dataclass
class Camera:
    """An analysis with real parts, fed packet by packet on the test's thread; time is the film's."""

    backend: DetectorBackend
    model_path: Path | None = None
    settings: DetectSettings = field(default_factory=DetectSettings)

    def __post_init__(self) -> None:
        self.clock = SimulatedClock(EPOCH_US)
        self.observer = RecordingObserver()
        opener = DetectorOpener(self.backend, self.model_path, "cpu", ("person",), self.clock)
        loop = DetectLoop(opener.open, Tracker(), self.observer, self.clock, self.settings)
        self.analysis = Analysis(loop, AvDecoderOpener(), encode_jpeg)

    def play(self, video: CodecParams, packets: list[TimedPacket], keyframe_interval_us: int | None = None) -> None:
        self.analysis.handle([RunStart(RunId("run"), video, None, keyframe_interval_us)])
        for item in packets:
            self.clock.advance_us(max(0, item.wall_us - self.clock.wall_us()))
            self.analysis.handle([item])

    def presences_s(self, *, apart_s: float) -> list[tuple[float, float]]:
        """(first, last) time in which a confirmed track was seen, joined over holes up to `apart_s`."""
        found: list[tuple[float, float]] = []
        for wall_us, tracks in self.observer.observed:
            seen = [t for t in tracks if t.state is TrackState.CONFIRMED and t.last_us == wall_us]
            if not seen:
                continue
            first, last = (min(t.first_us for t in seen) - EPOCH_US) / S, (wall_us - EPOCH_US) / S
            if found and first - found[-1][1] <= apart_s:
                found[-1] = (found[-1][0], last)
            else:
                found.append((first, last))
        return found


# 5 s of grace never turns idle in this film; with 0.5 s each person comes into a scene of keyframes only.
@pytest.mark.parametrize("grace_s", [5.0, 0.5])
def test_analysis_finds_each_person_of_the_film_and_nobody_between(grace_s: float) -> None:
    video, packets = film_packets(film("one-by-one.mp4"))
    packets = [item for item in packets if item.wall_us < EPOCH_US + 49 * S]
    camera = Camera(DetectorBackend.ONNX, model("yolov8n_static_640x384.onnx"), DetectSettings(active_grace_s=grace_s))
    camera.play(video, packets)
    found = camera.presences_s(apart_s=1.5)
    assert len(found) == 2
    for (first, last), (true_first, true_last) in zip(found, ONE_BY_ONE_S, strict=False):
        assert first == pytest.approx(true_first, abs=0.8)
        assert last == pytest.approx(true_last, abs=0.8)
    counters = camera.analysis.status().counters
    assert counters["decode_errors"] == 0
    decoded_everything = counters["frames_decoded"] >= len(packets) - 2
    assert decoded_everything is (grace_s == 5.0)


def test_analysis_decodes_keyframes_only_while_idle_and_sees_who_comes() -> None:
    comes_s = 20.45

    def draw(at_s: float) -> np.ndarray:
        x = round((at_s - comes_s) * 40)
        return grey_with_box((x, 60, x + 30, 140) if at_s >= comes_s and x < 280 else None)

    video, packets = scene_packets(draw, seconds=24, fps=10, gop=10)
    camera = Camera(DetectorBackend.MOTION)
    camera.play(video, packets[:200])
    still = camera.analysis.status().counters["frames_decoded"]
    assert still <= 60 + 16  # everything for the grace time, then a keyframe a second
    camera.play(video, packets[200:], S)
    (first, _last), *_ = camera.presences_s(apart_s=1.0)
    assert comes_s <= first <= comes_s + 0.5  # not the keyframe at 21 s, but the pictures before it


def test_analysis_decodes_everything_while_idle_when_keyframes_are_rare() -> None:
    video, packets = scene_packets(lambda _: grey_with_box(None), seconds=12, fps=10, gop=40)
    camera = Camera(DetectorBackend.MOTION)
    camera.play(video, packets)
    assert camera.analysis.status().counters["frames_decoded"] == len(packets)


def test_analysis_goes_on_when_the_stream_changes_its_size() -> None:
    box = (100, 40, 160, 160)
    big, big_packets = scene_packets(lambda _: grey_with_box(box, (640, 360)), seconds=1)
    small, small_packets = scene_packets(lambda _: grey_with_box(box), seconds=1)
    camera = Camera(DetectorBackend.MOTION)
    camera.play(big, big_packets)
    camera.play(small, [TimedPacket(item.packet, item.wall_us + S) for item in small_packets])
    assert camera.observer.sizes_px == {(640, 360), (320, 180)}
    assert camera.analysis.status().counters["decode_errors"] == 0


def fake_analysis(*, decodes: bool = True, fails: bool = False) -> tuple[Analysis, FakeDetector, RecordingObserver]:
    detector, observer = FakeDetector(lambda _: None if fails else one_person()), RecordingObserver()
    loop = DetectLoop(detector.open, Tracker(), observer, SystemClock(), DetectSettings())
    queue = PacketQueue(max_packets=1000)
    return Analysis(loop, FakeDecoderOpener(), encode_jpeg, decodes=decodes, queue=queue), detector, observer


def shade(value: int, *, key: bool = True) -> EncodedPacket:
    return EncodedPacket(MediaKind.VIDEO, bytes([value]), None, None, Fraction(1, 90_000), key)


def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def test_analysis_looks_at_the_newest_picture_only_when_it_lags() -> None:
    analysis, detector, observer = fake_analysis()
    analysis.handle([RunStart(RunId("run"), VIDEO, None)])
    analysis.handle([TimedPacket(shade(90, key=i == 0), EPOCH_US + i * 100_000) for i in range(31)])
    assert detector.call_count == 1
    assert observer.observed[0][0] == EPOCH_US + 3 * S
    assert analysis.status().counters["frames_skipped"] == 15


def test_analysis_thread_observes_ticks_and_stops() -> None:
    analysis, _, observer = fake_analysis()
    analysis.start()
    analysis.run_started(RunStart(RunId("run"), VIDEO, None))
    analysis.packet(shade(90), EPOCH_US)
    until(lambda: len(observer.observed) == 1)
    analysis.run_ended(GapReason.CAMERA_OFFLINE, "the camera closed the connection")
    until(lambda: len(observer.ticks_us) >= 2)
    assert analysis.stop()


def test_analysis_thread_lives_on_when_the_observer_fails() -> None:
    class Failing(RecordingObserver):
        def observe(self, *arguments: object) -> None:
            raise RuntimeError("no space left")

    detector = FakeDetector(lambda _: one_person())
    loop = DetectLoop(detector.open, Tracker(), Failing(), SystemClock(), DetectSettings())
    analysis = Analysis(loop, FakeDecoderOpener(), encode_jpeg)
    analysis.start()
    analysis.run_started(RunStart(RunId("run"), VIDEO, None))
    for i in range(2):
        analysis.packet(shade(90), EPOCH_US + i * S)
        until(lambda: analysis.status().counters["analysis_errors"] == i + 1)  # noqa: B023 - called at once
    assert analysis.stop()


def test_status_says_none_and_nothing_is_decoded_when_recording_only() -> None:
    analysis, detector, observer = fake_analysis(decodes=False)
    analysis.start()
    analysis.run_started(RunStart(RunId("run"), VIDEO, None))
    analysis.packet(shade(90), EPOCH_US)
    until(lambda: len(observer.ticks_us) >= 1)
    assert analysis.stop()
    status = analysis.status()
    assert (status.report.backend, status.counters["frames_decoded"], detector.open_count) == ("none", 0, 0)


def middle(jpeg: bytes) -> int:
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert grey is not None
    return int(grey[grey.shape[0] // 2, grey.shape[1] // 2])


def test_snapshot_is_the_newest_keyframe_when_nothing_is_decoded() -> None:
    analysis, _, _ = fake_analysis(decodes=False)
    with pytest.raises(NotFoundError, match="no picture yet"):
        analysis.snapshot_jpeg()
    analysis.run_started(RunStart(RunId("run"), VIDEO, None))
    analysis.packet(shade(50), EPOCH_US)
    analysis.packet(shade(200), EPOCH_US + S)
    analysis.packet(shade(10, key=False), EPOCH_US + S + 100)
    assert middle(analysis.snapshot_jpeg()) == pytest.approx(200, abs=3)


def test_snapshot_is_the_newest_decoded_picture_while_active() -> None:
    analysis, _, _ = fake_analysis()
    analysis.run_started(RunStart(RunId("run"), VIDEO, None))
    analysis.packet(shade(50), EPOCH_US)
    analysis.handle([RunStart(RunId("run"), VIDEO, None)])
    analysis.handle([TimedPacket(shade(50), EPOCH_US), TimedPacket(shade(120, key=False), EPOCH_US + 100)])
    assert middle(analysis.snapshot_jpeg()) == pytest.approx(120, abs=3)


def test_snapshot_is_the_newest_keyframe_when_the_analysis_is_behind() -> None:
    analysis, _, _ = fake_analysis()
    analysis.run_started(RunStart(RunId("run"), VIDEO, None))
    analysis.handle([RunStart(RunId("run"), VIDEO, None), TimedPacket(shade(50), EPOCH_US)])
    analysis.packet(shade(200), EPOCH_US + S)
    assert middle(analysis.snapshot_jpeg()) == pytest.approx(200, abs=3)
