"""Operations: what a person or a schedule asked for, a workflow does, and anybody can look at."""

from __future__ import annotations

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
