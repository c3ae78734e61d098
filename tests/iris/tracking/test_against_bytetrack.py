"""Our tracker against ByteTrack of the `trackers` library on the same detections.

The library is run as it comes and with our thresholds and memory (activation 0.5, 2 s), and held at the better of
the two in each figure. Figures are printed: `pytest -s`.

The films have no truth of tracks, but it is known who is in view: n people who do not change places. So in looks
with exactly n sure detections the k-th from the left is person k. A *switch* is a change of the id of person k from
one such look to the next; *extra ids* are the ids beyond n that a presence was given (fragments).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from iris.domain.track import TrackState
from iris.tracking.tracker import Tracker
from tests.builders.film_detections import LOOKS_PER_S, PRESENCES, Look, detections_of
from tests.builders.tracking_scenes import (
    SCENES,
    Reported,
    Scene,
    TrackingErrors,
    tracking_errors,
    tracking_scene,
)

SEED_COUNT = 12
Track = Callable[[list[Look]], list[Reported]]


def ours(looks: list[Look]) -> list[Reported]:
    tracker = Tracker()
    reported = []
    for wall_us, detections in looks:
        tracks = tracker.update(detections, wall_us)
        reported.append(
            {
                track.track_id: np.array(track.box_xyxy)
                for track in tracks
                if track.state is TrackState.CONFIRMED and track.last_us == wall_us
            }
        )
    return reported


def _bytetrack(**options: Any) -> Track:
    def run(looks: list[Look]) -> list[Reported]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the library and what it imports, not ours
            import supervision as sv
            from trackers import ByteTrackTracker

            tracker = ByteTrackTracker(frame_rate=LOOKS_PER_S, **options)
            reported = []
            for _, detections in looks:
                found = tracker.update(
                    sv.Detections(
                        xyxy=detections.boxes_xyxy.copy(),
                        confidence=detections.scores.copy(),
                        class_id=detections.class_ids.astype(int),
                    )
                )
                assert found.tracker_id is not None
                reported.append(
                    {
                        int(track_id): box.astype(np.float64)
                        for track_id, box in zip(found.tracker_id, found.xyxy, strict=True)
                        if track_id >= 0
                    }
                )
        return reported

    return run


THEIRS = (_bytetrack(), _bytetrack(track_activation_threshold=0.5, high_conf_det_threshold=0.5, lost_track_buffer=60))


@pytest.mark.parametrize("name", SCENES)
def test_tracker_makes_no_more_errors_than_bytetrack_in_generated_scene(name: str) -> None:
    scenes = [tracking_scene(name, fps=LOOKS_PER_S, seed=seed) for seed in range(SEED_COUNT)]

    mine, *others = (_scene_errors(scenes, track) for track in (ours, *THEIRS))
    print(f"\n{name}: ours {mine}; ByteTrack {others[0]}; ByteTrack with our settings {others[1]}")
    assert mine.switches <= min(other.switches for other in others)
    assert mine.fragments <= min(other.fragments for other in others)
    assert mine.misses <= min(other.misses for other in others)


def _scene_errors(scenes: list[Scene], track: Track) -> TrackingErrors:
    total = TrackingErrors(0, 0, 0)
    for scene in scenes:
        looks = [(frame.wall_us, frame.detections) for frame in scene.frames]
        total += tracking_errors([frame.truth for frame in scene.frames], track(looks))
    return total


@pytest.mark.assets
@pytest.mark.parametrize("name", PRESENCES)
def test_tracker_makes_no_more_errors_than_bytetrack_in_film(name: str) -> None:
    looks = detections_of(name)

    mine, *others = (_film_errors(name, looks, track(looks)) for track in (ours, *THEIRS))
    print(f"\n{name}: ours {mine}; ByteTrack {others[0]}; ByteTrack with our settings {others[1]}")
    assert mine.looks > 0
    assert mine.switches <= min(other.switches for other in others)
    assert mine.extra_ids <= min(other.extra_ids for other in others)


@dataclass(frozen=True)
class FilmErrors:
    switches: int
    extra_ids: int
    looks: int  # with exactly the known number of people, all of them tracked


def _film_errors(name: str, looks: list[Look], reported: list[Reported]) -> FilmErrors:
    switches = extra_ids = counted = 0
    for start_s, end_s, people in PRESENCES[name]:
        ids: set[int] = set()
        before: tuple[int, ...] | None = None
        for (wall_us, _), tracks in zip(looks, reported, strict=True):
            if not start_s - 1 <= wall_us / 1e6 <= end_s + 1:
                continue
            ids.update(tracks)
            if len(tracks) != people:
                continue
            counted += 1
            order = tuple(sorted(tracks, key=lambda track_id: float(tracks[track_id][0] + tracks[track_id][2])))
            if before is not None:
                switches += sum(old != new for old, new in zip(before, order, strict=True))
            before = order
        extra_ids += max(0, len(ids) - people)
    return FilmErrors(switches, extra_ids, counted)
