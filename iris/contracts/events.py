"""What crosses Temporal about an event. Ids, numbers and relative paths only; every payload stays small.

New fields get defaults; nothing is renamed in place (recorded histories must go on decoding).
All `_us` are wall time in microseconds UTC. States and reasons are the values of `iris.domain` enums as text.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

# Kinds of an `EventMessage`; `iris.domain.event` has the states and end reasons as enums (a test compares them).
KIND_OPENED: Final = "opened"
KIND_UPDATED: Final = "updated"
KIND_CLOSED: Final = "closed"
STATE_OPEN: Final = "open"
STATE_CLOSING: Final = "closing"
STATE_FAILED: Final = "failed"
# No state of a row: the answer where an event was removed and nothing may be written about it any more.
STATE_DELETED: Final = "deleted"
END_ABANDONED: Final = "abandoned"
END_STOPPED: Final = "stopped"
GAP_UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class EventMessage:
    """One outbox row about an event: `opened`, `updated` or `closed`. Any of them may arrive first, twice or late.

    `seq` rises by one with each row of the event; a receiver drops what is not newer than what it has.
    Every message is complete: it carries all that is known so far.
    """

    kind: str
    event_id: str
    camera_id: str
    node_id: str
    seq: int
    started_us: int
    last_seen_us: int
    window_start_us: int
    labels: tuple[str, ...] = ()
    window_end_us: int | None = None
    end_reason: str | None = None
    continues: str | None = None
    has_thumbnail: bool = False
    backend: str = ""


@dataclass(frozen=True, slots=True)
class EventStart:
    """Argument of the Event workflow. `max_open_s` is the backstop after which silence is looked into."""

    event_id: str
    camera_id: str
    node_id: str
    max_open_s: float = 900.0


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """Answer of `record_event`: the event's state in the database; terminal means somebody finished it before."""

    state: str
    terminal: bool


@dataclass(frozen=True, slots=True)
class EventRef:
    """Names one event on one node; `state` is the newest known, for counting only."""

    event_id: str
    camera_id: str
    node_id: str
    state: str = ""


@dataclass(frozen=True, slots=True)
class AbandonedEvent:
    """Answer of `close_abandoned_event`: the closing message, or None while the camera process still has it open."""

    message: EventMessage | None = None


@dataclass(frozen=True, slots=True)
class AssembleClip:
    """Asks for the clip of one window."""

    event_id: str
    camera_id: str
    window_start_us: int
    window_end_us: int


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A span of wall time; `reason` says why it is missing where it is."""

    start_us: int
    end_us: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ClipFile:
    """One published and verified file of a clip; `path` is relative to DATA_DIR."""

    path: str
    size_bytes: int
    sha256: str
    start_us: int
    end_us: int
    duration_us: int
    video_packet_count: int
    audio_packet_count: int
    video_codec: str = ""
    width_px: int = 0
    height_px: int = 0


@dataclass(frozen=True, slots=True)
class ClipResult:
    """Answer of `assemble_clip`: `ready`, `partial` or `failed`, with what is covered and what is missing.

    One file per parameter set; covered plus missing make the window exactly.
    """

    state: str
    files: tuple[ClipFile, ...] = ()
    covered: tuple[TimeRange, ...] = ()
    missing: tuple[TimeRange, ...] = ()
    failure: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class ThumbnailResult:
    """Answer of `publish_thumbnail`: path relative to DATA_DIR, or None where no picture was kept."""

    path: str | None = None
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class FinaliseEvent:
    """Writes the end of an event into the database."""

    message: EventMessage
    clip: ClipResult
    thumbnail_path: str | None = None


@dataclass(frozen=True, slots=True)
class EventOutcome:
    """Result of the Event workflow."""

    state: str
    summary: str = ""
    gap_count: int = field(default=0)
