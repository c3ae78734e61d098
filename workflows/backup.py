"""The Backup workflow: one backup, by schedule or because a person asked.

The order makes it consistent without stopping anything: first what each node holds of unfinished events, then one
moment of the main database, then the clips that this moment shows, then the manifest. Each step begins anew or goes on
when it is tried again; until the last one nothing of it counts as a backup.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from iris.contracts import backup_activities, names, policies
    from iris.contracts.backup import BackupPlan, BackupRef, BackupResult, BackupStart, PlanBackup
    from workflows import operation_steps as steps

_KIND = "backup"


@workflow.defn(name=names.WORKFLOW_BACKUP)
class BackupWorkflow:
    """See the module."""

    @workflow.run
    async def run(self, start: BackupStart) -> BackupResult:
        """Make it; where it cannot be made, say why in the operation and fail."""
        steps.show_kind(_KIND, "running")
        try:
            result = await self._make()
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            reason = _reason(error)
            workflow.set_current_details(f"No backup was made: {reason}")
            if start.operation_id is not None:
                await steps.finish_operation(start.operation_id, {}, reason)
            raise ApplicationError(reason, type=_KIND, non_retryable=True) from None
        workflow.set_current_details(_text(result))
        if start.operation_id is not None:
            await steps.finish_operation(start.operation_id, asdict(result))
        return result

    async def _make(self) -> BackupResult:
        info = workflow.info()
        plan = await workflow.execute_activity(
            backup_activities.plan_backup,
            PlanBackup(round(info.start_time.timestamp() * 1_000_000), info.run_id),
            task_queue=names.QUEUE_IRIS,
            start_to_close_timeout=policies.PAGE_TIMEOUT,
            schedule_to_close_timeout=policies.BACKUP_PATIENCE,
            retry_policy=policies.RETRY,
            summary="Begin the backup: which hosts take part?",
        )
        workflow.set_current_details(f"Making the backup {plan.name}.")
        ref = BackupRef(plan.name)
        await asyncio.gather(*(self._footage(node_id, ref) for node_id in plan.node_ids))
        await workflow.execute_activity(
            backup_activities.backup_database,
            ref,
            task_queue=names.QUEUE_IRIS,
            start_to_close_timeout=policies.BACKUP_STEP_TIMEOUT,
            schedule_to_close_timeout=policies.BACKUP_PATIENCE,
            heartbeat_timeout=policies.BACKUP_HEARTBEAT,
            retry_policy=policies.RETRY,
            summary="Take one moment of the main database",
        )
        return await self._files(plan, ref)

    async def _files(self, plan: BackupPlan, ref: BackupRef) -> BackupResult:
        await asyncio.gather(*(self._clips(node_id, ref) for node_id in plan.node_ids))
        return await workflow.execute_activity(
            backup_activities.finish_backup,
            ref,
            task_queue=names.QUEUE_IRIS,
            start_to_close_timeout=policies.BACKUP_STEP_TIMEOUT,
            schedule_to_close_timeout=policies.BACKUP_PATIENCE,
            heartbeat_timeout=policies.BACKUP_HEARTBEAT,
            retry_policy=policies.RETRY,
            summary="Verify the backup and give it its name; then the oldest goes",
        )

    async def _footage(self, node_id: str, ref: BackupRef) -> None:
        await workflow.execute_activity(
            backup_activities.backup_footage,
            ref,
            task_queue=names.node_queue(node_id),
            start_to_close_timeout=policies.BACKUP_STEP_TIMEOUT,
            schedule_to_close_timeout=policies.BACKUP_PATIENCE,
            heartbeat_timeout=policies.BACKUP_HEARTBEAT,
            retry_policy=policies.RETRY,
            summary="Keep the footage of unfinished events",
        )

    async def _clips(self, node_id: str, ref: BackupRef) -> None:
        await workflow.execute_activity(
            backup_activities.backup_clips,
            ref,
            task_queue=names.node_queue(node_id),
            start_to_close_timeout=policies.BACKUP_STEP_TIMEOUT,
            schedule_to_close_timeout=policies.BACKUP_PATIENCE,
            heartbeat_timeout=policies.BACKUP_HEARTBEAT,
            retry_policy=policies.RETRY,
            summary="Keep clips and thumbnails of finished events",
        )


def _reason(error: ActivityError) -> str:
    cause = error.cause
    return cause.message if isinstance(cause, ApplicationError) else "A host did not finish its part in time."


def _text(result: BackupResult) -> str:
    text = (
        f"Backup {result.name}: {result.cameras} camera(s), {result.events} event(s), {result.files} file(s), "
        f"{result.total_bytes} bytes."
    )
    return f"{text} {result.damaged} file(s) were damaged before." if result.damaged else text
