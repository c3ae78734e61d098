"""What crosses Temporal while a camera's footage is removed, for its deletion or because its address changed.

Ids and numbers only; a page of 200 events stays below 40 kB. New fields get defaults; nothing is renamed in place.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CameraRemovalStart:
    """Argument of the CameraDeletion and CameraRepoint workflows; what was asked for is in the operation's row.

    `pages_per_run`: pages of events after which the workflow goes on in a run of its own, so that no history is long.
    """

    operation_id: str
    camera_id: str
    pages_per_run: int = 100


@dataclass(frozen=True, slots=True)
class RemovalPlan:
    """Answer of `begin_camera_removal`: the nodes that may hold something of the camera.

    `waits_for` is an operation about the same camera that was asked for before and has to end first; None: go on.
    """

    node_ids: tuple[str, ...] = ()
    waits_for: str | None = None


@dataclass(frozen=True, slots=True)
class CameraSurvey:
    """What of a camera is on one node: counted before its process ends, and before anything of it is removed.

    Attributes:
        clip_files: Below `recordings/<camera>/`, with or without a row.
        clip_bytes: Their size.
        segment_files: Of the rolling buffer.
        segment_bytes: Their size.
        pending_files: Kept for events that are not finished: links of segments, pictures.
        live_files: Below `hls/<camera>/`.
        quarantine_files: Moved aside by an orphan purge or a repair.
        outbox_rows: Messages about events.
        gap_rows: Recorded gaps.
    """

    clip_files: int = 0
    clip_bytes: int = 0
    segment_files: int = 0
    segment_bytes: int = 0
    pending_files: int = 0
    live_files: int = 0
    quarantine_files: int = 0
    outbox_rows: int = 0
    gap_rows: int = 0


@dataclass(frozen=True, slots=True)
class SurveyNote:
    """Keeps a survey with the operation; the first of a node counts."""

    operation_id: str
    node_id: str
    survey: CameraSurvey


@dataclass(frozen=True, slots=True)
class CameraEventsPage:
    """Asks a node for events of a camera that its own files know, by id, after one."""

    camera_id: str
    after_event_id: str = ""


@dataclass(frozen=True, slots=True)
class NodeEvent:
    """An event as its node knows it; it may have no row. Times are wall time in microseconds."""

    event_id: str
    node_id: str
    started_us: int
    last_seen_us: int


@dataclass(frozen=True, slots=True)
class NodeEvents:
    """Answer of `list_camera_events`: a page; empty at the end."""

    events: tuple[NodeEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class KnownEvents:
    """Events that a node knows: those without a row get a tombstone, so that no late message makes one."""

    operation_id: str
    camera_id: str
    events: tuple[NodeEvent, ...]


@dataclass(frozen=True, slots=True)
class EntombedRows:
    """Answer of `entomb_camera_events`: how many rows went, and those of them that had not reached their end."""

    count: int
    more: bool
    unfinished: tuple[NodeEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class CameraRemains:
    """Answer of `look_for_remains`: what is still there of a camera, and the first few by name (no secret in them)."""

    count: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CameraRef:
    """Names one camera."""

    camera_id: str


@dataclass(frozen=True, slots=True)
class RemovalEnd:
    """Answer of `finish_camera_removal`: rows that are still there (0: it is finished), and what was removed."""

    remaining: int
    summary: str = ""
