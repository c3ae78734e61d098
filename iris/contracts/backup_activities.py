"""Typed stubs of the activities of a backup. Each may be taken twice; each heartbeats."""

from __future__ import annotations

from temporalio import activity

from iris.contracts import names
from iris.contracts.backup import BackupPlan, BackupRef, BackupResult, PlanBackup


@activity.defn(name=names.ACTIVITY_PLAN_BACKUP)
def plan_backup(request: PlanBackup) -> BackupPlan:
    """Queue `iris`: make the folder of the unfinished backup, and say which nodes take part."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_BACKUP_FOOTAGE)
def backup_footage(ref: BackupRef) -> None:
    """Queue of the node: its databases and the footage of its unfinished events."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_BACKUP_DATABASE)
def backup_database(ref: BackupRef) -> None:
    """Queue `iris`: the snapshot of the main database."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_BACKUP_CLIPS)
def backup_clips(ref: BackupRef) -> None:
    """Queue of the node: clips and thumbnails of the events that the snapshot shows."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_FINISH_BACKUP)
def finish_backup(ref: BackupRef) -> BackupResult:
    """Queue `iris`: manifest, verification, name; then the oldest backups go."""
    raise NotImplementedError
