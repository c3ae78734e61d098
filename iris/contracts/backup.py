"""What crosses Temporal about backups: names and numbers only.

New fields get defaults; nothing is renamed in place (recorded histories must go on decoding).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BackupStart:
    """Argument of the Backup workflow; `operation_id` where a person asked for it, else None."""

    operation_id: str | None = None


@dataclass(frozen=True, slots=True)
class PlanBackup:
    """Asks for a new backup, named by when the workflow started and by the id of its run."""

    started_us: int
    run_id: str


@dataclass(frozen=True, slots=True)
class BackupPlan:
    """Answer of `plan_backup`: the name of the unfinished backup, and the nodes that take part in it."""

    name: str
    node_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BackupRef:
    """Names one backup."""

    name: str


@dataclass(frozen=True, slots=True)
class BackupResult:
    """Result of the Backup workflow, which is the operation's result too.

    Attributes:
        name: Of the backup, below BACKUP_DIR.
        cameras: How many the database in it has.
        events: Likewise.
        files: How many files it holds.
        total_bytes: Their size with the database's, shared with the store or not.
        deleted_count: Events that were removed while it was made and are not in it.
        began_count: Unfinished events of which no footage is in it.
        damaged: Files that were missing or different before.
    """

    name: str = ""
    cameras: int = 0
    events: int = 0
    files: int = 0
    total_bytes: int = 0
    deleted_count: int = 0
    began_count: int = 0
    damaged: int = 0
