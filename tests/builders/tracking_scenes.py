"""Scenes with exact truth for trackers, and how many switches and fragments a tracker makes of them.

Everything comes from the seed. Detections are truth with jitter, misses and doubtful scores. A look's truth holds
who was detected in it, however doubtfully: whom no detector saw no tracker can report, so what is counted is the
tracker's alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iris.domain.detection import Detections

Boxes = NDArray[np.float64]
PERSON = ("person",)
WIDTH, HEIGHT = 1280.0, 720.0
START_US = 1_700_000_000_000_000


@dataclass(frozen=True)
class SceneFrame:
    wall_us: int
    detections: Detections
    truth: dict[int, Boxes]  # person to (4,) box


@dataclass(frozen=True)
class Scene:
    name: str
    frames: tuple[SceneFrame, ...]


Path = Callable[[float], tuple[float, float, float] | None]  # seconds to centre x, foot y, height; None: not there


def _walk(x0: float, speed: float, foot: float, height: float, begin: float = 0.0, end: float = 1e9) -> Path:
    def at(t: float) -> tuple[float, float, float] | None:
        x = x0 + speed * (t - begin)
        inside = -0.1 * WIDTH < x < 1.1 * WIDTH
        return (x, foot, height) if begin <= t <= end and inside else None

    return at


def _stand(x: float, foot: float, height: float, sway: float, begin: float, end: float) -> Path:
    def at(t: float) -> tuple[float, float, float] | None:
        return (x + sway * np.sin(1.3 * t), foot, height) if begin <= t <= end else None

    return at


def _stop_and_go(x0: float, speed: float, foot: float, height: float, stop_at: float, go_at: float) -> Path:
    def at(t: float) -> tuple[float, float, float] | None:
        x = x0 + speed * (min(t, stop_at) + max(0.0, t - go_at))
        return (x, foot, height) if -0.1 * WIDTH < x < 1.1 * WIDTH else None

    return at


_PEOPLE: dict[str, tuple[tuple[Path, ...], tuple[float, float] | None, float]] = {
    # name: people, a pillar (x from, x to) that hides, share of missed detections
    "crossing": (
        (
            _walk(100, 130, 640, 330),
            _walk(1180, -140, 600, 300),
            _walk(300, 90, 560, 260),
            _walk(1000, -70, 680, 360),
        ),
        None,
        0.05,
    ),
    "occlusion": ((_walk(60, 140, 620, 320), _walk(1220, -110, 660, 340)), (560, 700), 0.05),
    "entering_leaving": (
        (
            _walk(-60, 180, 640, 330, begin=0.5),
            _walk(1330, -200, 620, 320, begin=4.0),
            _walk(-60, 150, 560, 280, begin=10.0),
            _walk(-60, 170, 650, 340, begin=16.0),
        ),
        None,
        0.05,
    ),
    "standing": (
        (
            _stand(300, 640, 330, 8, 0.0, 20.0),
            _stand(520, 650, 340, 12, 2.0, 20.0),
            _stand(900, 600, 300, 6, 5.0, 18.0),
            _stop_and_go(0, 160, 660, 340, 4.5, 9.0),
        ),
        None,
        0.15,
    ),
    "fast": (
        (
            _walk(-100, 620, 640, 330, begin=0.5),
            _walk(1380, -560, 600, 310, begin=4.0),
            _walk(-100, 700, 660, 350, begin=8.0),
            _walk(1380, -480, 620, 330, begin=8.5),
            _walk(-100, 540, 560, 280, begin=13.0),
        ),
        None,
        0.08,
    ),
}
SCENES = tuple(_PEOPLE)


def tracking_scene(name: str, *, fps: float = 5.0, seed: int = 7, duration_s: float = 20.0) -> Scene:
    """One of `SCENES` at a rate of looks."""
    people, pillar, miss_share = _PEOPLE[name]
    rng = random.Random(seed)
    frames = []
    for number in range(round(duration_s * fps)):
        t = number / fps
        there = {person: box for person, path in enumerate(people) if (box := _box(path(t), pillar)) is not None}
        detections, seen = _detect(there, miss_share, rng)
        truth = {person: there[person] for person in seen}
        frames.append(SceneFrame(START_US + round(t * 1_000_000), detections, truth))
    return Scene(name, tuple(frames))


def _box(place: tuple[float, float, float] | None, pillar: tuple[float, float] | None) -> Boxes | None:
    if place is None:
        return None
    x, foot, height = place
    half = 0.19 * height
    left, right = max(0.0, x - half), min(WIDTH, x + half)
    if pillar is not None and left < pillar[1] and right > pillar[0]:
        # What is behind it is cut off, and whoever is wholly behind it is not seen.
        before, after = pillar[0] - left, right - pillar[1]
        left, right = (left, pillar[0]) if before >= after else (pillar[1], right)
    if right - left < 0.5 * half:
        return None
    return np.array([left, max(0.0, foot - height), right, min(HEIGHT, foot)])


def _detect(truth: dict[int, Boxes], miss_share: float, rng: random.Random) -> tuple[Detections, list[int]]:
    boxes, scores, seen = [], [], []
    # Who stands lower in the picture is nearer and hides the others.
    for person, box in truth.items():
        hidden = max(
            (_covered(box, other) for i, other in truth.items() if i != person and other[3] > box[3]), default=0.0
        )
        missed = rng.random() < miss_share
        jitter = np.array([rng.gauss(0, 0.025) for _ in range(4)])
        noise = jitter * np.array([box[2] - box[0], box[3] - box[1]] * 2)
        score = float(np.clip(rng.gauss(0.86, 0.06) - 0.7 * hidden, 0.02, 0.99))
        if missed or hidden > 0.8 or score < 0.1:
            continue
        boxes.append(box + noise)
        scores.append(score)
        seen.append(person)
    if not boxes:
        return Detections.empty(PERSON), []
    stacked = np.stack(boxes).astype(np.float32)
    return Detections(stacked, np.array(scores, np.float32), np.zeros(len(boxes), np.int32), PERSON), seen


def _covered(box: Boxes, by: Boxes) -> float:
    """Share of `box` that lies under `by`."""
    width = min(box[2], by[2]) - max(box[0], by[0])
    height = min(box[3], by[3]) - max(box[1], by[1])
    area = (box[2] - box[0]) * (box[3] - box[1])
    return float(max(0.0, width) * max(0.0, height) / area)


@dataclass(frozen=True)
class TrackingErrors:
    """Switches: a person's id changes. Fragments: a person who was tracked is not, and is again later."""

    switches: int
    fragments: int
    misses: int  # person-frames without a track

    def __add__(self, other: TrackingErrors) -> TrackingErrors:
        return TrackingErrors(
            self.switches + other.switches, self.fragments + other.fragments, self.misses + other.misses
        )


