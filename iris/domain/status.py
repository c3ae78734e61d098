"""Live status of a camera process, as its heartbeat carries it every second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from iris.base.ids import CameraId
from iris.domain.camera import CameraState
from iris.domain.storage import StorageReport

# A node or worker signs its row every 5 s; whoever did not for three times that is not there.
SILENT_US = 15_000_000
# Beginnings of names among a camera's counters; the reason follows.
COUNTER_RESTARTS = "restarts_"
COUNTER_GAP_US = "gap_us_"
# Figures of a node since its process started; of those that end in an underscore a state or a number follows.
FIGURE_TERMINAL = "terminal_"
FIGURE_CLIP_COUNT = "clip_count"
FIGURE_CLIP_SECONDS = "clip_seconds"
FIGURE_CLIP_WITHIN = "clip_within_"
FIGURE_MISSING_SECONDS = "clip_missing_seconds"
FIGURE_DEAD_LETTERS = "dead_letters"


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """What a camera is doing now. Times are wall time in microseconds; None where it never happened.

    `manual_*` are of the manual recording that runs.
    `sentence` is for people: what is wrong and what to do; never an address with a password.
    """

    camera_id: CameraId
    state: CameraState
    sentence: str = ""
    error_code: str | None = None
    heartbeat_us: int = 0
    connected_since_us: int | None = None
    last_packet_us: int | None = None
    last_segment_end_us: int | None = None
    fps: float = 0.0
    detect_fps: float = 0.0
    width_px: int = 0
    height_px: int = 0
    video_codec: str = ""
    audio_codec: str = ""
    backend: str = ""
    device: str = ""
    onnx_providers: tuple[str, ...] = ()
    in_view: tuple[str, ...] = ()
    event_id: str | None = None
    manual_event_id: str | None = None
    manual_since_us: int | None = None
    manual_stops_us: int | None = None
    pid: int = 0
    restart_count: int = 0
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """What a node says of itself: its detector, and how far its outbox is behind.

    `backend` is what really runs (`motion` where no model was found), `device` where it runs (`cpu`, `cuda`).
    """

    node_id: str
    version: str
    backend: str
    device: str
    onnx_providers: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    outbox_depth: int = 0
    outbox_oldest_age_s: float = 0.0
    storage: StorageReport | None = None
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Memory of the first GPU."""

    used_mb: int
    total_mb: int
