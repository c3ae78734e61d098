"""The Retention workflow: one pass over all nodes that have something to do, by schedule or because a person asked.

The decisions are made on the node, which measures its disk anew for every page and shares one lock with its own
guard. A node that does not answer costs the others nothing, and the next pass asks it again.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from iris.contracts import names, policies, retention_activities
    from iris.contracts.retention import EvictedEvents, EvictEvents, RetentionNodes, RetentionResult, RetentionStart
    from workflows import failures
    from workflows import operation_steps as steps

_KIND = "retention"
# A node works for two minutes at a time; so many times are a hundred thousand events and more.
_MOST_PARTS = 200


@workflow.defn(name=names.WORKFLOW_RETENTION)
class RetentionWorkflow:
    """See the module."""

    @workflow.run
    async def run(self, start: RetentionStart) -> RetentionResult:
        """Ask who has something to do, let each do it, sum up."""
        steps.show_kind(_KIND, "running")
        plan = await workflow.execute_activity(
            retention_activities.plan_retention,
            start,
            task_queue=names.QUEUE_IRIS,
            start_to_close_timeout=policies.RECORD_TIMEOUT,
            retry_policy=policies.RETRY,
            summary="Which nodes have something to remove?",
        )
        done = await asyncio.gather(*(self._evict(node_id, plan, start) for node_id in plan.node_ids))
        result = RetentionResult(
            age_count=sum(part.age_count for part in done),
            space_count=sum(part.space_count for part in done),
            freed_bytes=sum(part.freed_bytes for part in done),
            silent_nodes=plan.silent_count,
            notes=tuple(note for part in done for note in part.notes),
        )
        workflow.set_current_details(_text(result))
        if start.operation_id is not None:
            await steps.finish_operation(start.operation_id, asdict(result))
        return result

    async def _evict(self, node_id: str, plan: RetentionNodes, start: RetentionStart) -> EvictedEvents:
        total = EvictedEvents()
        for _part in range(_MOST_PARTS):
            try:
                part = await workflow.execute_activity(
                    retention_activities.evict_events,
                    EvictEvents(start.operation_id, plan.confirmed),
                    task_queue=names.node_queue(node_id),
                    start_to_close_timeout=policies.PURGE_TIMEOUT,
                    # A node that is gone has nothing to lose by waiting for the next pass.
                    schedule_to_close_timeout=2 * policies.PURGE_TIMEOUT,
                    heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
                    retry_policy=policies.RETRY,
                    summary="Remove what is too old and what the disk needs",
                )
            except ActivityError as error:
                reason = failures.reason_of(error, "it did not answer in time.")
                return _sum(total, EvictedEvents(notes=(f"node {node_id}: {reason}",)))
            total = _sum(total, part)
            if not part.more:
                break
        return total


def _sum(one: EvictedEvents, other: EvictedEvents) -> EvictedEvents:
    return EvictedEvents(
        age_count=one.age_count + other.age_count,
        space_count=one.space_count + other.space_count,
        freed_bytes=one.freed_bytes + other.freed_bytes,
        notes=other.notes,
    )


def _text(result: RetentionResult) -> str:
    if not (result.age_count or result.space_count or result.notes):
        return "Nothing had to go."
    went = f"{result.age_count} event(s) removed by age, {result.space_count} for space, {result.freed_bytes} bytes."
    return "\n\n".join((went, *result.notes))
