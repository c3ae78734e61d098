"""Bodies and answers on the wire. Requests are strict and closed: an unknown field or a wrong type is refused by name.

Answers are typed here for the description of the API; lists are written without passing through these models, and
a test holds what is written against them.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from iris.base.timebase import parse_rfc3339


def _printable(text: str) -> str:
    # Control, format (such as right-to-left marks), surrogate, private, unassigned, line and paragraph separators.
    if any(unicodedata.category(c) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} for c in text):
        raise ValueError("must hold no control or invisible characters")
    if not text.strip():
        raise ValueError("must not be blank")
    return text.strip()


def _note(text: str) -> str:
    return _printable(text) if text.strip() else ""


def _unique(items: list[str]) -> list[str]:
    if len(set(items)) != len(items):
        raise ValueError("must name each one once")
    return items


def _instant(value: object) -> object:
    try:
        return parse_rfc3339(value) if isinstance(value, str) else int("no time")
    except (ValueError, OverflowError):
        raise ValueError("must be a time with an offset, such as 2026-11-23T12:00:00Z") from None


def _absent() -> Any:
    """Default of a field that may be left out but not be null; the description shows no default."""
    return Field(default=None, json_schema_extra=_without_default)


def _without_default(schema: JsonDict) -> None:
    schema.pop("default", None)


# The bounds are those of the settings with the same names, so that a default is always acceptable.
Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable)]
Label = Annotated[str, Field(min_length=1, max_length=64), AfterValidator(_printable)]
Address = Annotated[str, Field(max_length=2048)]
Classes = Annotated[list[Label], Field(min_length=1, max_length=100), AfterValidator(_unique)]
Confidence = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Fps = Annotated[float, Field(gt=0, le=30, allow_inf_nan=False)]
PreSeconds = Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)]
PostSeconds = Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)]
Cooldown = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]
Backend = Literal["onnx", "cpu", "motion", "none"]
Mode = Literal["track"]
Instant = Annotated[int, BeforeValidator(_instant, json_schema_input_type=str)]
OperationKindName = Literal[
    "camera_deletion", "camera_repoint", "event_deletion", "orphan_purge", "retention", "backup"
]
State = Literal["open", "closing", "ready", "partial", "failed"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CameraCreate(_Request):
    """A new camera. What is left out, or null, comes from the settings."""

    name: Name
    rtsp_url: Address = Field(description="rtsp:// or rtsps://, with user and password where the camera wants them")
    detect_url: Address | None = Field(None, description="substream to analyse while rtsp_url is recorded")
    enabled: bool = True
    recording_mode: Mode = "track"
    trigger_classes: Classes = Field(default=["person"], description="what opens an event")
    detect_conf: Confidence | None = None
    detect_fps: Fps | None = Field(None, description="detections per second while something is in view")
    pre_seconds: PreSeconds | None = None
    post_seconds: PostSeconds | None = None
    trigger_cooldown: Cooldown | None = Field(None, description="seconds within which a return is the same event")
    detector_backend: Backend | None = Field(None, description="null: the setting DETECTOR_BACKEND")


class OrphanPurge(_Request):
    """How files that belong to nothing are looked for."""

    dry_run: bool = Field(default=True, description="only count them; false moves them into quarantine")
    max_share: float | None = Field(
        None, gt=0, le=1, allow_inf_nan=False,
        description="share of a media folder that may go, in place of the setting; 1 confirms what a dry run showed",
    )  # fmt: skip


class RecordingStart(_Request):
    """How long a manual recording may last, in seconds; never longer than the setting MANUAL_MAX_SECONDS."""

    max_seconds: float | None = Field(None, ge=1, le=86_400)


class CameraPatch(_Request):
    """Changes to a camera; what is left out stays.

    A blank or masked address keeps the stored one, as long as scheme, host and port are the same.
    """

    name: Name = _absent()
    rtsp_url: Address = _absent()
    detect_url: Address | None = Field(None, description="null: no substream any more")
    enabled: bool = _absent()
    recording_mode: Mode = _absent()
    trigger_classes: Classes = _absent()
    detect_conf: Confidence = _absent()
    detect_fps: Fps = _absent()
    pre_seconds: PreSeconds = _absent()
    post_seconds: PostSeconds = _absent()
    trigger_cooldown: Cooldown = _absent()
    detector_backend: Backend | None = Field(None, description="null: the setting DETECTOR_BACKEND")


class EventQuery(BaseModel):
    """Which events, and which page of them. A cursor costs the same however deep; an offset does not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    camera_id: str | None = None
    person_id: str | None = Field(None, description="events of one named person")
    from_: Instant | None = Field(None, alias="from", description="started at or after, RFC 3339")
    to: Instant | None = Field(None, description="started before, RFC 3339")
    label: Label | None = None
    state: State | None = None
    held: bool | None = Field(None, description="true: only those on hold; false: only the others")
    limit: int = Field(50, ge=1, le=500)
    offset: int = Field(0, ge=0, le=1_000_000)
    cursor: str | None = Field(None, max_length=200, description="next_cursor of the page before")


