"""Hands the outbox rows of this node's cameras over to Temporal: per event in order, never lost, never parked.

Each message is complete, so of several waiting messages of one event only the newest is sent. Events do not wait for
one another, nor cameras for one with many; only when Temporal itself is away does everything wait. Belongs to one
event loop; files are read and written in threads. Victim of its bound: none - beyond `most_pending` events it reads no
further until some are sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from iris.base.backoff import backoff_delay_s
from iris.base.errors import ConfigError, InputError, IrisError, StorageError, UnavailableError
from iris.base.ids import CameraId
from iris.base.log import get_logger
from iris.base.timebase import US_PER_S, seconds_to_us
from iris.contracts.events import EventMessage
from iris.outbox.marks import RelayMarks
from iris.ports import Clock, OutboxReader, WorkflowStarter

_PAGE_ROWS = 500


@dataclass(frozen=True, slots=True)
class RelayTiming:
    """How often the relay looks and how long it waits.

    `interval_s` is for rows nobody told it of; `audit_s` is how often it asks whether Temporal still knows what was
    delivered; the others bound the delays between tries.
    """

    interval_s: float = 0.5
    audit_s: float = 60.0
    first_retry_s: float = 1.0
    most_away_s: float = 10.0
    most_alarm_s: float = 300.0
    slots: int = 4
    most_pending: int = 20_000


@dataclass(frozen=True, slots=True)
class RelayFigures:
    """What `/health` and the node's row show.

    `oldest_age_s` counts from when the oldest undelivered message's object was last seen (0 with nothing waiting),
    so it is right over restarts too. `alarm` is a sentence where a person has to act.
    """

    depth: int
    oldest_age_s: float
    dead_letters: int
    available: bool
    alarm: str | None


@dataclass(slots=True)
class _Pending:
    """What waits of one event. `due_us` is monotonic."""

    newest: EventMessage
    oldest_us: int
    seqs: set[int] = field(default_factory=set)
    attempt: int = 0
    due_us: int = 0
    in_flight: bool = False


class Relay:
    """Run `run` as a task; `notify` whenever a camera may have written rows."""

    def __init__(
        self,
        outbox: OutboxReader,
        starter: WorkflowStarter,
        marks: RelayMarks,
        clock: Clock,
        *,
        timing: RelayTiming | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._outbox = outbox
        self._starter = starter
        self._marks = marks
        self._clock = clock
        self._timing = timing or RelayTiming()
        self._jitter = jitter
        self._pending: dict[str, _Pending] = {}
        self._scanned: dict[CameraId, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = itertools.count(1)
        self._turns: dict[str, int] = {}  # of each camera, when it was served last
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        # A round has read rows that it has not added yet: what is forgotten must not come back by it.
        self._in_round = asyncio.Lock()
        self._away_attempt = 0
        self._resume_us = 0
        self._audit_due_us = 0
        self._dead_count = len(marks.dead_letters())
        self._alarm: str | None = None
        self._log = get_logger(part="relay")

    def notify(self) -> None:
        """There may be new rows. From any thread; cheap."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has just ended
                self._loop.call_soon_threadsafe(self._wake.set)

    def figures(self) -> RelayFigures:
        """Figures of this moment; called on the loop."""
        oldest_us = min((waiting.oldest_us for waiting in self._pending.values()), default=None)
        age_us = 0 if oldest_us is None else max(0, self._clock.wall_us() - oldest_us)
        alarm = self._alarm
        if alarm is None and self._dead_count:
            alarm = f"Temporal refused {self._dead_count} message(s) for good; see the log of the node."
        return RelayFigures(
            depth=sum(len(waiting.seqs) for waiting in self._pending.values()),
            oldest_age_s=age_us / US_PER_S,
            dead_letters=self._dead_count,
            available=self._away_attempt == 0,
            alarm=alarm,
        )

    async def run(self) -> None:
        """Deliver for ever; cancel it to stop. What was under way is delivered again by the next start."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._wake.clear()
                async with self._in_round:
                    await self._round()
                with contextlib.suppress(TimeoutError):
                    # Not wait_for: until Python 3.12 it can swallow a cancellation that comes with the bell.
                    async with asyncio.timeout(self._until_next_s()):
                        await self._wake.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _round(self) -> None:
        now_us = self._clock.monotonic_us()
        try:
            if now_us >= self._audit_due_us and now_us >= self._resume_us:
                await self._audit()
            await self._scan()
        except StorageError as error:  # relay.db itself: nothing can be handed over, cameras go on
            self._log.error("relay cannot read or write its marks", error=error)
            self._go_away(error)
            return
        except (UnavailableError, ConfigError) as error:
            self._go_away(error)
            await self._scan()
        self._deliver_what_is_due()

    async def rebuild(self) -> None:
        """Ask Temporal for each delivered, unfinished event; then read the outbox again for what it does not know.

        An event without rows is finished: it came to its end while a delivery whose answer was lost was made again.

        Raises:
            UnavailableError, ConfigError: Temporal cannot be asked.
        """
        unfinished = await asyncio.to_thread(self._marks.unfinished_events)
        for camera_id, event_id in unfinished:
            if not await asyncio.to_thread(self._has_rows, camera_id, event_id):
                await asyncio.to_thread(self._marks.forget, [event_id])
                continue
            if await self._starter.knows(event_id):
                continue
            await asyncio.to_thread(self._marks.forget, [event_id])
            # Its database was lost, or somebody ended the workflow.
            self._log.warning("temporal lost an event, delivering it again", camera_id=camera_id, event_id=event_id)
        self._scanned.clear()
        if unfinished or not self._pending:
            self._came_back()

    def _has_rows(self, camera_id: CameraId, event_id: str) -> bool:
        try:
            return bool(self._outbox.rows_of_event(camera_id, event_id))
        except IrisError:  # said by the scan; as long as nobody can tell, the mark stays
            return True

    async def forget_camera(self, camera_id: CameraId) -> None:
        """Drop whatever waits of a camera whose own file is gone, and its marks; on the relay's event loop.

        Raises:
            StorageError: The marks cannot be written now.
        """
        async with self._in_round:
            self._scanned.pop(camera_id, None)
            for event_id in [e for e, waiting in self._pending.items() if waiting.newest.camera_id == camera_id]:
                del self._pending[event_id]
        # What is being handed over right now leaves its mark first.
        if self._tasks:
            await asyncio.wait(set(self._tasks))
        await asyncio.to_thread(self._marks.forget_camera, camera_id)
        self._dead_count = len(await asyncio.to_thread(self._marks.dead_letters))

    async def retry_dead_letters(self) -> int:
        """Hand over again what Temporal refused for good, as if it never had; answers how many messages.

        Raises:
            StorageError: The marks cannot be written now.
        """
        async with self._in_round:
            count = await asyncio.to_thread(self._marks.revive_dead_letters)
            self._dead_count = 0
            self._scanned.clear()
        self._wake.set()
        return count

    async def _audit(self) -> None:
        """What nobody tells: a Temporal database that was lost, a camera's file that was made anew."""
        await self.rebuild()
        self._audit_due_us = self._clock.monotonic_us() + seconds_to_us(self._timing.audit_s)

    async def _scan(self) -> None:
        for message in await asyncio.to_thread(self._read_new):
            self._add(message)

    def _read_new(self) -> list[EventMessage]:
        """New undelivered messages of all cameras; a file that cannot be read does not hold the others."""
        found: list[EventMessage] = []
        room = self._timing.most_pending - len(self._pending)
        for camera_id in self._outbox.camera_ids():
            while len(found) < room:
                try:
                    rows = self._outbox.rows_after(camera_id, self._scanned.get(camera_id, 0), _PAGE_ROWS)
                except IrisError as error:
                    self._log.error("outbox of a camera cannot be read", camera_id=camera_id, error=error)
                    break
                if not rows:
                    break
                found += self._marks.undelivered(rows)
                self._scanned[camera_id] = rows[-1][0]
        return found

    def _add(self, message: EventMessage) -> None:
        waiting = self._pending.get(message.event_id)
        if waiting is None:
            waiting = self._pending[message.event_id] = _Pending(message, message.last_seen_us)
        if message.seq > waiting.newest.seq:
            waiting.newest = message
        waiting.seqs.add(message.seq)

    def _deliver_what_is_due(self) -> None:
        """Start deliveries into free slots; a single one while it is not known whether Temporal is back."""
        slots = 1 if self._away_attempt else self._timing.slots
        while len(self._tasks) < slots and (waiting := self._next_due()) is not None:
            waiting.in_flight = True
            self._turns[waiting.newest.camera_id] = next(self._turn)
            task = asyncio.create_task(self._deliver(waiting))
            self._tasks.add(task)
            task.add_done_callback(self._delivery_ended)

    def _next_due(self) -> _Pending | None:
        """What waits longest of the camera whose turn is longest ago: a camera with many events holds no other up."""
        now_us = self._clock.monotonic_us()
        if now_us < self._resume_us:
            return None
        first: dict[str, _Pending] = {}
        for waiting in self._pending.values():
            if not waiting.in_flight and waiting.due_us <= now_us:
                first.setdefault(waiting.newest.camera_id, waiting)
        camera_id = min(first, key=lambda camera_id: self._turns.get(camera_id, 0), default=None)
        return None if camera_id is None else first[camera_id]

    def _delivery_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("delivery failed in an unforeseen way", error=task.exception())
        self._wake.set()

    async def _deliver(self, waiting: _Pending) -> None:
        message = waiting.newest
        try:
            await self._starter.deliver(message)
            await asyncio.to_thread(self._marks.mark_delivered, message)
        except InputError as error:
            await self._bury(message, error)
        except ConfigError as error:
            self._go_away(error)
            return
        except (UnavailableError, StorageError) as error:
            await self._put_off(waiting, error)
            return
        except Exception as error:  # a mistake of ours: this event waits, the others must go on
            self._delay(waiting, error)
            raise
        finally:
            waiting.in_flight = False
        self._came_back()
        waiting.attempt = 0
        waiting.seqs = {seq for seq in waiting.seqs if seq > message.seq}
        if not waiting.seqs:
            self._pending.pop(message.event_id, None)
        else:
            waiting.oldest_us = waiting.newest.last_seen_us

    async def _bury(self, message: EventMessage, error: InputError) -> None:
        self._log.error("temporal refused a message for good", event_id=message.event_id, seq=message.seq, error=error)
        await asyncio.to_thread(self._marks.mark_dead, message, str(error), self._clock.wall_us())
        self._dead_count += 1

    async def _put_off(self, waiting: _Pending, error: IrisError) -> None:
        """Tell an event that cannot be delivered now from a Temporal that is away."""
        try:
            await self._starter.knows(waiting.newest.event_id)
        except (UnavailableError, ConfigError) as other:
            self._go_away(other)
        else:
            self._delay(waiting, error)

    def _delay(self, waiting: _Pending, error: Exception) -> None:
        waiting.attempt += 1
        delay_s = self._delay_s(waiting.attempt, self._timing.most_alarm_s)
        waiting.due_us = self._clock.monotonic_us() + seconds_to_us(delay_s)
        self._log.warning(
            "event cannot be delivered now", event_id=waiting.newest.event_id, retry_in_s=round(delay_s, 1), error=error
        )

    def _go_away(self, error: IrisError) -> None:
        """Nothing can be handed over now: wait, longer each time, and look at everything again afterwards."""
        if self._clock.monotonic_us() < self._resume_us:
            return  # several were under way when it went; one of them has said so
        self._away_attempt += 1
        alarmed = isinstance(error, ConfigError)
        self._alarm = str(error) if alarmed else None
        delay_s = self._delay_s(self._away_attempt, self._timing.most_alarm_s if alarmed else self._timing.most_away_s)
        self._resume_us = self._clock.monotonic_us() + seconds_to_us(delay_s)
        self._audit_due_us = 0
        log = self._log.error if alarmed else self._log.warning
        log("temporal takes nothing now", waiting=len(self._pending), retry_in_s=round(delay_s, 1), error=error)

    def _came_back(self) -> None:
        if self._away_attempt:
            self._log.info("temporal takes messages again", waiting=len(self._pending))
        self._away_attempt = 0
        self._resume_us = 0
        self._alarm = None

    def _delay_s(self, attempt: int, most_s: float) -> float:
        return backoff_delay_s(attempt, first_s=self._timing.first_retry_s, most_s=most_s, jitter=self._jitter())

    def _until_next_s(self) -> float:
        """Seconds until something is due; new rows are looked for every `interval_s` anyway."""
        now_us = self._clock.monotonic_us()
        dues = [w.due_us for w in self._pending.values() if not w.in_flight and w.due_us > now_us]
        if self._resume_us > now_us:
            dues.append(self._resume_us)
        left_s = (min(dues) - now_us) / US_PER_S if dues else self._timing.interval_s
        return min(max(left_s, 0.001), self._timing.interval_s)
