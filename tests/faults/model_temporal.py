"""Temporal's delivery for the event model: at least once, in any order, with lost answers - and nothing more.

Signals wait in an inbox from which any may come first, and may come again; a step of a workflow may be done twice, as
an activity is whose answer was lost. The steps and their order are those of `workflows.event`; which message counts is
decided by its own handler.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from iris.base.errors import UnavailableError
from iris.contracts.events import (
    KIND_CLOSED,
    STATE_DELETED,
    AssembleClip,
    ClipResult,
    EventMessage,
    EventRef,
    EventStart,
    FinaliseEvent,
    ThumbnailResult,
)
from iris.pipeline.clip_workshop import NodeClipWorkshop
from iris.ports import Clock
from iris.store.event_records import StoreEventRecords
from workflows.event import EventWorkflow

# As in `activities.clips`: so long after the window's end, and never longer than this, is waited for a segment.
_PATIENCE_US, _LONGEST_WAIT_US = 15_000_000, 60_000_000


@dataclass
class Hands:
    """What the activities work with; replaced when the node starts anew."""

    records: StoreEventRecords
    workshop: NodeClipWorkshop
    clock: Clock


@dataclass
class Run:
    """One workflow."""

    workflow: EventWorkflow
    ref: EventRef
    inbox: list[EventMessage] = field(default_factory=list)
    recorded_seq: int = 0
    waits_since_us: int = 0  # monotonic, for its last segment
    step: str = "follow"
    clip: ClipResult | None = None
    thumbnail: ThumbnailResult = field(default_factory=ThumbnailResult)

    @property
    def done(self) -> bool:
        """Whether it has completed."""
        return self.step == "done"

    @property
    def newest(self) -> EventMessage | None:
        """What its handler took last."""
        return self.workflow._newest

    def request(self) -> AssembleClip:
        """What the clip is asked for with."""
        closed = self.newest
        assert closed is not None
        end_us = closed.last_seen_us if closed.window_end_us is None else closed.window_end_us
        return AssembleClip(self.ref.event_id, self.ref.camera_id, closed.window_start_us, end_us)


class ModelTemporal:
    """Implements `iris.ports.WorkflowStarter` for the relay, and does the workflows' steps when told to."""

    def __init__(self) -> None:
        self.up = True
        self.answers_to_lose = 0
        self.runs: dict[str, Run] = {}

    async def deliver(self, message: EventMessage) -> None:
        """Signal with start; a finished workflow of that id takes nothing and counts as delivered."""
        if not self.up:
            raise UnavailableError("Temporal is away")
        run = self.runs.get(message.event_id)
        if run is None:
            ref = EventRef(message.event_id, message.camera_id, message.node_id)
            workflow = EventWorkflow(EventStart(ref.event_id, ref.camera_id, ref.node_id))
            run = self.runs[message.event_id] = Run(workflow, ref)
        if not run.done:
            run.inbox.append(message)
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            raise UnavailableError("the answer was lost")

    async def knows(self, event_id: str) -> bool:
        """Whether there is such a workflow."""
        if not self.up:
            raise UnavailableError("Temporal is away")
        return event_id in self.runs

    def advance(self, hands: Hands, pick: int, *, again: bool) -> bool:
        """Do one step of one workflow, twice with `again`; whether there was anything to do."""
        ready = [run for run in self.runs.values() if self._has_work(run, hands)] if self.up else []
        if not ready:
            return False
        run = ready[pick % len(ready)]
        if run.inbox:
            message = run.inbox[pick % len(run.inbox)]
            run.workflow.message(message)
            if not again:
                run.inbox.remove(message)
            return True
        for _ in range(2 if again else 1):
            following = self._do(run, hands)
        if following == "assemble":
            run.waits_since_us = hands.clock.monotonic_us()
        run.step = following
        return True

    def _has_work(self, run: Run, hands: Hands) -> bool:
        if run.done:
            return False
        if run.inbox:
            return True
        if run.step == "follow":
            return run.newest is not None and run.newest.seq > run.recorded_seq
        if run.step == "assemble":
            late = hands.clock.wall_us() > run.request().window_end_us + _PATIENCE_US
            long = hands.clock.monotonic_us() - run.waits_since_us > _LONGEST_WAIT_US
            return late or long or hands.workshop.settled(run.request())
        return True

    def _do(self, run: Run, hands: Hands) -> str:
        """The step that comes next; the one after it."""
        newest = run.newest
        assert newest is not None
        match run.step:
            case "follow":
                recorded = hands.records.record(newest)
                run.recorded_seq = newest.seq
                if recorded.terminal:
                    return "discard" if recorded.state == STATE_DELETED else "release"
                return "assemble" if newest.kind == KIND_CLOSED else "follow"
            case "assemble":
                run.clip = hands.workshop.assemble(run.request(), _quiet)
                return "thumbnail"
            case "thumbnail":
                run.thumbnail = hands.workshop.publish_thumbnail(run.ref)
                return "finalise"
            case "finalise":
                assert run.clip is not None
                written = hands.records.finalise(FinaliseEvent(newest, run.clip, run.thumbnail.path))
                return "discard" if written.state == STATE_DELETED else "release"
            case "discard":
                hands.workshop.discard(run.ref)
            case "release":
                hands.workshop.release(run.ref)
        return "done"


def _quiet(step: str, done: int, total: int) -> None:
    """Nobody listens."""
