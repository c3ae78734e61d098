"""Operations: what a person or a schedule asked for, a workflow does, and anybody can look at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OperationKind(StrEnum):
    """What is to be done."""

    CAMERA_DELETION = "camera_deletion"
    CAMERA_REPOINT = "camera_repoint"
    EVENT_DELETION = "event_deletion"
    ORPHAN_PURGE = "orphan_purge"
    RETENTION = "retention"
    BACKUP = "backup"


class OperationState(StrEnum):
    """Life of an operation. `requested` is durable before anything of it is done: a lost start is made up for."""

    REQUESTED = "requested"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        """Whether nothing more of it will happen."""
        return self in (OperationState.DONE, OperationState.FAILED)


class RemovalReason(StrEnum):
    """Why an event was removed."""

    DELETED = "deleted"  # a person asked for it
    CAMERA = "camera"  # its camera was deleted
    REPOINT = "repoint"  # its camera was given another address
    AGE = "age"  # retention: older than it may be
    SPACE = "space"  # retention: the newest footage needed its room


@dataclass(frozen=True, slots=True)
class OperationTask:
    """What the start of an operation's workflow needs to know; `camera_id` where it is about one camera."""

    operation_id: str
    kind: OperationKind
    workflow_id: str
    camera_id: str | None


class WorkflowFate(StrEnum):
    """What Temporal says of a workflow."""

    UNKNOWN = "unknown"  # never started, or Temporal lost its database
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    TERMINATED = "terminated"  # somebody did, in Temporal's pages
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class WorkflowReport:
    """The fate of a workflow; `reason` is its own sentence where it failed, else empty."""

    fate: WorkflowFate
    reason: str = ""
