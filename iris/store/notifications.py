"""Rows of notifications: the outbox of the webhook, written in the transaction that finishes an event.

A row is waiting, delivered, or dead (given up). Those that wait are found by `due_us`; at its end a row gets a time
that never comes, one per kind of end, so that neither finding what is due nor counting reads the rows that are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, Row, and_, delete, exists, func, select, tuple_, update

from iris.base.errors import ConflictError, NotFoundError
from iris.store.cursors import check_limit, decode_cursor, encode_cursor
from iris.store.statements import insert
from iris.store.tables import notifications

_NEVER_DELIVERED_US: Final = 2**62  # `due_us` of a delivered row
_NEVER_DEAD_US: Final = 2**62 + 1  # `due_us` of a dead one


class NotificationState(StrEnum):
    """Where a notification is."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationDraft:
    """A notification about an event; a second one of the same kind about it is the same one."""

    notification_id: str
    kind: str
    event_id: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationRow:
    """A notification as the database has it; times are wall time in microseconds, `body` is JSON as it is sent."""

    notification_id: str
    kind: str
    event_id: str
    body: str
    created_us: int
    due_us: int
    attempt_count: int
    delivered_us: int | None
    dead_us: int | None
    failure: str | None

    @property
    def state(self) -> NotificationState:
        """Where it is."""
        if self.delivered_us is not None:
            return NotificationState.DELIVERED
        return NotificationState.WAITING if self.dead_us is None else NotificationState.DEAD


class NotificationRepository:
    """Notifications over one connection in a transaction; never commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, draft: NotificationDraft, now_us: int) -> None:
        """A new notification, due now; one of this kind about this event that exists already stays as it is."""
        statement = insert(self._connection, notifications).values(
            notification_id=draft.notification_id,
            kind=draft.kind,
            event_id=draft.event_id,
            body=draft.body,
            created_us=now_us,
            due_us=now_us,
            attempt_count=0,
        )
        self._connection.execute(statement.on_conflict_do_nothing(index_elements=["event_id", "kind"]))

    def get(self, notification_id: str) -> NotificationRow:
        """One notification.

        Raises:
            NotFoundError: There is none of this id.
        """
        query = select(notifications).where(notifications.c.notification_id == notification_id)
        row = self._connection.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no notification {notification_id}")
        return _domain(row)

    def claim(self, now_us: int, lease_us: int, limit: int) -> list[NotificationRow]:
        """Take what is due, oldest first, and put it off by `lease_us`: who claims and dies leaves it to the next.

        Of one event only the oldest that waits is taken, so that its notifications arrive in their order.
        """
        earlier = notifications.alias("earlier")
        behind = exists().where(
            earlier.c.event_id == notifications.c.event_id,
            earlier.c.delivered_us.is_(None),
            earlier.c.dead_us.is_(None),
            tuple_(earlier.c.created_us, earlier.c.notification_id)
            < tuple_(notifications.c.created_us, notifications.c.notification_id),
        )
        query = (
            select(notifications)
            .where(notifications.c.due_us <= now_us, ~behind)
            .order_by(notifications.c.due_us, notifications.c.notification_id)
            .limit(limit)
            .with_for_update(skip_locked=True, of=notifications)
        )
        rows = [_domain(row) for row in self._connection.execute(query)]
        mine = notifications.c.notification_id.in_([row.notification_id for row in rows])
        self._connection.execute(
            update(notifications)
            .where(mine)
            .values(due_us=now_us + lease_us, attempt_count=notifications.c.attempt_count + 1)
        )
        return rows

    def next_due_us(self) -> int | None:
        """When the next one is due; None where none waits."""
        query = select(func.min(notifications.c.due_us)).where(notifications.c.due_us < _NEVER_DELIVERED_US)
        due_us: int | None = self._connection.execute(query).scalar_one()
        return due_us

    def delivered(self, notification_id: str, now_us: int) -> None:
        """The receiver took it; idempotent."""
        self._end(notification_id, {"delivered_us": now_us, "due_us": _NEVER_DELIVERED_US, "failure": None})

    def put_off(self, notification_id: str, failure: str, due_us: int) -> None:
        """A try failed; the next one is due then."""
        self._end(notification_id, {"failure": failure, "due_us": due_us})

    def give_up(self, notification_id: str, failure: str, now_us: int) -> None:
        """It is not tried again, unless a person asks for it."""
        self._end(notification_id, {"failure": failure, "dead_us": now_us, "due_us": _NEVER_DEAD_US})

    def give_up_older(self, before_us: int, failure: str, now_us: int) -> int:
        """Give up what has waited for too long; answers how many."""
        old = and_(notifications.c.due_us < _NEVER_DELIVERED_US, notifications.c.created_us < before_us)
        values = {"failure": failure, "dead_us": now_us, "due_us": _NEVER_DEAD_US}
        return self._connection.execute(update(notifications).where(old).values(values)).rowcount

    def retry(self, notification_id: str, now_us: int) -> NotificationRow:
        """Have it tried again now, dead or waiting; its age counts anew.

        Raises:
            NotFoundError: There is none of this id.
            ConflictError: It was delivered.
        """
        if self.get(notification_id).state is NotificationState.DELIVERED:
            raise ConflictError("this notification was delivered")
        self._end(notification_id, {"dead_us": None, "due_us": now_us, "created_us": now_us})
        return self.get(notification_id)

    def page(self, *, limit: int = 50, cursor: str | None = None) -> tuple[list[NotificationRow], str | None]:
        """Notifications newest first, and the cursor of the next page (None at the end).

        Raises:
            InputError: `limit` or `cursor` is not acceptable.
        """
        check_limit(limit)
        key = (notifications.c.created_us, notifications.c.notification_id)
        query = select(notifications).order_by(key[0].desc(), key[1].desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(tuple_(*key) < tuple_(*decode_cursor(cursor)))
        rows = [_domain(row) for row in self._connection.execute(query)]
        more = len(rows) > limit
        rows = rows[:limit]
        return rows, encode_cursor(rows[-1].created_us, rows[-1].notification_id) if more else None

    def counts(self) -> dict[NotificationState, int]:
        """How many there are in each state."""
        due_us = notifications.c.due_us
        query = select(
            func.count().filter(due_us < _NEVER_DELIVERED_US),
            func.count().filter(due_us == _NEVER_DELIVERED_US),
            func.count().filter(due_us == _NEVER_DEAD_US),
        ).select_from(notifications)
        waiting, delivered, dead = self._connection.execute(query).one()
        return {
            NotificationState.WAITING: waiting,
            NotificationState.DELIVERED: delivered,
            NotificationState.DEAD: dead,
        }

    def forget_older(self, before_us: int) -> int:
        """Drop what was delivered or given up before; answers how many."""
        old = and_(
            notifications.c.due_us >= _NEVER_DELIVERED_US,
            func.coalesce(notifications.c.delivered_us, notifications.c.dead_us) < before_us,
        )
        return self._connection.execute(delete(notifications).where(old)).rowcount

    def forget_of_events(self, event_ids: Sequence[str]) -> None:
        """Drop what tells of events that were removed; at most 500 at once."""
        self._connection.execute(delete(notifications).where(notifications.c.event_id.in_(list(event_ids))))

    def _end(self, notification_id: str, values: dict[str, Any]) -> None:
        # What was delivered stays so, whoever else had claimed it.
        mine = and_(notifications.c.notification_id == notification_id, notifications.c.delivered_us.is_(None))
        self._connection.execute(update(notifications).where(mine).values(values))


def _domain(row: Row[Any]) -> NotificationRow:
    return NotificationRow(**row._mapping)
