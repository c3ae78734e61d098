"""The loop that delivers notifications: at least once, in order per event, with longer and longer waits, for 3 days.

Runs in the worker process on its event loop; the database is asked on threads. A claim puts a row off by more than a
try can take, so that a process that dies between sending and writing it down leaves it to the next one, which sends
the same delivery id again. Bound: `slots` tries at a time; a receiver that hangs holds nothing else up.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from iris.adapters.webhook import TIMEOUT_S, Delivery
from iris.base.backoff import backoff_delay_s
from iris.base.errors import StoreError
from iris.base.failpoint import failpoint
from iris.base.log import get_logger
from iris.base.timebase import US_PER_S, seconds_to_us
from iris.ports import Clock
from iris.store.engine import Store
from iris.store.notifications import NotificationRow

_DAY_US = 86_400 * US_PER_S
_UPKEEP_S = 600.0
_TOO_OLD = "nobody took it within 3 days"


class Sender(Protocol):
    """Delivers one notification (implemented by `iris.adapters.webhook`)."""

    async def send(self, delivery_id: str, body: str) -> Delivery:
        """Try once; never raises for what the receiver does."""
        ...


@dataclass(frozen=True, slots=True)
class NotifierTiming:
    """How often it looks, how it waits, when it gives up and what it forgets."""

    interval_s: float = 1.0
    lease_s: float = TIMEOUT_S + 5.0
    first_retry_s: float = 5.0
    most_retry_s: float = 3600.0
    patience_us: int = 3 * _DAY_US
    keep_us: int = 30 * _DAY_US
    slots: int = 4


class Notifier:
    """Run `run` as a task; without a sender it only forgets what is old."""

    def __init__(
        self,
        store: Store,
        sender: Sender | None,
        clock: Clock,
        *,
        timing: NotifierTiming | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store, self._sender, self._clock = store, sender, clock
        self._timing = timing or NotifierTiming()
        self._jitter = jitter
        self._tasks: set[asyncio.Task[None]] = set()
        self._upkeep_due_us = 0
        self._freed = asyncio.Event()
        self._log = get_logger(part="notifier")

    async def run(self) -> None:
        """Deliver for ever; cancel it to stop. What was under way is sent again by the next start."""
        failing = False
        try:
            while True:
                self._freed.clear()
                try:
                    await self._round()
                    failing = False
                except StoreError as error:
                    if not failing:
                        self._log.warning("the database is away, notifications wait", reason=str(error))
                    failing = True
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._timing.interval_s):
                        await self._freed.wait()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _round(self) -> None:
        if self._clock.monotonic_us() >= self._upkeep_due_us:
            await asyncio.to_thread(self._upkeep)
            self._upkeep_due_us = self._clock.monotonic_us() + seconds_to_us(_UPKEEP_S)
        free = self._timing.slots - len(self._tasks)
        if self._sender is None or free <= 0:
            return
        for row in await asyncio.to_thread(self._claim, free):
            task = asyncio.create_task(self._deliver(row, self._sender))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _claim(self, limit: int) -> list[NotificationRow]:
        now_us = self._clock.wall_us()
        with self._store.reading() as work:
            due_us = work.notifications.next_due_us()
        if due_us is None or due_us > now_us:
            return []  # the usual answer, without taking the one place of a writer
        with self._store.writing() as work:
            return work.notifications.claim(now_us, seconds_to_us(self._timing.lease_s), limit)

    async def _deliver(self, row: NotificationRow, sender: Sender) -> None:
        delivery = await sender.send(row.notification_id, row.body)
        failpoint("notification.sent")
        await asyncio.to_thread(self._write_down, row, delivery)

    def _write_down(self, row: NotificationRow, delivery: Delivery) -> None:
        now_us = self._clock.wall_us()
        log = self._log.bind(notification_id=row.notification_id, event_id=row.event_id, tries=row.attempt_count + 1)
        with self._store.writing() as work:
            if delivery.failure is None:
                work.notifications.delivered(row.notification_id, now_us)
                log.info("notification delivered")
            elif delivery.final or now_us - row.created_us >= self._timing.patience_us:
                work.notifications.give_up(row.notification_id, delivery.failure, now_us)
                log.warning("notification given up", reason=delivery.failure)
            else:
                delay_s = backoff_delay_s(
                    row.attempt_count + 1,
                    first_s=self._timing.first_retry_s,
                    most_s=self._timing.most_retry_s,
                    jitter=self._jitter(),
                )
                work.notifications.put_off(row.notification_id, delivery.failure, now_us + seconds_to_us(delay_s))
                log.info("notification not taken", reason=delivery.failure, retry_in_s=round(delay_s, 1))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._freed.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # The claim runs out, and it is tried again.
            self._log.error("a notification could not be written down", error=error)

    def _upkeep(self) -> None:
        now_us = self._clock.wall_us()
        with self._store.writing() as work:
            given_up = work.notifications.give_up_older(now_us - self._timing.patience_us, _TOO_OLD, now_us)
            work.notifications.forget_older(now_us - self._timing.keep_us)
        if given_up:
            self._log.warning("notifications given up", count=given_up, reason=_TOO_OLD)
