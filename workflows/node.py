"""The Node workflow: one for each node, for ever. It has the node audit its cameras, and sees when a node is gone.

It audits and repairs; recording never waits for it. Each round asks the node, on its own queue, to compare the
cameras that should run with those that do. A node that does not answer is waited for without an end (its queue keeps
the question), and is shown as gone after three intervals. The state is one dataclass, handed on to the next run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from iris.contracts import names, node_activities, policies
    from iris.contracts.node import (
        NODE_GONE,
        NODE_UP,
        LookAfterNode,
        NodeChanged,
        NodeLife,
        NodeReport,
        NodeWatch,
        ReconcileNode,
    )
    from iris.contracts.texts import clock_text
    from workflows import attributes, failures

# A node that restarts answers within one interval; three of them are no coincidence.
_PATIENCE_ROUNDS: Final = 3


@workflow.defn(name=names.WORKFLOW_NODE)
class NodeWorkflow:
    """See the module."""

    @workflow.init
    def __init__(self, watch: NodeWatch) -> None:
        self._watch = watch
        self._changed = False
        self._lines: dict[str, str] = {}

    @workflow.signal(name=names.SIGNAL_NODE_CHANGED)
    def changed(self, word: NodeChanged) -> None:
        """Look now; the newest interval counts."""
        self._changed = True
        self._watch = replace(self._watch, every_s=word.every_s)

    @workflow.run
    async def run(self, watch: NodeWatch) -> None:
        """Round after round; a new run before the history gets long."""
        workflow.upsert_search_attributes([attributes.NODE.value_set(watch.node_id), attributes.KIND.value_set("node")])
        self._enter(NODE_UP)
        for _ in range(watch.rounds_per_run):
            if workflow.info().is_continue_as_new_suggested():
                break
            self._changed = False
            await self._round()
            await self._pause()
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(self._watch)

    async def _round(self) -> None:
        """Have the node compare and repair; where it does not answer, say so and go on waiting."""
        asked = workflow.start_activity(
            node_activities.reconcile_node,
            ReconcileNode(self._watch.node_id),
            task_queue=names.node_queue(self._watch.node_id),
            start_to_close_timeout=policies.RECONCILE_TIMEOUT,
            heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
            retry_policy=policies.RETRY,
            summary="Compare the cameras that should run with those that do, and repair",
        )
        gone_since_us: int | None = None
        try:
            await workflow.wait_condition(
                asked.done,
                timeout=_PATIENCE_ROUNDS * self._watch.every_s,
                timeout_summary="Without an answer until then, the node is gone",
            )
        except TimeoutError:
            gone_since_us = workflow.time_ns() // 1000
            await self._say_gone()
        try:
            self._note(await asked)
        except ActivityError as error:
            reason = failures.reason_of(error, "it did not finish in time")
            self._tell("round", f"The node could not compare its cameras: {reason}")
        if gone_since_us is not None:
            await self._say_back(gone_since_us)

    async def _pause(self) -> None:
        """Until the next interval is over or somebody says that cameras changed."""
        try:
            await workflow.wait_condition(
                lambda: self._changed, timeout=self._watch.every_s, timeout_summary="Next look at the cameras"
            )
        except TimeoutError:
            return

    async def _say_gone(self) -> None:
        self._enter(NODE_GONE)
        life = await self._look_after(answers=False)
        if life is None:
            self._tell("life", "The node does not answer, and neither does the database.")
        elif life.state == NODE_UP:
            self._tell("life", "The node lives, yet takes no work from Temporal; its log says why.")
        else:
            heard = "never" if life.heartbeat_us is None else f"last heard of at {clock_text(life.heartbeat_us)}"
            self._tell("life", f"The node is gone, {heard}; {life.camera_count} camera(s) wait for it.")

    async def _say_back(self, gone_since_us: int) -> None:
        self._enter(NODE_UP)
        await self._look_after(answers=True)
        self._tell("life", f"The node answers again; it was taken for gone at {clock_text(gone_since_us)}.")

    async def _look_after(self, *, answers: bool) -> NodeLife | None:
        """What the database knows of the node; None where that is away as well."""
        try:
            return await workflow.execute_activity(
                node_activities.look_after_node,
                LookAfterNode(self._watch.node_id, answers=answers),
                task_queue=names.QUEUE_IRIS,
                start_to_close_timeout=policies.RECORD_TIMEOUT,
                schedule_to_close_timeout=policies.LOOK_AFTER_PATIENCE,
                retry_policy=policies.RETRY,
                summary="The node answers again" if answers else "The node does not answer: when was it last heard of?",
            )
        except ActivityError as error:
            failures.raise_if_cancelled(error)
            return None

    def _note(self, report: NodeReport) -> None:
        """Count the round, and say to people what it found."""
        self._watch = replace(
            self._watch,
            round_count=self._watch.round_count + 1,
            repair_count=self._watch.repair_count + report.repair_count,
        )
        if report.repairs:
            newest = "; ".join(
                f"{repair.action} camera {repair.camera_id}: {repair.reason}" for repair in report.repairs
            )
            self._watch = replace(self._watch, last_repair=f"{clock_text(report.checked_us)}: {newest}")
        known = "" if report.store_answered else " (as last known: the database did not answer)"
        self._tell(
            "round",
            f"{report.wanted_count} camera(s) should run{known}, {report.running_count} do, "
            f"looked at {clock_text(report.checked_us)}.",
        )
        repairs = self._watch.repair_count
        self._tell("repairs", f"{repairs} repair(s) so far, the newest: {self._watch.last_repair}" if repairs else "")

    def _enter(self, state: str) -> None:
        workflow.upsert_search_attributes([attributes.STATE.value_set(state)])

    def _tell(self, step: str, line: str) -> None:
        """One line per step, for who looks at the workflow now; the newest of each stays."""
        self._lines[step] = line
        workflow.set_current_details("\n\n".join(line for line in self._lines.values() if line))
