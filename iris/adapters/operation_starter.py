"""Starts the workflows of operations: one table says which workflow does which kind.

Starting is idempotent by workflow id: the api, which starts right after the row is committed, and the worker, which
makes up for what was missed, may both do it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import FailureError, WorkflowAlreadyStartedError

from iris.adapters.temporal import RPC_TIMEOUT, TemporalLink, WorkflowUnknownError, found
from iris.base.errors import InputError
from iris.base.redact import redact
from iris.contracts import names
from iris.contracts.backup import BackupStart
from iris.contracts.camera_removal import CameraRemovalStart
from iris.contracts.orphans import TRIGGER_REQUEST, OrphanPurgeStart
from iris.contracts.removal import EventDeletionStart
from iris.contracts.retention import RetentionStart
from iris.domain.operation import OperationKind, OperationTask, WorkflowFate, WorkflowReport


@dataclass(frozen=True, slots=True)
class StartOf:
    """How the workflow of a kind is started; `summary` is what people read beside it."""

    workflow: str
    argument: Callable[[OperationTask], object]
    summary: str


# One line per kind.
STARTS: Final[Mapping[OperationKind, StartOf]] = {
    OperationKind.RETENTION: StartOf(
        names.WORKFLOW_RETENTION, lambda task: RetentionStart(task.operation_id), "Retention, asked for by hand"
    ),
    OperationKind.BACKUP: StartOf(
        names.WORKFLOW_BACKUP, lambda task: BackupStart(task.operation_id), "Backup, asked for by hand"
    ),
    OperationKind.ORPHAN_PURGE: StartOf(
        names.WORKFLOW_ORPHAN_PURGE,
        lambda _task: OrphanPurgeStart(TRIGGER_REQUEST),
        "Move files that belong to nothing into quarantine",
    ),
    OperationKind.EVENT_DELETION: StartOf(
        names.WORKFLOW_EVENT_DELETION, lambda task: EventDeletionStart(task.operation_id), "Delete events"
    ),
    OperationKind.CAMERA_DELETION: StartOf(
        names.WORKFLOW_CAMERA_DELETION,
        lambda task: CameraRemovalStart(task.operation_id, task.camera_id or ""),
        "Delete a camera and everything of it",
    ),
    OperationKind.CAMERA_REPOINT: StartOf(
        names.WORKFLOW_CAMERA_REPOINT,
        lambda task: CameraRemovalStart(task.operation_id, task.camera_id or ""),
        "Remove what a camera's old address showed",
    ),
}

_FATES: Final = {
    WorkflowExecutionStatus.RUNNING: WorkflowFate.RUNNING,
    WorkflowExecutionStatus.CONTINUED_AS_NEW: WorkflowFate.RUNNING,
    WorkflowExecutionStatus.COMPLETED: WorkflowFate.COMPLETED,
    WorkflowExecutionStatus.FAILED: WorkflowFate.FAILED,
    WorkflowExecutionStatus.TERMINATED: WorkflowFate.TERMINATED,
    WorkflowExecutionStatus.CANCELED: WorkflowFate.CANCELLED,
    WorkflowExecutionStatus.TIMED_OUT: WorkflowFate.TIMED_OUT,
}


class TemporalOperationStarter:
    """Implements `OperationStarter`."""

    def __init__(self, link: TemporalLink, starts: Mapping[OperationKind, StartOf] = STARTS) -> None:
        self._link = link
        self._starts = starts

    async def start(self, task: OperationTask) -> None:
        """See `OperationStarter.start`.

        Raises:
            UnavailableError, InputError, ConfigError: See `iris.adapters.temporal.translate`.
        """
        how = self._starts.get(task.kind)
        if how is None:
            raise InputError(f"no workflow does {task.kind.value}")
        client = await self._link.client()
        request = client.start_workflow(
            how.workflow,
            how.argument(task),
            id=task.workflow_id,
            task_queue=names.QUEUE_IRIS,
            # An operation runs once: what failed or was terminated is asked for anew, as another operation.
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=how.summary,
            rpc_timeout=RPC_TIMEOUT,
        )
        try:
            await self._link.call(request)
        except WorkflowAlreadyStartedError:
            return

    async def report(self, workflow_id: str) -> WorkflowReport:
        """See `OperationStarter.report`.

        Raises:
            UnavailableError, ConfigError: See `iris.adapters.temporal.translate`.
        """
        client = await self._link.client()
        handle = client.get_workflow_handle(workflow_id)
        try:
            description = await self._link.call(found(handle.describe(rpc_timeout=RPC_TIMEOUT)))
        except WorkflowUnknownError:
            return WorkflowReport(WorkflowFate.UNKNOWN)
        fate = WorkflowFate.RUNNING if description.status is None else _FATES[description.status]
        if fate is WorkflowFate.FAILED:
            return WorkflowReport(fate, await self._link.call(_failure(client, workflow_id)))
        return WorkflowReport(fate)


async def _failure(client: Client, workflow_id: str) -> str:
    """The innermost sentence of a failed workflow."""
    try:
        await client.get_workflow_handle(workflow_id).result(rpc_timeout=RPC_TIMEOUT)
    except WorkflowFailureError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        return redact(cause.message if isinstance(cause, FailureError) else str(cause))
    return ""
