"""The Backup workflow: one backup, by schedule or because a person asked.

The order makes it consistent without stopping anything: first what each node holds of unfinished events, then one
moment of the main database, then the clips that this moment shows, then the manifest. Each step begins anew or goes on
when it is tried again; until the last one nothing of it counts as a backup.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from iris.contracts import backup_activities, names, policies
    from iris.contracts.backup import BackupRef, BackupResult, BackupStart, PlanBackup
    from workflows import failures
    from workflows import operation_steps as steps

_KIND = "backup"

R = TypeVar("R")


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
            reason = failures.reason_of(error, "A host did not finish its part in time.")
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
        hosts = [names.node_queue(node_id) for node_id in plan.node_ids]
        footage, clips = "Keep the footage of unfinished events", "Keep clips and thumbnails of finished events"
        await asyncio.gather(*(_step(backup_activities.backup_footage, ref, host, footage) for host in hosts))
        database = "Take one moment of the main database"
        await _step(backup_activities.backup_database, ref, names.QUEUE_IRIS, database)
        await asyncio.gather(*(_step(backup_activities.backup_clips, ref, host, clips) for host in hosts))
        named = "Verify the backup and give it its name; then the oldest goes"
        return await _step(backup_activities.finish_backup, ref, names.QUEUE_IRIS, named)


async def _step(step: Callable[[BackupRef], R], ref: BackupRef, queue: str, summary: str) -> R:
    """One long step; it shows that it lives, and goes on where it was when it is tried again."""
    return await workflow.execute_activity(
        step,
        ref,
        task_queue=queue,
        start_to_close_timeout=policies.BACKUP_STEP_TIMEOUT,
        schedule_to_close_timeout=policies.BACKUP_PATIENCE,
        heartbeat_timeout=policies.BACKUP_HEARTBEAT,
        retry_policy=policies.RETRY,
        summary=summary,
    )


def _text(result: BackupResult) -> str:
    text = (
        f"Backup {result.name}: {result.cameras} camera(s), {result.events} event(s), {result.files} file(s), "
        f"{result.total_bytes} bytes."
    )
    return f"{text} {result.damaged} file(s) were damaged before." if result.damaged else text
