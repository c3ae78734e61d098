"""The relay against a Temporal in memory: order, independence, outages, refusals, lost databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from iris.base.ids import CameraId
from iris.contracts.events import EventMessage
from iris.outbox.marks import RelayMarks
from iris.outbox.relay import Relay, RelayTiming
from tests.builders.event_messages import CAMERA, EVENT, US, closed, opened, updated
from tests.fakes.clock import SimulatedClock
from tests.fakes.outbox import FakeOutbox
from tests.fakes.workflow_starter import FakeStarter

OTHER_EVENT = "0192f0a0-0000-7000-8000-0000000000ee"
OTHER_CAMERA = "0192f0a0-0000-7000-8000-0000000000cc"
START_US = 1_700_000_000 * US
TIMING = RelayTiming(interval_s=0.01)


class Scene:
    """A relay with everything around it."""

    def __init__(self, folder: Path) -> None:
        self.outbox = FakeOutbox()
        self.starter = FakeStarter()
        self.marks = RelayMarks(folder / "relay.db")
        self.clock = SimulatedClock(wall_us=START_US)

    @asynccontextmanager
    async def running(self, timing: RelayTiming = TIMING) -> AsyncIterator[Relay]:
        relay = Relay(self.outbox, self.starter, self.marks, self.clock, timing=timing, jitter=lambda: 0.5)
        task = asyncio.create_task(relay.run())
        try:
            yield relay
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.marks.close()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.002)


async def test_relay_delivers_rows_in_order_when_they_are_written_one_by_one(scene: Scene) -> None:
    first = opened(START_US)
    async with scene.running() as relay:
        for message in (first, second := updated(first), closed(second)):
            scene.outbox.write(message)
            relay.notify()
            await until(lambda wanted=message: scene.starter.delivered[-1:] == [wanted])  # type: ignore[misc]  # bound now
    assert scene.starter.kinds(EVENT) == ["opened", "updated", "closed"]


async def test_relay_sends_only_the_newest_message_when_several_wait(scene: Scene) -> None:
    first = opened(START_US)
    last = closed(updated(first))
    scene.outbox.write(first, updated(first), last)
    async with scene.running() as relay:
        await until(lambda: relay.figures().depth == 0 and bool(scene.starter.delivered))
    assert scene.starter.delivered == [last]


async def test_relay_delivers_nothing_twice_when_restarted(scene: Scene) -> None:
    scene.outbox.write(opened(START_US))
    async with scene.running():
        await until(lambda: len(scene.marks.unfinished_events()) == 1)
    scene.outbox.write(closed(opened(START_US)))
    async with scene.running():
        await until(lambda: len(scene.starter.delivered) == 2)
    assert scene.starter.kinds(EVENT) == ["opened", "closed"]


async def test_relay_keeps_everything_and_backs_off_when_temporal_is_away(scene: Scene) -> None:
    scene.starter.away = True
    scene.outbox.write(opened(START_US), opened(START_US, event_id=OTHER_EVENT, camera_id=OTHER_CAMERA))
    async with scene.running() as relay:
        await until(lambda: not relay.figures().available)
        scene.clock.advance_s(0.9)  # the first retry is due after a second, whoever calls
        calls = scene.starter.calls
        for _ in range(20):
            relay.notify()
            await asyncio.sleep(0)
        await until(lambda: relay.figures().depth == 2)
        assert scene.starter.calls == calls
        assert relay.figures().oldest_age_s == pytest.approx(0.9)
        scene.starter.away = False
        scene.clock.advance_s(0.2)
        await until(lambda: relay.figures().depth == 0)
        assert len(scene.starter.delivered) == 2
        assert relay.figures().available


async def test_relay_goes_on_with_other_events_when_one_cannot_be_delivered_now(scene: Scene) -> None:
    scene.starter.busy.add(EVENT)
    scene.outbox.write(opened(START_US), opened(START_US, event_id=OTHER_EVENT, camera_id=OTHER_CAMERA))
    async with scene.running() as relay:
        await until(lambda: scene.starter.kinds(OTHER_EVENT) == ["opened"])
        assert relay.figures().available
        scene.starter.busy.clear()
        await until(lambda: relay.figures().depth == 1)
        scene.clock.advance_s(1.1)
        await until(lambda: scene.starter.kinds(EVENT) == ["opened"])


async def test_relay_serves_cameras_in_turns_when_one_of_them_has_many_events(scene: Scene) -> None:
    scene.starter.away = True
    for number in range(20):
        scene.outbox.write(opened(START_US, event_id=f"{EVENT[:-2]}{number:02d}"))
    for number in range(3):
        scene.outbox.write(opened(START_US, event_id=f"{OTHER_EVENT[:-2]}f{number}", camera_id="f" + OTHER_CAMERA[1:]))
    async with scene.running(RelayTiming(interval_s=0.01, slots=1)) as relay:
        await until(lambda: relay.figures().depth == 23)
        scene.starter.away = False
        scene.clock.advance_s(30)
        await until(lambda: len(scene.starter.delivered) == 23)
    served = [message.camera_id == CAMERA for message in scene.starter.delivered]
    # Each in its turn until the quiet camera is through; which of them is first does not matter.
    assert served[:6] in ([True, False] * 3, [False, True] * 3)


async def test_relay_buries_a_message_with_its_reason_when_it_is_refused_for_good(scene: Scene) -> None:
    scene.starter.refused.add(EVENT)
    scene.outbox.write(opened(START_US), opened(START_US, event_id=OTHER_EVENT, camera_id=OTHER_CAMERA))
    async with scene.running() as relay:
        await until(lambda: relay.figures().dead_letters == 1 and relay.figures().depth == 0)
        assert relay.figures().alarm is not None
        assert scene.starter.kinds(OTHER_EVENT) == ["opened"]
    [letter] = scene.marks.dead_letters()
    assert (letter.event_id, letter.seq, letter.reason) == (EVENT, 1, "Temporal refused it: too large")
    calls = scene.starter.calls
    async with scene.running() as relay:  # a restart does not try it again
        scene.outbox.write(opened(START_US, event_id=OTHER_EVENT[:-1] + "f", camera_id=OTHER_CAMERA))
        await until(lambda: scene.starter.calls > calls)
    assert scene.starter.calls == calls + 1


async def test_relay_parks_nothing_and_alarms_when_it_is_locked_out(scene: Scene) -> None:
    scene.starter.locked_out = True
    scene.outbox.write(opened(START_US))
    async with scene.running() as relay:
        await until(lambda: relay.figures().alarm is not None)
        assert scene.marks.dead_letters() == []
        assert relay.figures().depth == 1
        scene.starter.locked_out = False
        scene.clock.advance_s(301)
        await until(lambda: relay.figures().alarm is None)
        assert scene.starter.kinds(EVENT) == ["opened"]


async def test_relay_delivers_unfinished_events_anew_when_temporal_lost_its_database(scene: Scene) -> None:
    first = opened(START_US)
    finished = opened(START_US, event_id=OTHER_EVENT, camera_id=OTHER_CAMERA)
    scene.outbox.write(first, closed(first), finished)
    async with scene.running():
        await until(lambda: len(scene.marks.unfinished_events()) == 2)
        scene.marks.mark_terminal(OTHER_EVENT, CameraId(OTHER_CAMERA), START_US)
        scene.starter.forget_everything()
        scene.clock.advance_s(61)  # nothing is written meanwhile: the audit notices by itself
        await until(lambda: bool(scene.starter.delivered))
    assert scene.starter.delivered == [closed(first)]


async def test_relay_drops_the_mark_of_an_event_without_rows_when_it_audits(scene: Scene) -> None:
    # What is left where an answer was lost: the event ended and was forgotten, then its delivery was made again.
    scene.marks.mark_delivered(closed(opened(START_US)))
    scene.marks.mark_delivered(closed(opened(START_US, event_id=OTHER_EVENT, camera_id=OTHER_CAMERA)))
    scene.outbox.write(opened(START_US, event_id=OTHER_EVENT, camera_id=OTHER_CAMERA))
    scene.starter.known = {EVENT, OTHER_EVENT}
    async with scene.running():
        await until(lambda: len(scene.marks.unfinished_events()) == 1)
    assert scene.marks.unfinished_events() == [(OTHER_CAMERA, OTHER_EVENT)]


async def test_relay_reads_other_cameras_when_one_file_is_broken(scene: Scene) -> None:
    scene.outbox.write(opened(START_US), opened(START_US, event_id=OTHER_EVENT, camera_id=OTHER_CAMERA))
    scene.outbox.unreadable.add(CAMERA)
    async with scene.running():
        await until(lambda: scene.starter.kinds(OTHER_EVENT) == ["opened"])
        scene.outbox.unreadable.clear()
        await until(lambda: scene.starter.kinds(EVENT) == ["opened"])


async def test_relay_reads_a_file_that_was_made_anew_when_row_numbers_start_again(scene: Scene) -> None:
    for number in range(3):
        scene.outbox.write(opened(START_US, event_id=OTHER_EVENT[:-1] + str(number)))
    async with scene.running():
        await until(lambda: len(scene.starter.delivered) == 3)
        scene.outbox.rows[CAMERA] = [(1, opened(START_US))]
        scene.clock.advance_s(61)
        await until(lambda: scene.starter.kinds(EVENT) == ["opened"])


async def test_relay_reads_no_further_when_its_bound_is_reached(scene: Scene) -> None:
    scene.starter.away = True
    for number in range(5):
        scene.outbox.write(
            opened(START_US, event_id=OTHER_EVENT[:-1] + str(number), camera_id=OTHER_CAMERA[:-1] + str(number))
        )
    async with scene.running(RelayTiming(interval_s=0.01, most_pending=2)) as relay:
        await until(lambda: not relay.figures().available)
        assert relay.figures().depth <= 2
        scene.starter.away = False
        scene.clock.advance_s(2)
        await until(lambda: len(scene.starter.delivered) == 5)


async def test_relay_hands_refused_messages_over_again_when_a_person_asks_for_it(scene: Scene) -> None:
    scene.starter.refused.add(EVENT)
    first = opened(START_US)
    scene.outbox.write(first)
    async with scene.running() as relay:
        await until(lambda: relay.figures().dead_letters == 1)
        scene.starter.refused.clear()
        assert await relay.retry_dead_letters() == 1
        await until(lambda: scene.starter.delivered == [first])
        assert (relay.figures().dead_letters, relay.figures().alarm) == (0, None)
        assert await relay.retry_dead_letters() == 0
    assert scene.marks.dead_letters() == []


async def test_forgotten_camera_leaves_nothing_and_its_next_file_is_read_from_the_beginning(scene: Scene) -> None:
    camera = CameraId(CAMERA)
    scene.outbox.write(first := opened(START_US))
    other = opened(START_US, event_id=OTHER_EVENT, camera_id=OTHER_CAMERA)
    async with scene.running() as relay:
        await until(lambda: scene.starter.delivered == [first])
        scene.starter.busy = {OTHER_EVENT}
        late = opened(START_US, event_id="0192f0a0-0000-7000-8000-0000000000e2")
        scene.starter.busy.add(late.event_id)
        scene.outbox.write(late, other)
        await until(lambda: relay.figures().depth == 2)
        scene.marks.mark_dead(late, "refused", 1)
        # Its own file goes first, as the removal does it.
        del scene.outbox.rows[CAMERA]
        await relay.forget_camera(camera)
        assert relay.figures().depth == 1, "what waits of the other camera goes on waiting"
        assert scene.marks.events_of(camera) == []
        assert relay.figures().dead_letters == 0
        # The camera runs again: its new file numbers its rows from one.
        again = opened(START_US, event_id="0192f0a0-0000-7000-8000-0000000000e3")
        scene.outbox.write(again)
        await until(lambda: scene.starter.delivered == [first, again])


async def test_forgotten_camera_has_no_mark_of_a_delivery_that_was_under_way(scene: Scene) -> None:
    held, going = asyncio.Event(), asyncio.Event()
    deliver = scene.starter.deliver

    async def slow(message: EventMessage) -> None:
        going.set()
        await held.wait()
        await deliver(message)

    scene.starter.deliver = slow  # type: ignore[method-assign]  # a Temporal that takes its time
    scene.outbox.write(opened(START_US))
    async with scene.running() as relay:
        await asyncio.wait_for(going.wait(), 10)
        del scene.outbox.rows[CAMERA]
        forgetting = asyncio.create_task(relay.forget_camera(CameraId(CAMERA)))
        await until(lambda: relay.figures().depth == 0)
        assert not forgetting.done(), "it waits for what is under way"
        held.set()
        await asyncio.wait_for(forgetting, 10)
        assert scene.marks.events_of(CameraId(CAMERA)) == []
