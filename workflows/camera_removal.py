"""The steps that remove everything of a camera, for its deletion and for a changed address; no workflow by itself.

Every step may be done again: whatever is cut off at any point is taken up from the beginning and finds less to do.
What was there is counted before anything of it goes, and kept with the operation. Nothing fails for good: a step
that is refused is shown and tried again, since a half-removed camera is of no use to anybody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from iris.contracts import camera_removal_activities as activities
    from iris.contracts import names, policies
    from iris.contracts.camera_removal import (
        CameraEventsPage,
        CameraRef,
        CameraRemovalStart,
        KnownEvents,
        NodeEvent,
        RemovalEnd,
        SurveyNote,
    )
    from iris.contracts.events import END_STOPPED, KIND_CLOSED, EventMessage
    from workflows import failures
    from workflows import operation_steps as steps

_TURN_PAUSE: Final = timedelta(seconds=2)
_REMAINS_PAUSE: Final = timedelta(seconds=2)
# Above any number that a camera process gives out, so that the event's workflow takes it for the newest.
_LAST_SEQ: Final = 1_000_000_000

A = TypeVar("A")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a step runs, and for how long at most."""

    queue: str
    timeout: timedelta
    heartbeat: timedelta | None = None


_IRIS: Final = _Place(names.QUEUE_IRIS, policies.RECORD_TIMEOUT)


