"""Activities of a backup: on the worker what concerns database and manifest, on each node its own files."""

from __future__ import annotations

from typing import Protocol

from temporalio import activity

from activities.heartbeat import errors_told, tell_progress
from iris.contracts import names
from iris.contracts.backup import BackupPlan, BackupRef, BackupResult, PlanBackup
from iris.ports import ProgressSink


class BackupOffice(Protocol):
    """The worker's part of a backup (implemented by `iris.pipeline.backup`)."""

    def plan(self, request: PlanBackup) -> BackupPlan:
        """Begin it, and say which nodes take part."""
        ...

    def database(self, name: str, progress: ProgressSink) -> None:
        """The snapshot of the main database."""
        ...

    def finish_told(self, name: str, progress: ProgressSink) -> BackupResult:
        """Manifest, verification, name, removal of the oldest."""
        ...


class NodeBackup(Protocol):
    """A node's part of a backup (implemented by `iris.pipeline.backup`)."""

    def footage(self, name: str, progress: ProgressSink) -> None:
        """Databases and footage of unfinished events."""
        ...

    def clips(self, name: str, progress: ProgressSink) -> None:
        """Clips and thumbnails of finished events."""
        ...


class BackupActivities:
    """Over the main database and BACKUP_DIR; queue `iris`."""

    def __init__(self, office: BackupOffice) -> None:
        self._office = office

    @activity.defn(name=names.ACTIVITY_PLAN_BACKUP, no_thread_cancel_exception=True)
    def plan_backup(self, request: PlanBackup) -> BackupPlan:
        """Begin a backup."""
        with errors_told():
            return self._office.plan(request)

    @activity.defn(name=names.ACTIVITY_BACKUP_DATABASE, no_thread_cancel_exception=True)
    def backup_database(self, ref: BackupRef) -> None:
        """Snapshot the main database."""
        with errors_told():
            self._office.database(ref.name, tell_progress)

    @activity.defn(name=names.ACTIVITY_FINISH_BACKUP, no_thread_cancel_exception=True)
    def finish_backup(self, ref: BackupRef) -> BackupResult:
        """Verify it and give it its name."""
        with errors_told():
            return self._office.finish_told(ref.name, tell_progress)


class NodeBackupActivities:
    """Over the files of one node; its own queue."""

    def __init__(self, backup: NodeBackup) -> None:
        self._backup = backup

    @activity.defn(name=names.ACTIVITY_BACKUP_FOOTAGE, no_thread_cancel_exception=True)
    def backup_footage(self, ref: BackupRef) -> None:
        """What unfinished events need."""
        with errors_told():
            self._backup.footage(ref.name, tell_progress)

    @activity.defn(name=names.ACTIVITY_BACKUP_CLIPS, no_thread_cancel_exception=True)
    def backup_clips(self, ref: BackupRef) -> None:
        """What finished events have."""
        with errors_told():
            self._backup.clips(ref.name, tell_progress)
