"""Typed stubs of the workflows: what the relay, the api and schedules start."""

from __future__ import annotations

from temporalio import workflow

from iris.contracts import names
from iris.contracts.backup import BackupResult, BackupStart
from iris.contracts.camera_removal import CameraRemovalStart, RemovalEnd
from iris.contracts.events import EventMessage, EventOutcome, EventStart
from iris.contracts.node import NodeChanged, NodeWatch
from iris.contracts.orphans import OrphanPurgeOutcome, OrphanPurgeStart
from iris.contracts.removal import EventDeletionResult, EventDeletionStart
from iris.contracts.retention import RetentionResult, RetentionStart


@workflow.defn(name=names.WORKFLOW_ORPHAN_PURGE)
class OrphanPurgeWorkflow:
    """Files that belong to nothing go into quarantine, and from there for good."""

    @workflow.run
    async def run(self, start: OrphanPurgeStart) -> OrphanPurgeOutcome:
        """See `workflows/orphan_purge.py`."""
        raise NotImplementedError


@workflow.defn(name=names.WORKFLOW_EVENT)
class EventWorkflow:
    """One event from its first sign to its verified clip."""

    @workflow.run
    async def run(self, start: EventStart) -> EventOutcome:
        """See `workflows/event.py`."""
        raise NotImplementedError

    @workflow.signal(name=names.SIGNAL_EVENT_MESSAGE)
    def message(self, message: EventMessage) -> None:
        """One outbox row."""
        raise NotImplementedError


@workflow.defn(name=names.WORKFLOW_EVENT_DELETION)
class EventDeletionWorkflow:
    """One request to delete events, from their rows to the last of their files."""

    @workflow.run
    async def run(self, start: EventDeletionStart) -> EventDeletionResult:
        """See `workflows/event_deletion.py`."""
        raise NotImplementedError


@workflow.defn(name=names.WORKFLOW_CAMERA_DELETION)
class CameraDeletionWorkflow:
    """A camera and everything of it, until a look finds nothing any more."""

    @workflow.run
    async def run(self, start: CameraRemovalStart) -> RemovalEnd:
        """See `workflows/camera_deletion.py`."""
        raise NotImplementedError


@workflow.defn(name=names.WORKFLOW_CAMERA_REPOINT)
class CameraRepointWorkflow:
    """What a camera's old address showed, before the camera runs on its new one."""

    @workflow.run
    async def run(self, start: CameraRemovalStart) -> RemovalEnd:
        """See `workflows/camera_repoint.py`."""
        raise NotImplementedError


@workflow.defn(name=names.WORKFLOW_RETENTION)
class RetentionWorkflow:
    """One pass that removes what is too old and what the disks need."""

    @workflow.run
    async def run(self, start: RetentionStart) -> RetentionResult:
        """See `workflows/retention.py`."""
        raise NotImplementedError


@workflow.defn(name=names.WORKFLOW_NODE)
class NodeWorkflow:
    """Audits the cameras of one node, for ever."""

    @workflow.run
    async def run(self, watch: NodeWatch) -> None:
        """See `workflows/node.py`."""
        raise NotImplementedError

    @workflow.signal(name=names.SIGNAL_NODE_CHANGED)
    def changed(self, word: NodeChanged) -> None:
        """Look now."""
        raise NotImplementedError


@workflow.defn(name=names.WORKFLOW_BACKUP)
class BackupWorkflow:
    """One backup, consistent although nothing is stopped for it."""

    @workflow.run
    async def run(self, start: BackupStart) -> BackupResult:
        """See `workflows/backup.py`."""
        raise NotImplementedError
