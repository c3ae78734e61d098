"""What retention reads of the main database: the policy a person set, and events in the order in which they may go."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, case, func, select, tuple_

from iris.base.errors import InputError, StoreError
from iris.base.ids import NodeId
from iris.domain.event import EventState
from iris.retention.planner import Candidate
from iris.retention.policy import AgeRule, RetentionPolicy
from iris.store.statements import insert
from iris.store.tables import clip_files, events, retention_policy

_TERMINAL = tuple(state.value for state in EventState if state.terminal)


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    """The policy that a person set, and when (wall time, microseconds)."""

    policy: RetentionPolicy
    updated_us: int


@dataclass(frozen=True, slots=True)
class EventTotals:
    """All events of a node, and those that stay whatever happens."""

    event_count: int
    held_count: int
    unfinished_count: int


class RetentionRepository:
    """Policy and candidates over one connection in a transaction; never commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def policy(self) -> StoredPolicy | None:
        """What a person set; None: the settings hold.

        Raises:
            StoreError: What is stored is no policy (a newer Iris wrote it); nothing may be removed by guessing.
        """
        row = self._connection.execute(select(retention_policy)).one_or_none()
        return None if row is None else StoredPolicy(policy_from_json(row.policy), row.updated_us)

    def set_policy(self, policy: RetentionPolicy, now_us: int) -> None:
        """From now on this holds, not the settings."""
        values = {"policy": policy_to_json(policy), "updated_us": now_us}
        statement = insert(self._connection, retention_policy).values(one=1, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["one"], set_=values))

    def removable(
        self, node_id: NodeId, *, limit: int, before_us: int | None = None, after: tuple[int, str] | None = None
    ) -> list[Candidate]:
        """Finished events of a node without a hold, oldest first.

        Args:
            node_id: Whose.
            limit: At most so many.
            before_us: Only those last seen before.
            after: Where the page before ended: start and id of its last event.
        """
        size = select(func.sum(clip_files.c.size_bytes)).where(clip_files.c.event_id == events.c.event_id)
        key = (events.c.started_us, events.c.event_id)
        query = (
            select(
                events.c.event_id, events.c.camera_id, events.c.labels, events.c.started_us, events.c.last_seen_us,
                func.coalesce(size.scalar_subquery(), 0).label("size_bytes"),
            )
            .where(events.c.node_id == node_id, events.c.hold_us.is_(None), events.c.state.in_(_TERMINAL))
            .order_by(*key)
            .limit(limit)
        )  # fmt: skip
        if before_us is not None:
            # The start is in the index and never after the end.
            query = query.where(events.c.started_us < before_us, events.c.last_seen_us < before_us)
        if after is not None:
            query = query.where(tuple_(*key) > tuple_(*after))
        return [
            Candidate(
                event_id=row.event_id, camera_id=row.camera_id, labels=tuple(json.loads(row.labels)),
                started_us=row.started_us, last_seen_us=row.last_seen_us, size_bytes=int(row.size_bytes),
                held=False, finished=True,
            )
            for row in self._connection.execute(query)
        ]  # fmt: skip

    def totals(self, node_id: NodeId) -> EventTotals:
        """Counts of a node's events; reads all of them, so not for every second."""
        held = case((events.c.hold_us.is_not(None), 1), else_=0)
        unfinished = case((events.c.state.not_in(_TERMINAL), 1), else_=0)
        query = select(func.count(), func.coalesce(func.sum(held), 0), func.coalesce(func.sum(unfinished), 0))
        row = self._connection.execute(query.select_from(events).where(events.c.node_id == node_id)).one()
        return EventTotals(int(row[0]), int(row[1]), int(row[2]))

    def newest_event_us(self, node_id: NodeId) -> int | None:
        """When the newest event of a node began."""
        query = select(events.c.started_us).where(events.c.node_id == node_id)
        return self._connection.execute(query.order_by(events.c.started_us.desc()).limit(1)).scalar()


def policy_to_json(policy: RetentionPolicy) -> str:
    """As it is stored."""
    return json.dumps(asdict(policy))


def policy_from_json(text: str) -> RetentionPolicy:
    """What was stored.

    Raises:
        StoreError: It is no policy.
    """
    try:
        values = json.loads(text)
        rules = tuple(AgeRule(**rule) for rule in values.pop("rules"))
        return RetentionPolicy(**values, rules=rules)
    except (ValueError, KeyError, TypeError, AttributeError, InputError) as error:
        raise StoreError("the stored retention policy cannot be read; set it anew") from error
