"""Presences and events: why we keep footage."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EventState(StrEnum):
    """Life of an event. The last three are terminal; exactly one of them is reached."""

    OPEN = "open"
    CLOSING = "closing"
    READY = "ready"
    PARTIAL = "partial"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        """Whether nothing more can happen to the clip."""
        return self in (EventState.READY, EventState.PARTIAL, EventState.FAILED)


class EndReason(StrEnum):
    """How an event came to its end; its time is always a time something was seen, never an invented one."""

    LEFT = "left"  # nothing seen for max(post, cooldown)
    MAX_LENGTH = "max_length"  # event_max_seconds; the next event continues it
    CAMERA_LOST = "camera_lost"  # nothing seen, and the camera was away at the end
    STOPPED = "stopped"  # disabled, deleted or stopped for good
    ABANDONED = "abandoned"  # the camera process never came back; closed at the last seen time


@dataclass(frozen=True, slots=True)
class OpenEvent:
    """State of an event as its camera process keeps it, so that a restart goes on with it.

    All times wall time in microseconds. `seq` is the last sequence number used in its outbox rows. A manual recording
    has `stops_us`, when it ends by itself at the latest; a presence has none.
    """

    event_id: str
    started_us: int
    last_seen_us: int
    window_start_us: int
    labels: tuple[str, ...]
    seq: int
    continues: str | None = None
    stops_us: int | None = None

    @property
    def manual(self) -> bool:
        """Whether a person asked for it."""
        return self.stops_us is not None
