"""Life cycle of tracks, in time rather than frames."""

from __future__ import annotations

import numpy as np
import pytest

from iris.domain.detection import Detections
from iris.domain.track import Track, TrackState
from iris.tracking.tracker import Tracker
from tests.builders.tracking_scenes import SCENES, tracking_scene

NAMES = ("person", "dog")
T0 = 1_700_000_000_000_000
Box = tuple[float, float, float, float]


def seen(*boxes: Box, score: float = 0.9, class_id: int = 0) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(count, score, np.float32),
        np.full(count, class_id, np.int32),
        NAMES,
    )


def at_x(x: float) -> Box:
    return (x, 100.0, x + 60.0, 260.0)


def confirmed(tracks: tuple[Track, ...]) -> list[int]:
    return [track.track_id for track in tracks if track.state is TrackState.CONFIRMED]


def test_track_is_confirmed_when_seen_again_and_begins_at_its_first_detection() -> None:
    tracker = Tracker()

    first = tracker.update(seen(at_x(100)), T0)
    second = tracker.update(seen(at_x(110)), T0 + 200_000)

    assert [track.state for track in first] == [TrackState.TENTATIVE]
    assert [(track.state, track.first_us, track.last_us, track.hit_count) for track in second] == [
        (TrackState.CONFIRMED, T0, T0 + 200_000, 2)
    ]


@pytest.mark.parametrize("fps", [2, 5, 10, 15])
def test_track_begins_and_ends_at_the_same_times_at_any_rate(fps: int) -> None:
    tracker = Tracker()
    lives: dict[int, tuple[int, int]] = {}
    for number in range(8 * fps):
        t_us = number * 1_000_000 // fps
        inside = 1_000_000 <= t_us <= 4_000_000
        for track in tracker.update(seen(*([at_x(50 + t_us / 20_000)] if inside else [])), T0 + t_us):
            if track.state is TrackState.CLOSED:
                lives[track.track_id] = (track.first_us - T0, track.last_us - T0)

    assert list(lives) == [1]
    assert lives[1][0] == pytest.approx(1_000_000, abs=1_000_000 // fps)
    assert lives[1][1] == pytest.approx(4_000_000, abs=1_000_000 // fps)


def test_track_goes_on_when_nothing_is_detected_for_a_second() -> None:
    tracker = Tracker()
    for number in range(10):
        tracker.update(seen(at_x(100 + 10 * number)), T0 + number * 200_000)
    hidden = [tracker.update(seen(), T0 + number * 200_000) for number in range(10, 15)]

    back = tracker.update(seen(at_x(250)), T0 + 15 * 200_000)

    assert {track.state for tracks in hidden for track in tracks} == {TrackState.LOST}
    assert confirmed(back) == [1]


def test_track_goes_on_when_somebody_slowed_down_while_hidden() -> None:
    tracker = Tracker()
    for number in range(10):
        tracker.update(seen(at_x(100 + 20 * number)), T0 + number * 200_000)
    for number in range(10, 15):
        tracker.update(seen(), T0 + number * 200_000)

    # 70 px before where it was going: a whole width, so that the boxes do not touch.
    back = tracker.update(seen(at_x(330)), T0 + 15 * 200_000)

    assert confirmed(back) == [1]
    assert len(back) == 1


def test_track_is_followed_when_it_left_its_own_box_between_two_idle_looks() -> None:
    tracker = Tracker()

    tracks = [tracker.update(seen(at_x(100 + 90 * number)), T0 + number * 500_000) for number in range(4)]

    assert [[track.track_id for track in found] for found in tracks] == [[1]] * 4


def test_track_is_closed_once_when_not_seen_for_two_seconds() -> None:
    tracker = Tracker()
    tracker.update(seen(at_x(100)), T0)
    tracker.update(seen(at_x(100)), T0 + 200_000)

    closing = tracker.update(seen(), T0 + 2_300_000)

    assert [(track.state, track.last_us) for track in closing] == [(TrackState.CLOSED, T0 + 200_000)]
    assert tracker.update(seen(), T0 + 2_500_000) == ()
    assert not tracker.active


def test_single_detection_never_becomes_a_confirmed_track() -> None:
    tracker = Tracker()
    tracker.update(seen(at_x(100)), T0)

    states = [t.state for n in range(1, 6) for t in tracker.update(seen(), T0 + n * 200_000)]

    assert TrackState.CONFIRMED not in states
    assert states[-1] is TrackState.CLOSED


def test_doubtful_detection_goes_on_with_a_track_but_begins_none() -> None:
    tracker = Tracker(high_score=0.5)
    assert tracker.update(seen(at_x(100), score=0.3), T0) == ()
    tracker.update(seen(at_x(100)), T0 + 200_000)
    tracker.update(seen(at_x(100)), T0 + 400_000)

    tracks = tracker.update(seen(at_x(102), at_x(400), score=0.3), T0 + 600_000)

    assert [(track.track_id, track.last_us - T0) for track in tracks] == [(1, 600_000)]


def test_detection_of_another_class_does_not_go_on_with_a_track() -> None:
    tracker = Tracker()
    tracker.update(seen(at_x(100)), T0)
    tracker.update(seen(at_x(100)), T0 + 200_000)

    tracks = tracker.update(seen(at_x(100), class_id=1), T0 + 400_000)

    assert [(track.track_id, track.label, track.state) for track in tracks] == [
        (1, "person", TrackState.LOST),
        (2, "dog", TrackState.TENTATIVE),
    ]


@pytest.mark.parametrize("name", SCENES)
def test_two_interleaved_trackers_equal_two_alone(name: str) -> None:
    scenes = [tracking_scene(name, seed=seed) for seed in (1, 2)]
    alone = []
    for scene in scenes:
        tracker = Tracker()
        alone.append([tracker.update(frame.detections, frame.wall_us) for frame in scene.frames])

    first, second = Tracker(), Tracker()
    pairs = zip(*(scene.frames for scene in scenes), strict=True)
    interleaved = [(first.update(a.detections, a.wall_us), second.update(b.detections, b.wall_us)) for a, b in pairs]

    assert [list(tracks) for tracks in zip(*interleaved, strict=True)] == alone


@pytest.mark.parametrize(
    "box",
    [
        (100.0, 100.0, 100.0, 200.0),  # no width
        (200.0, 100.0, 100.0, 200.0),  # reversed
        (float("nan"), 0.0, 10.0, 10.0),  # a network gone wrong
    ],
)
def test_unusable_box_is_left_out(box: Box) -> None:
    assert Tracker().update(seen(box), T0) == ()


def test_tracks_of_the_future_are_closed_when_the_clock_went_back() -> None:
    tracker = Tracker()
    tracker.update(seen(at_x(100)), T0)
    tracker.update(seen(at_x(100)), T0 + 200_000)

    tracks = tracker.update(seen(), T0 - 3_600_000_000)

    assert [track.state for track in tracks] == [TrackState.CLOSED]
