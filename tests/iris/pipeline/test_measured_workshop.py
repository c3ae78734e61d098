"""What a node counts of its clips and of the ends of events."""

from __future__ import annotations

import pytest

from iris.base.errors import StorageError
from iris.contracts.events import AssembleClip, ClipResult, EventRef, TimeRange
from iris.pipeline.measured_workshop import MeasuredWorkshop
from iris.ports import ProgressSink
from tests.fakes.clip_workshop import FakeClipWorkshop
from tests.fakes.clock import SimulatedClock

EVENT, CAMERA, NODE = "0192f0a0-0000-7000-8000-0000000000ee", "0192f0a0-0000-7000-8000-0000000000cc", "node"
S = 1_000_000
REQUEST = AssembleClip(EVENT, CAMERA, 0, 20 * S)


class SlowWorkshop(FakeClipWorkshop):
    """Takes 700 ms for each clip."""

    def __init__(self, clock: SimulatedClock) -> None:
        super().__init__()
        self.clock = clock

    def assemble(self, request: AssembleClip, progress: ProgressSink) -> ClipResult:
        self.clock.advance_us(700_000)
        return super().assemble(request, progress)


def test_clips_are_measured_when_they_are_made() -> None:
    clock = SimulatedClock()
    behind = SlowWorkshop(clock)
    workshop = MeasuredWorkshop(behind, clock, lambda _event_id: False)
    behind.errors = [StorageError("the disk is full")]
    with pytest.raises(StorageError):
        workshop.assemble(REQUEST, lambda *_: None)
    workshop.assemble(REQUEST, lambda *_: None)
    behind.gap = TimeRange(5 * S, 8 * S, "camera_offline")
    workshop.assemble(REQUEST, lambda *_: None)
    figures = workshop.figures()
    assert (figures["clip_count"], figures["clip_missing_seconds"]) == (2, 3.0)
    assert figures["clip_seconds"] == pytest.approx(1.4)
    assert (figures["clip_within_0.5"], figures["clip_within_1"], figures["clip_within_300"]) == (0, 2, 2)


def test_end_of_an_event_counts_once_by_its_state_when_a_step_is_done_twice() -> None:
    ended: set[str] = set()
    behind = FakeClipWorkshop()
    workshop = MeasuredWorkshop(behind, SimulatedClock(), lambda event_id: event_id in ended)
    for state in ("ready", "failed", "deleted", ""):
        ref = EventRef(f"{EVENT}-{state}", CAMERA, NODE, state)
        for _ in range(2):
            (workshop.discard if state == "deleted" else workshop.release)(ref)
            ended.add(ref.event_id)
    assert workshop.figures() == {
        "terminal_ready": 1,
        "terminal_failed": 1,
        "terminal_deleted": 1,
        "terminal_unknown": 1,
    }
    assert len(behind.released) == 6
    assert len(behind.discarded) == 2
