"""What a camera is told to do: frozen values, no secrets in their repr."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from iris.base.ids import CameraId


class DetectorBackend(StrEnum):
    """What looks at the frames. `motion` needs no model; `none` records without looking."""

    ONNX = "onnx"
    CPU = "cpu"
    MOTION = "motion"
    NONE = "none"


class CameraState(StrEnum):
    """What a user sees of a camera."""

    DISABLED = "disabled"
    CONNECTING = "connecting"
    RECORDING = "recording"
    ERROR = "error"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """Everything one camera process needs; handed over a socket, never in an argument.

    All durations in seconds. `detector_backend` is already resolved (never None).
    """

    camera_id: CameraId
    name: str
    rtsp_url: str = field(repr=False)
    detect_url: str | None = field(default=None, repr=False)
    enabled: bool = True
    recording_mode: str = "track"
    trigger_classes: tuple[str, ...] = ("person",)
    detect_conf: float = 0.5
    detect_fps: float = 5.0
    pre_seconds: float = 5.0
    post_seconds: float = 10.0
    trigger_cooldown: float = 15.0
    detector_backend: DetectorBackend = DetectorBackend.ONNX


@dataclass(frozen=True, slots=True)
class CameraTuning:
    """Settings that hold for all cameras of a node (from the environment), in the units of their names."""

    segment_seconds: float = 2.0
    segment_retention_seconds: float = 120.0
    event_max_seconds: float = 600.0
    detect_interval_idle_s: float = 0.5
    active_grace_seconds: float = 5.0
    pin_budget_seconds: float = 86_400.0
    pin_budget_share: float = 0.2
    stall_timeout_s: float = 7.0
    manual_max_seconds: float = 600.0
    detector_model_path: str | None = None
    detector_device: str = "cuda"
