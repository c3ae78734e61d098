"""One object over frames."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TrackState(StrEnum):
    """Life cycle of a track."""

    TENTATIVE = "tentative"
    CONFIRMED = "confirmed"
    LOST = "lost"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Track:
    """A snapshot of one track after one frame.

    `box_xyxy` in pixels of the source frame. `first_us` is the wall time of its first detection, `last_us` of
    its latest; both wall time in microseconds. `track_id` counts within one camera process.
    """

    track_id: int
    state: TrackState
    label: str
    score: float
    box_xyxy: tuple[float, float, float, float]
    first_us: int
    last_us: int
    hit_count: int
