"""The EventDeletion workflow: one request to delete events, from their rows to the last of their files.

First every row goes, page by page, and leaves a tombstone: nobody sees the events any more. Then each host removes
its files, and the tombstones are closed. How far the rows are is in the database, so a run that starts anew goes on
where the one before was.
"""

from __future__ import annotations

from dataclasses import asdict

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from iris.contracts import names, policies, removal_activities
    from iris.contracts.removal import EntombedPage, EventDeletionResult, EventDeletionStart
    from workflows import operation_steps as steps

_KIND = "event_deletion"


@workflow.defn(name=names.WORKFLOW_EVENT_DELETION)
class EventDeletionWorkflow:
    """See the module."""

    @workflow.run
    async def run(self, start: EventDeletionStart) -> EventDeletionResult:
        """Rows, files, result."""
        steps.show_kind(_KIND, "running")
        page = await self._entomb(start)
        for _page in range(start.pages_per_run - 1):
            if not page.more:
                break
            page = await self._entomb(start)
        if page.more or not await steps.remove_files(start.operation_id, start.pages_per_run):
            workflow.continue_as_new(start)
        await steps.finish_operation(start.operation_id, asdict(page.counts))
        workflow.set_current_details(f"Done: {_text(page.counts)}.")
        return page.counts

    async def _entomb(self, start: EventDeletionStart) -> EntombedPage:
        page = await workflow.execute_activity(
            removal_activities.entomb_events,
            start,
            task_queue=names.QUEUE_IRIS,
            start_to_close_timeout=policies.PAGE_TIMEOUT,
            retry_policy=policies.RETRY,
            summary="Remove the next page of events from the database",
        )
        what = "looking for more" if page.more else "now their files, as soon as their hosts are up"
        workflow.set_current_details(f"So far {_text(page.counts)}; {what}.")
        return page


def _text(counts: EventDeletionResult) -> str:
    return (
        f"{counts.events} event(s) removed, {counts.left_held} left because they are on hold, "
        f"{counts.left_open} because they are not finished"
    )
