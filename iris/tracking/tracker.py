"""Tracks of one camera: who in this frame is who of the frame before.

Owns the life cycle of tracks (tentative, confirmed, lost, closed) and their ids, which count per instance. All
ages are wall time in microseconds, so that 5, 10 or 15 looks a second, and skipped frames, give the same tracks.
Not thread-safe: the detect loop of one camera calls it. Cost: well below a millisecond for ten people.

Source: the two-stage association of Zhang et al., "ByteTrack" (2022): good detections first, then the doubtful
ones, which may only go on with a track. A third stage finds by nearness what moved out of its own box between
two looks (few frames a second) or was hidden for a moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iris.base.timebase import US_PER_S
from iris.domain.detection import Detections
from iris.domain.track import Track, TrackState
from iris.tracking.association import assign, iou, nearness
from iris.tracking.kalman import BoxFilter

Float64Array = NDArray[np.float64]

DEFAULT_HIGH_SCORE = 0.5
LOW_SCORE = 0.1
# Two looks at 5 a second; one spurious detection never makes a track.
_CONFIRM_HITS = 2
_CONFIRM_AGE_US = 150_000
# Longer than one idle look (0.5 s), so that somebody who enters an idle scene is confirmed by the second look.
_TENTATIVE_AGE_US = 600_000
# Hidden behind a pillar or another person; longer than that the place says nothing about who comes out.
_LOST_AGE_US = 2_000_000
_MIN_IOU = 0.15
_MIN_IOU_LOW_SCORE = 0.3
_MIN_NEARNESS = 0.05
# Nearness: two standard deviations of the predicted place, and at least and at most these shares of the box's larger
# side, as detectors jump and as somebody hidden for long could be anywhere.
_REACH_STD, _REACH_MIN, _REACH_MAX = 2.0, 0.25, 1.2


@dataclass(slots=True, eq=False)
class _Entry:
    """A track while it lives."""

    track_id: int
    class_id: int
    label: str
    filter: BoxFilter
    state: TrackState
    score: float
    seen_xyxy: Float64Array
    first_us: int
    last_us: int
    hit_count: int = 1

    def snapshot(self) -> Track:
        box = self.filter.box_xyxy if self.state is TrackState.LOST else self.seen_xyxy
        x1, y1, x2, y2 = (float(value) for value in box)
        return Track(
            track_id=self.track_id,
            state=self.state,
            label=self.label,
            score=self.score,
            box_xyxy=(x1, y1, x2, y2),
            first_us=self.first_us,
            last_us=self.last_us,
            hit_count=self.hit_count,
        )


class Tracker:
    """Follows the objects of one camera.

    Args:
        high_score: Detections of at least this score may begin a track; weaker ones, down to 0.1, only go on
            with a confirmed one.
        lost_age_us: How long a track that is not seen is kept for its return.
    """

    def __init__(self, *, high_score: float = DEFAULT_HIGH_SCORE, lost_age_us: int = _LOST_AGE_US) -> None:
        self._high_score = high_score
        self._lost_age_us = lost_age_us
        self._entries: list[_Entry] = []
        self._id_count = 0
        self._last_us: int | None = None

    @property
    def active(self) -> bool:
        """Whether anything is followed now, be it tentative or lost for the moment."""
        return bool(self._entries)

    def update(self, detections: Detections, wall_us: int) -> tuple[Track, ...]:
        """Take the detections of one frame.

        Args:
            detections: Everything the detector saw, doubtful ones (score 0.1 and up) too.
            wall_us: When the frame was taken, wall time in microseconds.

        Returns:
            All tracks after this frame, by id. One that was detected in it has `last_us == wall_us`; one that is
            `lost` has the box where it is believed to be; one that is `closed` is reported this once.
        """
        if self._last_us is not None:
            dt_s = max(0, wall_us - self._last_us) / US_PER_S
            for entry in self._entries:
                entry.filter.predict(dt_s)
        self._last_us = wall_us
        boxes = detections.boxes_xyxy.astype(np.float64)
        self._associate(detections, boxes, wall_us)
        closed = self._age(wall_us)
        return tuple(entry.snapshot() for entry in sorted(self._entries + closed, key=lambda entry: entry.track_id))

    def _associate(self, detections: Detections, boxes: Float64Array, wall_us: int) -> None:
        # A detector may report what nobody can follow: an empty or reversed box.
        usable = np.logical_and((boxes[:, 2:] > boxes[:, :2]).all(axis=1), np.isfinite(boxes).all(axis=1)).tolist()
        high = [i for i in range(len(detections)) if usable[i] and detections.scores[i] >= self._high_score]
        low = [i for i in range(len(detections)) if usable[i] and LOW_SCORE <= detections.scores[i] < self._high_score]
        known = [entry for entry in self._entries if entry.state is not TrackState.TENTATIVE]
        tentative = [entry for entry in self._entries if entry.state is TrackState.TENTATIVE]

        def by_iou(entries: Sequence[_Entry], indices: Sequence[int]) -> Float64Array:
            return iou(_stack([entry.filter.box_xyxy for entry in entries]), boxes[list(indices)])

        def by_nearness(entries: Sequence[_Entry], indices: Sequence[int]) -> Float64Array:
            predicted = _stack([entry.filter.box_xyxy for entry in entries])
            sides = (predicted[:, 2:] - predicted[:, :2]).max(axis=1)
            unsure = np.array([entry.filter.position_std_px for entry in entries])
            reach = np.clip(_REACH_STD * unsure, _REACH_MIN * sides, _REACH_MAX * sides)
            return nearness(predicted, boxes[list(indices)], reach)

        stages: tuple[tuple[list[_Entry], list[int], Callable[..., Float64Array], float], ...] = (
            (known, high, by_iou, _MIN_IOU),
            (known, low, by_iou, _MIN_IOU_LOW_SCORE),
            (tentative, high, by_iou, _MIN_IOU),
            (known, high, by_nearness, _MIN_NEARNESS),
            (tentative, high, by_nearness, _MIN_NEARNESS),
        )
        for entries, indices, similarity_of, minimum in stages:
            if not entries or not indices:
                continue
            similarity = similarity_of(entries, indices)
            classes = np.array([entry.class_id for entry in entries])
            similarity[classes[:, None] != detections.class_ids[indices][None, :]] = 0.0
            pairs = [(entries[row], indices[column]) for row, column in assign(similarity, minimum)]
            for entry, index in pairs:
                self._hit(entry, boxes[index], float(detections.scores[index]), wall_us)
                entries.remove(entry)
                indices.remove(index)
        for index in high:
            self._begin(detections, boxes, index, wall_us)

    def _hit(self, entry: _Entry, box: Float64Array, score: float, wall_us: int) -> None:
        entry.filter.update(box)
        entry.seen_xyxy, entry.score = box, score
        entry.last_us = wall_us
        entry.hit_count += 1
        ripe = entry.hit_count >= _CONFIRM_HITS and wall_us - entry.first_us >= _CONFIRM_AGE_US
        if ripe or entry.state is not TrackState.TENTATIVE:
            entry.state = TrackState.CONFIRMED

    def _begin(self, detections: Detections, boxes: Float64Array, index: int, wall_us: int) -> None:
        self._id_count += 1
        class_id = int(detections.class_ids[index])
        self._entries.append(
            _Entry(
                track_id=self._id_count,
                class_id=class_id,
                label=detections.class_names[class_id],
                filter=BoxFilter(boxes[index]),
                state=TrackState.TENTATIVE,
                score=float(detections.scores[index]),
                seen_xyxy=boxes[index],
                first_us=wall_us,
                last_us=wall_us,
            )
        )

    def _age(self, wall_us: int) -> list[_Entry]:
        """Mark what was not seen as lost; take out and return what is over."""
        closed = []
        for entry in self._entries:
            age_us = wall_us - entry.last_us
            # A clock that went back (a new run) leaves tracks in the future; they are of no use to anybody.
            if age_us < -self._lost_age_us:
                age_us = self._lost_age_us + 1
            limit_us = _TENTATIVE_AGE_US if entry.state is TrackState.TENTATIVE else self._lost_age_us
            if age_us > limit_us:
                entry.state = TrackState.CLOSED
                closed.append(entry)
            elif age_us != 0 and entry.state is TrackState.CONFIRMED:
                entry.state = TrackState.LOST
        self._entries = [entry for entry in self._entries if entry.state is not TrackState.CLOSED]
        return closed


def _stack(boxes: Sequence[Float64Array]) -> Float64Array:
    return np.stack(boxes) if boxes else np.zeros((0, 4))
