"""Activities in the SDK's environment: run twice, cancelled midway, cut by a worker that stops, errors told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import pytest
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import ActivityEnvironment

from activities.clips import ClipActivities
from activities.events import EventActivities
from activities.heartbeat import errors_told
from iris.base import errors
from iris.contracts.events import AssembleClip, EventRef, FinaliseEvent
from tests.builders.event_messages import CAMERA, EVENT, NODE, US, closed, opened
from tests.fakes.clip_workshop import FakeClipWorkshop
from tests.fakes.clock import SimulatedClock
from tests.fakes.event_records import FakeEventRecords

FIRST = opened(1_700_000_000 * US)
LAST = closed(FIRST)
REF = EventRef(EVENT, CAMERA, NODE)


def request(clock: SimulatedClock, *, ends_in_s: float = 0.0) -> AssembleClip:
    end_us = clock.wall_us() + round(ends_in_s * US)
    return AssembleClip(EVENT, CAMERA, end_us - 10 * US, end_us)


def all_errors(base: type[errors.IrisError] = errors.IrisError) -> list[type[errors.IrisError]]:
    """Of the catalogue; errors that a module keeps for itself may want more than a sentence."""
    kinds = [base, *(kind for child in base.__subclasses__() for kind in all_errors(child))]
    return [kind for kind in kinds if kind.__module__ == errors.__name__]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.code)
def test_error_becomes_a_failure_with_its_code_when_told(kind: type[errors.IrisError]) -> None:
    with pytest.raises(ApplicationError) as caught, errors_told():
        raise kind("rtsp://someone:secret@camera/1 does not answer")
    assert caught.value.type == kind.code
    assert caught.value.non_retryable is not kind.retryable
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_record_and_finalise_change_nothing_when_run_twice() -> None:
    records = FakeEventRecords()
    activities = EventActivities(records)
    workshop = FakeClipWorkshop()
    clock = SimulatedClock(wall_us=LAST.last_seen_us)
    clip = ActivityEnvironment().run(ClipActivities(workshop, clock).assemble_clip, request(clock))
    final = FinaliseEvent(LAST, clip, None)
    for _ in range(2):
        assert not ActivityEnvironment().run(activities.record_event, FIRST).terminal
    for _ in range(2):
        assert ActivityEnvironment().run(activities.finalise_event, final).state == "ready"
    assert ActivityEnvironment().run(activities.record_event, FIRST).terminal
    assert records.finalised == [final]


def test_node_activities_answer_the_same_when_run_twice() -> None:
    clock = SimulatedClock()
    workshop = FakeClipWorkshop()
    workshop.abandoned = LAST
    activities = ClipActivities(workshop, clock)
    wanted = request(clock)
    assert len({ActivityEnvironment().run(activities.assemble_clip, wanted) for _ in range(2)}) == 1
    assert len({ActivityEnvironment().run(activities.publish_thumbnail, REF) for _ in range(2)}) == 1
    assert {ActivityEnvironment().run(activities.close_abandoned_event, REF).message for _ in range(2)} == {LAST}
    for _ in range(2):
        ActivityEnvironment().run(activities.release_event, REF)


class Waiting:
    """An assembly in a thread of its own, with its heartbeats."""

    def __init__(self, workshop: FakeClipWorkshop, clock: SimulatedClock, *, ends_in_s: float = 0.0) -> None:
        self._workshop = workshop
        self.environment = ActivityEnvironment()
        self.beats: list[tuple[object, ...]] = []
        self.beaten = threading.Semaphore(0)
        self.environment.on_heartbeat = self._beat
        activities = ClipActivities(workshop, clock)
        self._pool = ThreadPoolExecutor(1)
        self.result: Future[object] = self._pool.submit(
            self.environment.run, activities.assemble_clip, request(clock, ends_in_s=ends_in_s)
        )
        self._pool.shutdown(wait=False)

    def _beat(self, *details: object) -> None:
        self.beats.append(details)
        self.beaten.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        """A failed test must not leave a thread behind that waits for ever."""
        self._workshop.hold.set()
        self.environment.worker_shutdown()

    def wait_for_beats(self, count: int) -> None:
        for _ in range(count):
            assert self.beaten.acquire(timeout=10), "no heartbeat"


def settle(workshop: FakeClipWorkshop, _clock: SimulatedClock) -> None:
    workshop.is_settled = True


def lose_patience(_workshop: FakeClipWorkshop, clock: SimulatedClock) -> None:
    clock.advance_s(15.1)


def lose_all_patience(_workshop: FakeClipWorkshop, clock: SimulatedClock) -> None:
    clock.advance_s(60.1)


@pytest.mark.parametrize(
    ("ends_in_s", "then"),
    [
        (0.0, settle),  # the segment with the window's end was published
        (0.0, lose_patience),  # it never came: what is there has to do
        (86_400.0, lose_all_patience),  # the wall clock was set back: the wait is bounded all the same
    ],
)
def test_assembly_waits_with_heartbeats_until_settled_or_out_of_patience_when_asked(
    ends_in_s: float, then: Callable[[FakeClipWorkshop, SimulatedClock], None]
) -> None:
    clock, workshop = SimulatedClock(), FakeClipWorkshop()
    workshop.is_settled = False
    with Waiting(workshop, clock, ends_in_s=ends_in_s) as waiting:
        waiting.wait_for_beats(2)
        assert workshop.assembled == []
        then(workshop, clock)
        waiting.result.result(10)
    assert len(workshop.assembled) == 1


def test_assembly_waits_not_at_all_when_it_is_asked_an_hour_late() -> None:
    clock, workshop = SimulatedClock(), FakeClipWorkshop()
    workshop.is_settled = False
    with Waiting(workshop, clock, ends_in_s=-3600) as waiting:
        waiting.result.result(10)
    assert waiting.beats == []


def test_assembly_publishes_nothing_when_cancelled_midway() -> None:
    clock, workshop = SimulatedClock(), FakeClipWorkshop()
    workshop.hold.clear()
    with Waiting(workshop, clock) as waiting:
        waiting.wait_for_beats(1)
        waiting.environment.cancel()
        with pytest.raises(CancelledError):
            waiting.result.result(10)
    assert workshop.published == {}
    with Waiting(workshop, clock) as again:
        again.result.result(10)
    assert list(workshop.published) == [EVENT]


def test_assembly_is_handed_back_when_the_worker_stops_while_it_waits() -> None:
    clock, workshop = SimulatedClock(), FakeClipWorkshop()
    workshop.is_settled = False
    with Waiting(workshop, clock) as waiting:
        waiting.wait_for_beats(1)
        waiting.environment.worker_shutdown()
        with pytest.raises(ApplicationError) as caught:
            waiting.result.result(10)
    assert not caught.value.non_retryable
    assert workshop.assembled == []
