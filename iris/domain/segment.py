"""Runs, segments and gaps: what is on disk, and what is not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from iris.base.ids import CameraId, RunId
from iris.domain.packet import CodecParams


class GapReason(StrEnum):
    """Why time that should have been recorded was not."""

    NOT_STARTED = "not_started"  # before the camera's first recording
    CAMERA_OFFLINE = "camera_offline"  # refused, unreachable, closed the connection
    CAMERA_STALLED = "camera_stalled"  # connected, no packets
    CAMERA_AUTH = "camera_auth"  # refused the password
    STREAM_CHANGED = "stream_changed"  # new parameters or a jump: the time until the next keyframe
    PROCESS_DIED = "process_died"  # the camera process was killed
    STOPPED = "stopped"  # Iris or the camera was stopped by somebody
    DISK_FULL = "disk_full"
    STORAGE_ERROR = "storage_error"
    CORRUPT_SEGMENT = "corrupt_segment"  # a file differs from what the index recorded
    MISSING_SEGMENT = "missing_segment"  # the index has it, the disk does not
    CLIP_LOST = "clip_lost"  # it was in a clip whose file is gone or damaged; noted by `iris check --repair`
    PIN_BUDGET = "pin_budget"  # dropped, oldest first, beyond the pin budget
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Segment:
    """One durable file of whole GOPs of one run (promise P1 reached).

    `path` is relative to DATA_DIR. `start_us` and `end_us` are wall time of its first video packet and of the
    end of its last. `params_hash` is equal exactly for segments that may share one file.
    """

    segment_id: int
    camera_id: CameraId
    run_id: RunId
    path: str
    start_us: int
    end_us: int
    size_bytes: int
    video_packet_count: int
    audio_packet_count: int
    sha256: str
    params_hash: str
    max_gop_us: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Time without recording; `end_us` is None while it lasts."""

    start_us: int
    end_us: int | None
    reason: GapReason


@dataclass(frozen=True, slots=True)
class MissingRange:
    """A part of an event's window that its clip does not cover."""

    start_us: int
    end_us: int
    reason: GapReason


@dataclass(frozen=True, slots=True)
class RunStart:
    """The beginning of one unbroken session with a camera, as those who follow its packets hear of it.

    `keyframe_interval_us` is the longest seen in earlier runs of this camera, None while not known.
    """

    run_id: RunId
    video: CodecParams
    audio: CodecParams | None
    keyframe_interval_us: int | None = None