class CameraRemoval:
    """One removal; a workflow makes it and calls `run`."""

    def __init__(self, start: CameraRemovalStart, kind: str) -> None:
        self._start = start
        self._kind = kind
        self._ref = CameraRef(start.camera_id)
        self._node_ids: tuple[str, ...] = ()
        self._unfinished: dict[str, NodeEvent] = {}
        self._lines: dict[str, str] = {}
        self._pages = 0

    @property
    def node_ids(self) -> tuple[str, ...]:
        """Nodes that may hold something of the camera; known once `run` goes on from its first step."""
        return self._node_ids

    async def run(self) -> RemovalEnd:
        """Remove, look, and again until a look finds nothing; then the certificate."""
        steps.show_kind(self._kind, "running", self._start.camera_id)
        await self._wait_for_turn()
        while True:
            await self._remove()
            if not await self._remains():
                end = await self._do(_IRIS, activities.finish_camera_removal, self._start, "Write the certificate")
                if end.remaining == 0:
                    break
                self._tell("look", f"{end.remaining} rows are still there; they are removed next")
            await self._pause(_REMAINS_PAUSE, "Something came meanwhile: remove it too")
        steps.show_state("done")
        self._tell("look", f"nothing is left; {end.summary}")
        return end

    async def on_node(self, node_id: str, step: Callable[[CameraRef], R], summary: str) -> R:
        """One short step about the camera on a node."""
        return await self._do(_node(node_id, policies.CAMERA_STEP_TIMEOUT), step, self._ref, summary)

    async def _remove(self) -> None:
        """Everything of a camera, one class after the other.

        The one list of what a camera leaves behind: whatever else comes to be kept about cameras is removed by a step
        of its own here, after the rows of events (so that nothing new refers to it) and before the files of the nodes.
        """
        steps: tuple[Callable[[], Awaitable[None]], ...] = (
            # What runs ends its open events, and their pins go with them: counted before and after.
            self._survey,
            self._stop_processes,
            self._survey,
            self._entomb_what_nodes_know,
            self._entomb_rows,
            self._purge_event_files,
            self._end_event_workflows,
            self._purge_nodes,
        )
        for step in steps:
            await step()

    async def _wait_for_turn(self) -> None:
        """Removals of one camera follow one another in the order in which they were asked for."""
        while True:
            plan = await self._do(_IRIS, activities.begin_camera_removal, self._start, "Find out where to look")
            if plan.waits_for is None:
                self._node_ids = plan.node_ids
                return
            self._tell("turn", "waits for an earlier removal of the same camera")
            await self._pause(_TURN_PAUSE, "An earlier removal of this camera goes first")

    async def _stop_processes(self) -> None:
        for node_id in self._node_ids:
            self._tell("process", "stopping the camera; waits while its host is down")
            await self.on_node(node_id, activities.stop_camera, "Stop the camera process for good")
        self._tell("process", "the camera process has ended")

    async def _survey(self) -> None:
        for node_id in self._node_ids:
            survey = await self._do(_long(node_id), activities.survey_camera, self._ref, "Count what is there")
            note = SurveyNote(self._start.operation_id, node_id, survey)
            await self._do(_IRIS, activities.note_camera_survey, note, "Keep the counts")

    async def _entomb_what_nodes_know(self) -> None:
        """First, so that an event which is only in a node's outbox cannot get a row while rows are removed."""
        for node_id in self._node_ids:
            page = CameraEventsPage(self._start.camera_id)
            while True:
                place = _node(node_id, policies.CAMERA_STEP_TIMEOUT)
                found = await self._do(place, activities.list_camera_events, page, "List events the host knows")
                if not found.events:
                    break
                self._unfinished |= {event.event_id: event for event in found.events}
                known = KnownEvents(self._start.operation_id, self._start.camera_id, found.events)
                await self._do(_IRIS, activities.entomb_known_events, known, "Keep late messages away")
                # The relay bounds how many these are; a new run would only begin with them again.
                page = CameraEventsPage(self._start.camera_id, found.events[-1].event_id)

    async def _entomb_rows(self) -> None:
        count = 0
        while True:
            page = await self._do(_IRIS, activities.entomb_camera_events, self._start, "Remove a page of events")
            self._unfinished |= {event.event_id: event for event in page.unfinished}
            count += page.count
            self._tell("events", f"{count} events removed from lists")
            if not page.more:
                return
            await self._go_on_in_a_new_run()

    async def _purge_event_files(self) -> None:
        """Clips, thumbnails and pins of each removed event, on whichever node they are."""
        self._tell("files", "removing the files of events; waits while their host is down")
        while not await steps.remove_files(self._start.operation_id):
            await self._go_on_in_a_new_run()
        self._tell("files", "the files of all events are gone")

    async def _end_event_workflows(self) -> None:
        """Tell the workflows of unfinished events: whatever they write next is refused, and they end.

        Without it one whose camera will never send another message would wait for as long as an event may last.
        """
        waiting, self._unfinished = self._unfinished, {}
        for event in waiting.values():
            handle = workflow.get_external_workflow_handle(names.event_workflow_id(event.event_id))
            try:
                await handle.signal(names.SIGNAL_EVENT_MESSAGE, self._last_message(event))
            except FailureError as error:
                if is_cancelled_exception(error):
                    raise
                # There is none, or it has ended: that is what is wanted.

    def _last_message(self, event: NodeEvent) -> EventMessage:
        return EventMessage(
            kind=KIND_CLOSED,
            event_id=event.event_id,
            camera_id=self._start.camera_id,
            node_id=event.node_id,
            seq=_LAST_SEQ,
            started_us=event.started_us,
            last_seen_us=event.last_seen_us,
            window_start_us=event.started_us,
            window_end_us=event.last_seen_us,
            end_reason=END_STOPPED,
        )

    async def _purge_nodes(self) -> None:
        for node_id in self._node_ids:
            self._tell("host", "removing the camera's folders; waits while its host is down")
            await self._do(_long(node_id), activities.purge_camera, self._ref, "Remove the camera's files and marks")

    async def _remains(self) -> bool:
        """Whether a look at every host still finds something."""
        left = False
        for node_id in self._node_ids:
            found = await self.on_node(node_id, activities.look_for_remains, "Look whether anything is left")
            if found.count:
                left = True
                self._tell("look", f"{found.count} left, such as {', '.join(found.examples)}")
        return left

    async def _go_on_in_a_new_run(self) -> None:
        """A long history is left behind after a number of pages: every step finds by itself where it was."""
        self._pages += 1
        if self._pages >= self._start.pages_per_run:
            await self._end_event_workflows()
            workflow.continue_as_new(self._start)

    async def _do(self, place: _Place, step: Callable[[A], R], argument: A, summary: str) -> R:
        """One activity, until it succeeds: what it refuses for good is shown and tried again every minute."""
        while True:
            try:
                done = await workflow.execute_activity(
                    step,
                    argument,
                    task_queue=place.queue,
                    start_to_close_timeout=place.timeout,
                    heartbeat_timeout=place.heartbeat,
                    retry_policy=policies.RETRY,
                    summary=summary,
                )
                self._lines.pop("refused", None)
                return done
            except ActivityError as error:
                self._tell("refused", f"{summary}: {failures.reason_of(error, str(error))}")
            await self._pause(policies.REFUSED_PAUSE, "It was refused: see the details; tried again in a minute")

    async def _pause(self, length: timedelta, summary: str) -> None:
        await workflow.sleep(length, summary=summary)
        if workflow.info().is_continue_as_new_suggested():  # it has been waiting for days
            workflow.continue_as_new(self._start)

    def _tell(self, step: str, line: str) -> None:
        """One line per step, for who looks at the workflow now; the newest of each stays."""
        self._lines[step] = line
        workflow.set_current_details("\n\n".join(self._lines.values()))


def _node(node_id: str, timeout: timedelta) -> _Place:
    return _Place(names.node_queue(node_id), timeout)


def _long(node_id: str) -> _Place:
    """A step over many files."""
    return _Place(names.node_queue(node_id), policies.PURGE_TIMEOUT, policies.HEARTBEAT_TIMEOUT)
