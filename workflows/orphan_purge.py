"""The OrphanPurge workflow: files that belong to nothing go into quarantine, and from there for good.

Every node is asked first, and nothing is moved anywhere before all of them said what they would move. Where one
refuses (an empty or wrong database, a missing disk, a stepped clock, too much at once) the whole run moves and
deletes nothing, and the operation says why and what to do.
"""

from __future__ import annotations

from dataclasses import asdict

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from iris.contracts import names, orphan_activities, policies
    from iris.contracts.operations import JsonObject
    from iris.contracts.orphans import (
        BeginPurge,
        OrphanPurgeOutcome,
        OrphanPurgeStart,
        OrphanSurvey,
        OrphanSweep,
        PurgePlan,
        SurveyOrphans,
        SweepOrphans,
    )
    from workflows import failures
    from workflows import operation_steps as steps

_KIND = "orphan_purge"
_LATE = "it did not answer in time"


@workflow.defn(name=names.WORKFLOW_ORPHAN_PURGE)
class OrphanPurgeWorkflow:
    """See the module."""

    @workflow.run
    async def run(self, start: OrphanPurgeStart) -> OrphanPurgeOutcome:
        """Plan, survey, sweep, result."""
        steps.show_kind(_KIND, "running")
        plan = await self._begin(start)
        result: JsonObject = {"dry_run": plan.dry_run, "nodes": {}, "silent_node_ids": list(plan.silent_node_ids)}
        refusal = "" if plan.node_ids else "no node gave a sign of life lately; is `iris node` running?"
        surveys: dict[str, OrphanSurvey] = {}
        for node_id in plan.node_ids:
            try:
                surveys[node_id] = await self._survey(node_id, plan)
            except ActivityError as error:
                refusal = refusal or f"node {node_id}: {failures.reason_of(error, _LATE)}"
                continue
            result["nodes"][node_id] = _survey_words(surveys[node_id])
            refusal = refusal or surveys[node_id].refusal
        outcome = OrphanPurgeOutcome(plan.operation_id, refusal=refusal)
        if not refusal and not plan.dry_run:
            outcome = await self._sweep_all(plan, surveys, result)
        await steps.finish_operation(plan.operation_id, result, _sentence(outcome))
        workflow.set_current_details(_sentence(outcome) or _done(plan, surveys, outcome))
        return outcome

    async def _begin(self, start: OrphanPurgeStart) -> PurgePlan:
        return await workflow.execute_activity(
            orphan_activities.begin_orphan_purge,
            BeginPurge(workflow.info().workflow_id, start.trigger),
            task_queue=names.QUEUE_IRIS,
            start_to_close_timeout=policies.RECORD_TIMEOUT,
            retry_policy=policies.RETRY,
            summary="Note the operation, and see which hosts answer",
        )

    async def _survey(self, node_id: str, plan: PurgePlan) -> OrphanSurvey:
        survey = await workflow.execute_activity(
            orphan_activities.survey_orphans,
            SurveyOrphans(plan.max_share),
            task_queue=names.node_queue(node_id),
            start_to_close_timeout=policies.WALK_TIMEOUT,
            schedule_to_close_timeout=policies.WALK_PATIENCE,
            heartbeat_timeout=policies.WALK_HEARTBEAT,
            retry_policy=policies.WALK_RETRY,
            summary="Count files that belong to nothing; changes nothing",
        )
        workflow.set_current_details(f"Node {node_id}: {survey.orphan_count} file(s) belong to nothing.")
        return survey

    async def _sweep_all(
        self, plan: PurgePlan, surveys: dict[str, OrphanSurvey], result: JsonObject
    ) -> OrphanPurgeOutcome:
        """Move and delete, a node after the other, up to the first that refuses."""
        outcome = OrphanPurgeOutcome(plan.operation_id)
        for node_id, survey in surveys.items():
            refusal, sweep = "", OrphanSweep()
            try:
                sweep = await self._sweep(node_id, plan, survey)
                refusal = sweep.refusal
            except ActivityError as error:
                refusal = f"node {node_id}: {failures.reason_of(error, _LATE)}"
            result["nodes"][node_id] |= {
                "quarantine": f"quarantine/{plan.batch}" if sweep.moved_count else None,
                "moved_count": sweep.moved_count,
                "moved_bytes": sweep.moved_bytes,
                "deleted_count": sweep.deleted_count,
                "deleted_bytes": sweep.deleted_bytes,
            }
            outcome = OrphanPurgeOutcome(
                plan.operation_id,
                outcome.moved_count + sweep.moved_count,
                outcome.deleted_count + sweep.deleted_count,
                refusal,
            )
            if refusal:
                break
        return outcome

    async def _sweep(self, node_id: str, plan: PurgePlan, survey: OrphanSurvey) -> OrphanSweep:
        return await workflow.execute_activity(
            orphan_activities.sweep_orphans,
            SweepOrphans(plan.batch, survey.orphan_count),
            task_queue=names.node_queue(node_id),
            start_to_close_timeout=policies.WALK_TIMEOUT,
            schedule_to_close_timeout=policies.WALK_PATIENCE,
            heartbeat_timeout=policies.WALK_HEARTBEAT,
            retry_policy=policies.WALK_RETRY,
            summary=f"Move {survey.orphan_count} file(s) into quarantine; delete what lay there long",
        )


def _survey_words(survey: OrphanSurvey) -> JsonObject:
    """What a page shows of one node."""
    return {
        "folders": [asdict(folder) for folder in survey.folders],
        "orphan_count": survey.orphan_count,
        "orphan_bytes": sum(folder.orphan_bytes for folder in survey.folders),
        "examples": list(survey.examples),
        "clips_without_file": survey.missing_clip_count,
        "expired_count": survey.expired_count,
        "expired_bytes": survey.expired_bytes,
    }


def _sentence(outcome: OrphanPurgeOutcome) -> str | None:
    """Why the run ended early; None where it did not."""
    if not outcome.refusal:
        return None
    moved = f"{outcome.moved_count} file(s) were moved into quarantine before" if outcome.moved_count else ""
    return f"{moved or 'Nothing was moved or deleted'}: {outcome.refusal}"


def _done(plan: PurgePlan, surveys: dict[str, OrphanSurvey], outcome: OrphanPurgeOutcome) -> str:
    found = sum(survey.orphan_count for survey in surveys.values())
    if plan.dry_run:
        return f"Dry run: {found} file(s) belong to nothing."
    return f"Done: {outcome.moved_count} file(s) moved into quarantine, {outcome.deleted_count} deleted from it."
