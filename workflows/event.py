"""The Event workflow: one presence in front of a camera, from its first sign to its verified clip.

It owns the order of the steps and what a person sees of them; what a step does is an activity's. Messages may
arrive twice, late, out of order, or with the last one first. Whatever happens to footage or host, the event ends
in one terminal state and its pins are released; only a database that refuses the result for good fails the
workflow, and then nothing is released.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from iris.contracts import activities, names, policies
    from iris.contracts.events import (
        END_ABANDONED,
        GAP_UNKNOWN,
        KIND_CLOSED,
        STATE_CLOSING,
        STATE_DELETED,
        STATE_FAILED,
        STATE_OPEN,
        AssembleClip,
        ClipResult,
        EventMessage,
        EventOutcome,
        EventRef,
        EventStart,
        FinaliseEvent,
        ThumbnailResult,
        TimeRange,
    )
    from iris.contracts.texts import clock_text, labels_text, moment, span_text
    from workflows import attributes, failures

_LATE: Final = "The host of the camera did not finish this in time."


@workflow.defn(name=names.WORKFLOW_EVENT)
class EventWorkflow:
    """See the module; the state is the newest message, and lines for people."""

    @workflow.init
    def __init__(self, start: EventStart) -> None:
        self._ref = EventRef(start.event_id, start.camera_id, start.node_id)
        self._node_queue = names.node_queue(start.node_id)
        self._newest: EventMessage | None = None
        self._state = STATE_OPEN
        self._lines: dict[str, str] = {}

    @workflow.signal(name=names.SIGNAL_EVENT_MESSAGE)
    def message(self, message: EventMessage) -> None:
        """Take what is newer than what is known; an event closes once."""
        if self._newest is not None and (message.seq <= self._newest.seq or self._newest.kind == KIND_CLOSED):
            return
        self._newest = message

    @workflow.run
    async def run(self, start: EventStart) -> EventOutcome:
        """Record, wait for the end, assemble, finalise, release."""
        self._show_start()
        closed = await self._follow_until_closed(start.max_open_s)
        if closed is None:
            outcome = EventOutcome(state=self._state, summary="Finished before; only released again.")
        else:
            outcome = await self._finish(closed)
        # Histories from before events could be removed never have this state.
        await (self._discard() if self._state == STATE_DELETED else self._release())
        await workflow.wait_condition(workflow.all_handlers_finished)
        return outcome

    async def _follow_until_closed(self, max_open_s: float) -> EventMessage | None:
        """Record what is new until the event is closed; None where somebody had finished it before.

        Each message is complete, so while one is being recorded only the newest of those behind it counts.
        """
        recorded_seq = 0
        while True:
            message = await self._newer_than(recorded_seq, max_open_s)
            if message is None:
                await self._close_if_abandoned()
                continue
            if await self._record(message):
                return None
            recorded_seq = message.seq
            if message.kind == KIND_CLOSED:
                return message

    async def _newer_than(self, seq: int, patience_s: float) -> EventMessage | None:
        """The newest message once it is newer than `seq`; None after `patience_s` of silence."""

        def arrived() -> bool:
            return self._newest is not None and self._newest.seq > seq

        if not arrived():
            try:
                await workflow.wait_condition(
                    arrived, timeout=patience_s, timeout_summary="Still open: look after it when nothing is heard"
                )
            except TimeoutError:
                return None
        return self._newest

    async def _record(self, message: EventMessage) -> bool:
        """Write the message down; true where the event is terminal already.

        A refusal does not end the event: its last word is `finalise_event`, which writes all of it again.
        """
        self._tell(message.kind, f"{message.kind}, {labels_text(message.labels)}, {clock_text(message.last_seen_us)}")
        try:
            recorded = await workflow.execute_activity(
                activities.record_event,
                message,
                task_queue=names.QUEUE_IRIS,
                start_to_close_timeout=policies.RECORD_TIMEOUT,
                retry_policy=policies.RETRY,
                summary=f"Record: {message.kind}, {labels_text(message.labels)} (message {message.seq})",
            )
        except ActivityError as error:
            self._tell("refused", f"the database refused message {message.seq}: {failures.reason_of(error, _LATE)}")
            return False
        if recorded.terminal:
            self._enter(recorded.state)
        return recorded.terminal

    async def _close_if_abandoned(self) -> None:
        """After a long silence ask the host; it answers with the closing message unless the event is held open.

        A host that does not answer for as long as it keeps pins has nothing left to make a clip of: the event is
        closed where it was last seen.
        """
        try:
            answer = await workflow.execute_activity(
                activities.close_abandoned_event,
                self._ref,
                task_queue=self._node_queue,
                start_to_close_timeout=policies.NODE_STEP_TIMEOUT,
                schedule_to_close_timeout=policies.NODE_PATIENCE,
                retry_policy=policies.RETRY,
                summary="Nothing heard for long: ask the host whether the event is still open",
            )
            closing = answer.message
        except ActivityError as error:
            failures.raise_if_cancelled(error)
            closing = self._closed_where_last_seen()
        if closing is not None:
            newest_seq = self._newest.seq if self._newest else 0
            self.message(replace(closing, seq=max(closing.seq, newest_seq + 1)))

    def _closed_where_last_seen(self) -> EventMessage | None:
        if self._newest is None:
            return None
        return replace(
            self._newest, kind=KIND_CLOSED, window_end_us=self._newest.last_seen_us, end_reason=END_ABANDONED
        )

    async def _finish(self, closed: EventMessage) -> EventOutcome:
        """From the closing message to the terminal state."""
        self._enter(STATE_CLOSING)
        end_us = closed.window_end_us if closed.window_end_us is not None else closed.last_seen_us
        request = AssembleClip(self._ref.event_id, self._ref.camera_id, closed.window_start_us, end_us)
        await self._wait_for_post_roll(closed, end_us)
        clip, thumbnail = await asyncio.gather(self._assemble(request), self._publish_thumbnail())
        recorded = await workflow.execute_activity(
            activities.finalise_event,
            FinaliseEvent(message=replace(closed, window_end_us=end_us), clip=clip, thumbnail_path=thumbnail.path),
            task_queue=names.QUEUE_IRIS,
            start_to_close_timeout=policies.RECORD_TIMEOUT,
            retry_policy=policies.RETRY,
            summary=f"Write the result: {clip.state}",
        )
        self._enter(recorded.state)
        if recorded.state == STATE_DELETED:
            self._tell("result", "removed meanwhile: what was made of it goes")
            return EventOutcome(state=recorded.state, summary="Removed while its clip was being made.")
        summary = clip.failure or clip.summary or f"{len(clip.files)} file(s)"
        self._tell("result", f"{recorded.state}: {summary}")
        return EventOutcome(state=recorded.state, summary=summary, gap_count=len(clip.missing))

    async def _wait_for_post_roll(self, closed: EventMessage, end_us: int) -> None:
        """Wait until the window has passed, by the message's own time: a late message does not wait again.

        Never longer than the post-roll itself, whatever the clocks of host and server say.
        """
        left_us = min(end_us - workflow.time_ns() // 1000, end_us - closed.last_seen_us)
        if left_us > 0:
            self._tell("post-roll", f"waiting for the post-roll until {clock_text(end_us)}")
            await workflow.sleep(
                timedelta(microseconds=left_us), summary=f"Post-roll: the clip ends at {clock_text(end_us)}"
            )

    async def _assemble(self, request: AssembleClip) -> ClipResult:
        span = span_text(request.window_start_us, request.window_end_us)
        self._tell("clip", f"making the clip of {span}; waits while its host is down")
        try:
            return await workflow.execute_activity(
                activities.assemble_clip,
                request,
                task_queue=self._node_queue,
                start_to_close_timeout=policies.ASSEMBLE_TIMEOUT,
                schedule_to_close_timeout=policies.NODE_PATIENCE,
                heartbeat_timeout=policies.HEARTBEAT_TIMEOUT,
                retry_policy=policies.RETRY,
                summary=f"Make the clip of {span}",
            )
        except ActivityError as error:
            return _failed_clip(request, failures.reason_of(error, _LATE))

    async def _publish_thumbnail(self) -> ThumbnailResult:
        """A missing picture is no reason to lose a clip."""
        try:
            return await workflow.execute_activity(
                activities.publish_thumbnail,
                self._ref,
                task_queue=self._node_queue,
                start_to_close_timeout=policies.NODE_STEP_TIMEOUT,
                schedule_to_close_timeout=policies.NODE_PATIENCE,
                retry_policy=policies.RETRY,
                summary="Publish the thumbnail",
            )
        except ActivityError as error:
            self._tell("thumbnail", f"no thumbnail: {failures.reason_of(error, _LATE)}")
            return ThumbnailResult()

    async def _release(self) -> None:
        try:
            await workflow.execute_activity(
                activities.release_event,
                self._ref,
                task_queue=self._node_queue,
                start_to_close_timeout=policies.NODE_STEP_TIMEOUT,
                schedule_to_close_timeout=policies.RELEASE_PATIENCE,
                retry_policy=policies.RETRY,
                summary="Release pinned segments and outbox rows",
            )
        except ActivityError as error:
            self._tell("release", f"not released: {failures.reason_of(error, _LATE)}")

    async def _discard(self) -> None:
        """The event was removed: so is whatever was published since. Its host is waited for, however long."""
        await workflow.execute_activity(
            activities.discard_event,
            self._ref,
            task_queue=self._node_queue,
            start_to_close_timeout=policies.PURGE_TIMEOUT,
            retry_policy=policies.RETRY,
            summary="The event was removed: discard its files, pinned segments and outbox rows",
        )

    def _show_start(self) -> None:
        updates: list[SearchAttributeUpdate[Any]] = [
            attributes.CAMERA.value_set(self._ref.camera_id),
            attributes.NODE.value_set(self._ref.node_id),
            attributes.KIND.value_set("event"),
            attributes.STATE.value_set(self._state),
        ]
        started_us = self._newest.started_us if self._newest else None
        if started_us is not None:
            updates.append(attributes.EVENT_START.value_set(moment(started_us)))
        workflow.upsert_search_attributes(updates)

    def _enter(self, state: str) -> None:
        """Another state, for those who list workflows."""
        if state != self._state:
            self._state = state
            self._ref = replace(self._ref, state=state)
            workflow.upsert_search_attributes([attributes.STATE.value_set(state)])

    def _tell(self, step: str, line: str) -> None:
        """One line per step, for who looks at the workflow now; the newest of each stays."""
        self._lines[step] = line
        workflow.set_current_details("\n\n".join(self._lines.values()))


def _failed_clip(request: AssembleClip, reason: str) -> ClipResult:
    """The whole window is missing; covered plus missing make the window here too."""
    window = TimeRange(request.window_start_us, request.window_end_us, GAP_UNKNOWN)
    missing = (window,) if window.end_us > window.start_us else ()
    return ClipResult(state=STATE_FAILED, missing=missing, failure=reason)
