"""Which tracks open or hold a presence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iris.domain.camera import DetectorBackend
from iris.domain.track import Track, TrackState

MOTION_LABEL = "motion"


@dataclass(frozen=True, slots=True)
class Sighting:
    """Somebody of a trigger class was seen in a frame.

    `first_us` is the first detection of the earliest of their tracks, `seen_us` the time of this frame. `boxes_xyxy`
    are the (x1, y1, x2, y2) of this frame in pixels of the source, `scores` their scores.
    """

    first_us: int
    seen_us: int
    labels: tuple[str, ...]
    boxes_xyxy: tuple[tuple[float, float, float, float], ...] = ()
    scores: tuple[float, ...] = ()


def trigger_labels(backend: DetectorBackend, trigger_classes: Sequence[str]) -> frozenset[str]:
    """Labels that count for a camera: motion knows no classes, recording without looking none at all.

    A camera that asks for a network may be given motion detection where the model is missing, so motion counts there.

    >>> sorted(trigger_labels(DetectorBackend.MOTION, ("person",)))
    ['motion']
    """
    if backend is DetectorBackend.NONE:
        return frozenset()
    if backend is DetectorBackend.MOTION:
        return frozenset((MOTION_LABEL,))
    return frozenset((*trigger_classes, MOTION_LABEL))


def sighting_of(tracks: Sequence[Track], labels: frozenset[str], wall_us: int) -> Sighting | None:
    """What a frame shows that counts: confirmed tracks that were detected in this very frame, not predicted.

    Args:
        tracks: All tracks after the frame.
        labels: The labels that count.
        wall_us: When the frame was taken.
    """
    seen = [
        track
        for track in tracks
        if track.state is TrackState.CONFIRMED and track.last_us == wall_us and track.label in labels
    ]
    if not seen:
        return None
    return Sighting(
        # Not later than it is seen: a track that goes on while the wall clock is set back began in the future.
        first_us=min(wall_us, *(track.first_us for track in seen)),
        seen_us=wall_us,
        labels=tuple(dict.fromkeys(track.label for track in seen)),
        boxes_xyxy=tuple(track.box_xyxy for track in seen),
        scores=tuple(track.score for track in seen),
    )
