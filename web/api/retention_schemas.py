"""Retention on the wire: the policy, what would go, what went, and the disks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_Days = Annotated[float, Field(ge=0.04, le=36_500, allow_inf_nan=False)]
_Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RetentionRule(_Request):
    """Events of a camera, with a label, or both, are kept so many days; null: however old they get."""

    max_age_days: _Days | None
    camera_id: str | None = None
    label: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class RetentionPut(_Request):
    """The whole policy; what is left out gets its default, not what was set before."""

    max_age_days: _Days | None = Field(None, description="for events that no rule names; null: nothing goes by age")
    rules: Annotated[list[RetentionRule], Field(max_length=200)] = []
    by_space: bool = Field(True, description="whether the oldest events go when a disk gets full")  # noqa: FBT003 - pydantic's form
    high_water: _Share = Field(0.85, description="used share of the disk at which that begins")
    low_water: _Share = Field(0.80, description="used share at which it ends")
    confirm_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        0.20, description="largest share of a node's events that goes by age at once without a confirmation"
    )


class Retention(_Answer):
    """The policy that holds, and who set it."""

    source: Literal["settings", "person"]
    updated_at: str | None
    max_age_days: float | None
    rules: list[RetentionRule]
    by_space: bool
    high_water: float
    low_water: float
    confirm_share: float


class Disk(_Answer):
    """A node's disk."""

    used_bytes: int
    free_bytes: int
    used_share: float
    write_bytes_per_second: float


class Storage(_Answer):
    """A node's disk. `alarm`: somebody has to act; `age_suspended`, `age_waits`: why nothing goes by age."""

    disk: Disk
    alarm: str | None
    age_suspended: str | None
    age_waits: str | None
    evicted_by_age: int
    evicted_for_space: int
    evicted_bytes: int


class Portion(_Answer):
    """Some events."""

    events: int
    size_bytes: int


class PreviewItem(_Answer):
    """One event that would go."""

    event_id: str
    camera_id: str
    node_id: str
    labels: list[str]
    started_at: str
    last_seen_at: str
    size_bytes: int
    reason: Literal["age", "space"]
    rule: RetentionRule | None = Field(description="the rule it is too old for; both names null: the default")


class NodePreview(_Answer):
    """What would go on one node. `storage` is null where the node does not answer: then only age is planned."""

    node_id: str
    storage: Storage | None
    events: int
    by_age: Portion
    for_space: Portion
    waiting: Portion
    waits_for: str | None
    on_hold: int
    unfinished: int
    complete: bool


class RetentionPreview(_Answer):
    """What would go now, oldest first, and what stays whatever happens."""

    next_pass_at: str
    nodes: list[NodePreview]
    items: list[PreviewItem]


class PreviewQuery(BaseModel):
    """How many events to list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(50, ge=0, le=500)


class EvictionQuery(BaseModel):
    """Which page of what went."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200)


class Eviction(_Answer):
    """An event that went. `operation_id` null: by schedule, or the node by itself. `files_gone_at` null: not yet."""

    event_id: str
    camera_id: str
    node_id: str
    reason: Literal["age", "space"]
    started_at: str
    last_seen_at: str
    size_bytes: int
    operation_id: str | None
    evicted_at: str
    files_gone_at: str | None


class EvictionPage(_Answer):
    """What went by retention, newest first."""

    items: list[Eviction]
    next_cursor: str | None
