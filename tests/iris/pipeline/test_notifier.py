"""The loop that delivers notifications, over a real database and a real receiver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from iris.adapters.clock import SystemClock
from iris.adapters.webhook import Delivery, Webhook
from iris.base.timebase import US_PER_S
from iris.pipeline.notifier import Notifier, NotifierTiming, Sender
from iris.store.engine import Store
from iris.store.notifications import NotificationDraft, NotificationRow, NotificationState
from tests.builders.events import uuid_of
from tests.builders.receiver import running_receiver

QUICK = NotifierTiming(interval_s=0.02, lease_s=0.5, first_retry_s=0.05, most_retry_s=0.2)


def add(store: Store, number: int, *, age_s: float = 0) -> str:
    draft = NotificationDraft(
        notification_id=uuid_of(number, "f"), kind="event.finished", event_id=uuid_of(number), body=f'{{"n":{number}}}'
    )
    with store.writing() as work:
        work.notifications.add(draft, SystemClock().wall_us() - round(age_s * US_PER_S))
    return draft.notification_id


def row_of(store: Store, notification_id: str) -> NotificationRow:
    with store.reading() as work:
        return work.notifications.get(notification_id)


@asynccontextmanager
async def delivering(store: Store, sender: Sender | None, timing: NotifierTiming = QUICK) -> AsyncIterator[None]:
    task = asyncio.create_task(Notifier(store, sender, SystemClock(), timing=timing).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(store: Store, notification_id: str, state: NotificationState) -> NotificationRow:
    await soon(lambda: row_of(store, notification_id).state is state)
    return row_of(store, notification_id)


async def soon(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a row of a database rings no bell
            await asyncio.sleep(0.02)


async def test_notifier_tries_again_with_the_same_id_when_it_was_not_taken(store: Store) -> None:
    mine = add(store, 1)
    with running_receiver(500, 500, 200) as receiver:
        hook = Webhook(receiver.url, "secret", SystemClock())
        async with delivering(store, hook):
            row = await until(store, mine, NotificationState.DELIVERED)
        await hook.close()
    assert receiver.ids() == [mine, mine, mine]
    assert [got.body for got in receiver.received] == ['{"n":1}'] * 3
    assert (row.attempt_count, row.failure) == (3, None)


async def test_notifier_stops_at_once_when_the_receiver_is_gone_for_good(store: Store) -> None:
    mine = add(store, 1)
    with running_receiver(410) as receiver:
        hook = Webhook(receiver.url, "secret", SystemClock())
        async with delivering(store, hook):
            row = await until(store, mine, NotificationState.DEAD)
        await hook.close()
    assert len(receiver.received) == 1
    assert "410" in str(row.failure)


@dataclass
class HangingFor:
    """Never answers for some ids; at once for others."""

    hanging: set[str]
    sent: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def send(self, delivery_id: str, body: str) -> Delivery:
        self.sent.append(delivery_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if delivery_id in self.hanging:
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            return Delivery()
        finally:
            self.at_once -= 1


async def test_notifier_delivers_others_when_one_hangs(store: Store) -> None:
    first, *others = [add(store, number, age_s=60 - number) for number in range(1, 30)]
    sender = HangingFor({first})
    async with delivering(store, sender):
        for other in others:
            await until(store, other, NotificationState.DELIVERED)
    assert row_of(store, first).state is NotificationState.WAITING
    assert sender.most_at_once <= QUICK.slots


async def test_notifier_sends_again_when_it_died_between_sending_and_writing_it_down(store: Store) -> None:
    mine = add(store, 1)
    sender = HangingFor({mine})
    async with delivering(store, sender):
        await soon(lambda: sender.sent)
    sender.hanging.clear()
    async with delivering(store, sender):
        await until(store, mine, NotificationState.DELIVERED)
    assert sender.sent == [mine, mine]


async def test_notifier_gives_up_what_is_too_old_when_nobody_takes_it(store: Store) -> None:
    old, young = add(store, 1, age_s=3 * 86_400 + 1), add(store, 2)
    async with delivering(store, None):
        row = await until(store, old, NotificationState.DEAD)
    assert row.failure == "nobody took it within 3 days"
    assert row_of(store, young).state is NotificationState.WAITING
