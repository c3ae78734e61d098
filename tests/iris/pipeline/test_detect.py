from collections.abc import Callable

import pytest

from iris.base.errors import InferenceError
from iris.camera_ports import Detector
from iris.domain.detection import Detections, DetectorReport
from iris.domain.frame import UInt8Array
from iris.pipeline.detect import DetectLoop, DetectSettings
from iris.tracking.tracker import Tracker
from tests.fakes.clock import SimulatedClock
from tests.fakes.detection import PERSON, FakeDetector, FakePicture, one_person
from tests.fakes.presence import RecordingObserver

S = 1_000_000


class Scene:
    """A loop with everything around it; pictures are shown by time."""

    def __init__(self, sees: Callable[[UInt8Array], Detections | None], **settings: float) -> None:
        self.clock = SimulatedClock()
        self.start_us = self.clock.wall_us()
        self.observer = RecordingObserver()
        self.detector = FakeDetector(sees)
        self.loop = DetectLoop(self.detector.open, Tracker(), self.observer, self.clock, DetectSettings(**settings))

    def show(self, seconds: float, *, fps: float = 10, shade: int = 90) -> int:
        """Show pictures for a time, as the analysis does; how many were looked at."""
        before = self.loop.look_count
        for _ in range(round(seconds * fps)):
            self.clock.advance_us(round(S / fps))
            picture = FakePicture(self.clock.wall_us(), shade)
            if self.loop.due(picture.wall_us):
                self.loop.look(picture)
        return self.loop.look_count - before


def nobody(_: UInt8Array) -> Detections:
    return Detections.empty(PERSON)


def test_loop_looks_five_times_a_second_while_somebody_is_there() -> None:
    scene = Scene(lambda _: one_person())
    assert scene.show(10) == 50
    assert scene.detector.call_count == 50
    assert scene.loop.in_view == ("person",)
    assert scene.loop.detect_fps == pytest.approx(5, abs=0.2)
    assert len(scene.observer.observed) == 50


def test_loop_gives_boxes_in_source_pixels() -> None:
    scene = Scene(lambda _: one_person())
    scene.show(1)
    box = scene.observer.observed[0][1][0].box_xyxy
    assert box == pytest.approx((300, 150, 600, 900))  # 640 x 360 to 1920 x 1080
    assert scene.observer.sizes_px == {(1920, 1080)}


def test_loop_turns_idle_after_the_grace_time_of_an_empty_scene() -> None:
    scene = Scene(nobody, active_grace_s=5.0)
    scene.show(5)
    assert not scene.loop.idle_at(scene.clock.wall_us())
    scene.show(0.5)
    assert scene.loop.idle_at(scene.clock.wall_us())
    assert scene.show(10) == 20


def test_loop_runs_the_network_once_per_five_seconds_while_nothing_moves() -> None:
    scene = Scene(nobody)
    scene.show(6)
    before = scene.detector.call_count
    scene.show(20)
    assert scene.detector.call_count - before == 4


def test_loop_runs_the_network_at_the_next_look_when_something_moves() -> None:
    scene = Scene(nobody)
    scene.show(7)
    before = scene.detector.call_count
    scene.show(0.5, shade=160)
    assert scene.detector.call_count - before == 1


def test_loop_keeps_looking_at_somebody_who_stands_still() -> None:
    scene = Scene(lambda _: one_person())
    scene.show(3)
    before = scene.detector.call_count
    scene.show(4)  # the picture never changes
    assert scene.detector.call_count - before == 20


def test_weak_detections_do_not_keep_a_scene_active() -> None:
    scene = Scene(lambda _: one_person(0.2))
    scene.show(6)
    assert scene.loop.idle_at(scene.clock.wall_us())
    assert scene.loop.detection_count == 0


def test_glance_wakes_the_loop_without_a_word_to_the_tracker() -> None:
    found: list[Detections] = [Detections.empty(PERSON)]
    scene = Scene(lambda _: found[0])
    scene.show(8)
    observed = len(scene.observer.observed)
    scene.clock.advance_s(6)
    assert not scene.loop.glance(FakePicture(scene.clock.wall_us()))
    found[0] = one_person()
    scene.clock.advance_s(6)
    now_us = scene.clock.wall_us()
    assert scene.loop.glance(FakePicture(now_us))
    assert len(scene.observer.observed) == observed
    assert not scene.loop.idle_at(now_us - S)
    scene.loop.look_again_from(now_us - S)
    shown = [FakePicture(now_us - S + i * S // 10) for i in range(10)]
    for picture in shown:
        if scene.loop.due(picture.wall_us):
            scene.loop.look(picture)
    assert [at - now_us for at, _ in scene.observer.observed[observed:]] == [-S + i * S // 5 for i in range(5)]


def test_loop_leaves_a_failing_network_alone_and_loads_it_again() -> None:
    works = [False]
    scene = Scene(lambda _: one_person() if works[0] else None)
    scene.show(0.9)
    assert scene.detector.call_count == 1
    assert scene.loop.report.sentence == "the network failed on cuda"
    scene.show(2)  # tried again after 1 s, then left alone for 2 s
    assert scene.detector.call_count == 2
    works[0] = True
    scene.show(3)
    assert scene.detector.open_count == 3
    assert scene.loop.report.sentence == ""
    assert scene.loop.inference_error_count == 2
    assert scene.loop.in_view == ("person",)


def test_loop_reports_and_tries_again_when_the_detector_cannot_be_loaded() -> None:
    opened: list[int] = []

    def opening() -> tuple[Detector | None, DetectorReport]:
        opened.append(1)
        raise InferenceError("the model yolov8n.onnx cannot be loaded: damaged")

    clock = SimulatedClock()
    loop = DetectLoop(opening, Tracker(), RecordingObserver(), clock, DetectSettings())
    for _ in range(20):
        clock.advance_s(0.2)
        loop.look(FakePicture(clock.wall_us()))
    assert len(opened) == 3
    assert "damaged" in loop.report.sentence


def test_nobody_is_in_view_when_no_picture_came_for_two_seconds() -> None:
    scene = Scene(lambda _: one_person())
    scene.show(2)
    before = scene.loop.in_view
    scene.clock.advance_s(2.5)
    assert (before, scene.loop.in_view) == (("person",), ())
    assert scene.loop.detect_fps < 5


def test_tick_speaks_only_when_the_observer_has_heard_nothing() -> None:
    scene = Scene(lambda _: one_person())
    scene.show(2)
    scene.loop.tick(every_us=S // 2)
    assert scene.observer.ticks_us == []
    for _ in range(4):
        scene.clock.advance_s(0.5)
        scene.loop.tick(every_us=S // 2)
    assert len(scene.observer.ticks_us) == 4


def test_loop_looks_at_once_when_a_new_run_begins_earlier() -> None:
    scene = Scene(nobody)
    scene.show(1)
    scene.loop.run_started()
    assert scene.loop.due(scene.clock.wall_us() - 3 * S)


def test_two_loops_do_not_influence_one_another() -> None:
    one, two = Scene(lambda _: one_person()), Scene(nobody)
    for _ in range(20):
        one.show(0.2)
        two.show(0.2)
    alone = Scene(lambda _: one_person())
    alone.show(4)
    assert [tracks for _, tracks in one.observer.observed] == [tracks for _, tracks in alone.observer.observed]
    assert two.loop.in_view == ()