class CameraQuery(BaseModel):
    """Which page of cameras."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(100, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200)


class EventDeleteQuery(BaseModel):
    """Which events go: those of the filters, or all. Nothing at all is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    camera_id: str | None = None
    from_: Instant | None = Field(None, alias="from", description="started at or after, RFC 3339")
    to: Instant | None = Field(None, description="started before, RFC 3339")
    label: Label | None = None
    state: Literal["ready", "partial", "failed"] | None = None
    all: bool = Field(default=False, description="every event there is; not together with anything else")
    dry_run: bool = Field(default=False, description="only count what would go")


class EventDelete(EventDeleteQuery):
    """The same in a body, where events can also be named one by one."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    ids: Annotated[list[str], Field(min_length=1, max_length=500), AfterValidator(_unique)] | None = Field(
        None, description="these events; not together with anything else"
    )


class HoldPut(_Request):
    """Why an event must be kept, in the words of who wants it."""

    note: Annotated[str, Field(max_length=500), AfterValidator(_note)] = ""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class FieldProblem(_Answer):
    """One wrong value."""

    field: str
    message: str


class Problem(_Answer):
    """RFC 9457 problem details; `code` is stable, `detail` is for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldProblem] = []


class Camera(_Answer):
    """A camera as it is set up; addresses are masked."""

    id: str
    name: str
    rtsp_url: str
    detect_url: str | None
    enabled: bool
    recording_mode: Mode
    trigger_classes: list[str]
    detect_conf: float
    detect_fps: float
    pre_seconds: float
    post_seconds: float
    trigger_cooldown: float
    detector_backend: Backend | None
    created_at: str
    updated_at: str
    version: int
    operation_id: str | None = Field(description="operation that removes what an old address showed; null: none runs")


class CameraPage(_Answer):
    """Cameras, oldest first."""

    items: list[Camera]
    next_cursor: str | None


class Recording(_Answer):
    """A manual recording; `id` is that of its event. `stops_at`: when it ends by itself at the latest."""

    id: str
    camera_id: str
    running: bool
    started_at: str
    stops_at: str
    ended_at: str | None
    event_url: str


class CameraLive(_Answer):
    """What a camera does now. `sentence` says what is wrong and what to do, for people."""

    camera_id: str
    state: Literal["disabled", "connecting", "recording", "error", "offline"]
    sentence: str
    error_code: str | None
    heartbeat_at: str | None
    connected_since: str | None
    last_packet_at: str | None
    last_segment_end: str | None
    last_segment_age_seconds: float | None
    fps: float
    detect_fps: float
    width: int
    height: int
    video_codec: str
    audio_codec: str
    detector: str
    device: str
    onnx_providers: list[str]
    in_view: list[str]
    event_id: str | None
    recording: Recording | None
    restart_count: int
    counters: dict[str, int]


class DetectClasses(_Answer):
    """Names that `trigger_classes` may hold with the detector that runs; empty while it is not known."""

    detector: str
    items: list[str]


class Window(_Answer):
    """The span that a clip is cut for; the end is null while the event is open."""

    start: str
    end: str | None


class EventGap(_Answer):
    """A part of the window that was not recorded, and why."""

    start: str
    end: str
    reason: str


class EventClipFile(_Answer):
    """One file of a clip; there is more than one only where the camera changed its stream in mid-event."""

    part: int
    url: str
    start: str
    end: str
    duration_seconds: float
    size_bytes: int
    sha256: str
    video_codec: str
    width: int
    height: int
    has_audio: bool


class Hold(_Answer):
    """Nothing but the deletion of its camera removes the event while this is there."""

    since: str
    note: str | None


class EventDeletionPreview(_Answer):
    """What a deletion would remove now: events, their clip files and thumbnails, bytes of the clips.

    Events on hold and events that are not finished are left.
    """

    events: int
    files: int
    size_bytes: int
    left_held: int
    left_open: int
    not_found: int


class Event(_Answer):
    """Why footage was kept. `clip_url` is null until the state is ready or partial."""

    id: str
    camera_id: str
    state: State
    labels: list[str]
    started_at: str
    ended_at: str | None
    last_seen_at: str
    end_reason: str | None
    window: Window
    gaps: list[EventGap]
    clip_url: str | None
    clip_files: list[EventClipFile]
    thumbnail_url: str | None
    workflow_id: str
    continues: str | None
    detector: str
    failure: str | None
    hold: Hold | None


class EventPage(_Answer):
    """Events, newest first."""

    items: list[Event]
    next_cursor: str | None


class Operation(_Answer):
    """Something that was asked for and takes a while. It is done, or failed with a sentence, in the end."""

    id: str
    kind: OperationKindName
    state: Literal["requested", "running", "done", "failed"]
    progress_url: str
    workflow_id: str
    camera_id: str | None
    request: dict[str, Any]
    progress: dict[str, Any]
    result: dict[str, Any] | None
    failure: str | None
    created_at: str
    updated_at: str
    finished_at: str | None