Reported = dict[int, Boxes]  # track id to box, what a tracker says is in the frame


def tracking_errors(truth: Sequence[dict[int, Boxes]], reported: Sequence[Reported]) -> TrackingErrors:
    """Count as CLEAR MOT does: a pair of the frame before is kept while it overlaps, the rest greedily by overlap.

    Source: Bernardin and Stiefelhagen, "Evaluating Multiple Object Tracking Performance" (2008), section 2.1.
    """
    last_id: dict[int, int] = {}
    tracked: dict[int, bool] = {}
    switches = fragments = misses = 0
    for people, tracks in zip(truth, reported, strict=True):
        overlaps = {(p, i): _iou(box, track) for p, box in people.items() for i, track in tracks.items()}
        order = sorted(overlaps, key=lambda pair: (last_id.get(pair[0]) != pair[1], -overlaps[pair]))
        found: dict[int, int] = {}
        for person, track_id in order:
            if overlaps[person, track_id] >= 0.5 and person not in found and track_id not in found.values():
                found[person] = track_id
        for person in people:
            if person not in found:
                misses += 1
                tracked[person] = False if person in last_id else tracked.get(person, False)
                continue
            if person in last_id:
                switches += last_id[person] != found[person]
                fragments += not tracked[person]
            last_id[person], tracked[person] = found[person], True
    return TrackingErrors(switches, fragments, misses)


def _iou(a: Boxes, b: Boxes) -> float:
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return float(shared / (area_a + area_b - shared))
