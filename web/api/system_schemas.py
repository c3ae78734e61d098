"""What the routes of the installation itself answer: health, the system at a glance, nodes, dead letters."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from web.api.retention_schemas import Storage


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Gpu(_Answer):
    """Memory of the first GPU."""

    used_mb: int
    total_mb: int


class WorkerCounts(_Answer):
    """Processes with a fresh sign of life."""

    worker: int
    node: int


class Health(_Answer):
    """Whether every part is there; `degraded` still records. Storage `alarm`: a disk fills and no room can be made."""

    status: Literal["ok", "degraded"]
    storage: Literal["ok", "alarm", "unknown"]
    detector: str
    gpu: Gpu | None
    workers: WorkerCounts
    temporal: Literal["up", "down"]
    reasons: list[str]


class BackendFacts(_Answer):
    """What looks at the frames."""

    name: str
    description: str
    device: str
    onnx_providers: list[str]


class OutboxFacts(_Answer):
    """Rows of events not yet handed over to Temporal; null while the node does not answer."""

    depth: int | None
    oldest_age_seconds: float | None


class CameraCounts(_Answer):
    """Cameras by what they do now."""

    total: int
    enabled: int
    recording: int
    connecting: int
    error: int
    offline: int


class NodeFacts(_Answer):
    """A node by its signs of life; `since` is when it started, or was last heard of. `cameras` are those it should run.

    A gone node with `missed` false has been replaced: another one is up, and no camera is placed on it.
    """

    id: str
    state: Literal["up", "gone"]
    since: str
    heartbeat_at: str
    heartbeat_age_seconds: float
    version: str
    cameras: int
    missed: bool


class System(_Answer):
    """The whole installation at a glance."""

    status: Literal["ok", "degraded"]
    version: str
    python_version: str
    backend: BackendFacts
    gpu: Gpu | None
    temporal: Literal["up", "down"]
    store: Literal["up", "down"]
    node: Literal["up", "down"]
    workers: WorkerCounts
    outbox: OutboxFacts
    storage: Storage | None
    cameras: CameraCounts
    reasons: list[str]
    nodes: list[NodeFacts]


class DeadLetterItem(_Answer):
    """A message about an event that Temporal refused for good; `seq` is its number in the event."""

    event_id: str
    camera_id: str
    seq: int
    reason: str
    noted_at: str


class DeadLetterList(_Answer):
    """All dead letters, oldest first."""

    items: list[DeadLetterItem]


class DeadLetterRetry(_Answer):
    """How many messages are handed over again."""

    count: int
