"""Removing events: the row goes first and leaves a tombstone, then the files, then the tombstone is closed.

Whatever happens between, either the event is whole, or its tombstone says which files are still to go. A tombstone
also keeps late messages from bringing the event back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, select, tuple_, update

from iris.base.ids import CameraId, EventId, NodeId
from iris.domain.event import EventState
from iris.domain.operation import OperationKind, RemovalReason
from iris.store.cursors import check_limit, decode_cursor, encode_cursor
from iris.store.notifications import NotificationRepository
from iris.store.statements import insert
from iris.store.tables import clip_files, events, operations, tombstones

_TERMINAL = tuple(state.value for state in EventState if state.terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """An event that was removed; times are wall time in microseconds. `buried_us` None: its files may exist."""

    event_id: EventId
    camera_id: CameraId
    node_id: NodeId
    operation_id: str | None
    reason: RemovalReason
    started_us: int
    last_seen_us: int
    size_bytes: int
    created_us: int
    buried_us: int | None = None


class TombstoneRepository:
    """Tombstones over one connection in a transaction; never commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def entomb(
        self,
        event_ids: Collection[str],
        reason: RemovalReason,
        now_us: int,
        *,
        operation_id: str | None = None,
        unfinished: bool = False,
        held: bool = False,
    ) -> list[Tombstone]:
        """Remove rows of events and leave tombstones, in this transaction.

        Args:
            event_ids: At most 500 at once.
            reason: Why.
            now_us: Wall time now.
            operation_id: Who removes them.
            unfinished: Whether events that are not terminal go too; their workflows end by themselves.
            held: Whether events on hold go too.

        Returns:
            Those that went now; what was gone before, is kept or was never there is not among them.
        """
        size = (
            select(func.coalesce(func.sum(clip_files.c.size_bytes), 0))
            .where(clip_files.c.event_id == events.c.event_id)
            .scalar_subquery()
        )
        query = select(events, size.label("size_bytes")).where(events.c.event_id.in_(list(event_ids)))
        if not unfinished:
            query = query.where(events.c.state.in_(_TERMINAL))
        if not held:
            query = query.where(events.c.hold_us.is_(None))
        removed = [
            Tombstone(
                event_id=row.event_id,
                camera_id=row.camera_id,
                node_id=row.node_id,
                operation_id=operation_id,
                reason=reason,
                started_us=row.started_us,
                last_seen_us=row.last_seen_us,
                size_bytes=int(row.size_bytes),  # a sum is a Decimal on PostgreSQL
                created_us=now_us,
            )
            for row in self._connection.execute(query.with_for_update(of=events))
        ]
        self.add(removed)
        NotificationRepository(self._connection).forget_of_events([stone.event_id for stone in removed])
        self._connection.execute(delete(events).where(events.c.event_id.in_([stone.event_id for stone in removed])))
        return removed

    def add(self, stones: Sequence[Tombstone]) -> None:
        """Tombstones of events that may have no row yet: accepted on a node, not recorded. Idempotent."""
        rows = [
            {name: getattr(stone, name) for name in Tombstone.__dataclass_fields__} | {"reason": stone.reason.value}
            for stone in stones
        ]
        if rows:
            statement = insert(self._connection, tombstones).on_conflict_do_nothing(index_elements=["event_id"])
            self._connection.execute(statement, rows)

    def forbids(self, event_id: str, camera_id: str) -> bool:
        """Whether nothing may be written about this event any more: it was removed, or its camera is."""
        query = select(
            exists().where(tombstones.c.event_id == event_id),
            exists().where(
                operations.c.camera_id == camera_id, operations.c.kind == OperationKind.CAMERA_DELETION.value
            ),
        )
        return any(self._connection.execute(query).one())

    def unburied(
        self, *, node_id: NodeId | None = None, operation_id: str | None = None, limit: int = 500
    ) -> list[Tombstone]:
        """Removed events whose files may still exist, oldest first."""
        query = select(tombstones).where(tombstones.c.buried_us.is_(None))
        if node_id is not None:
            query = query.where(tombstones.c.node_id == node_id)
        if operation_id is not None:
            query = query.where(tombstones.c.operation_id == operation_id)
        query = query.order_by(tombstones.c.created_us, tombstones.c.event_id).limit(limit)
        return [_domain(row) for row in self._connection.execute(query)]

    def waiting_nodes(self, operation_id: str) -> list[NodeId]:
        """Nodes that may hold files of events which an operation removed."""
        query = (
            select(tombstones.c.node_id)
            .where(tombstones.c.operation_id == operation_id, tombstones.c.buried_us.is_(None))
            .distinct()
            .order_by(tombstones.c.node_id)
        )
        return [NodeId(row.node_id) for row in self._connection.execute(query)]

    def bury(self, event_ids: Collection[str], now_us: int) -> int:
        """Their files are gone and their folders forced to disk; idempotent, at most 500 at once.

        Returns:
            How many were not buried before.
        """
        return self._connection.execute(
            update(tombstones)
            .where(tombstones.c.event_id.in_(list(event_ids)), tombstones.c.buried_us.is_(None))
            .values(buried_us=now_us)
        ).rowcount

    def page(
        self, *, limit: int = 50, cursor: str | None = None, reasons: Collection[RemovalReason] = ()
    ) -> tuple[list[Tombstone], str | None]:
        """What was removed, newest first, and the cursor of the next page (None at the end).

        Raises:
            InputError: `limit` or `cursor` is not acceptable.
        """
        check_limit(limit)
        key = (tombstones.c.created_us, tombstones.c.event_id)
        query = select(tombstones).order_by(key[0].desc(), key[1].desc()).limit(limit + 1)
        if reasons:
            query = query.where(tombstones.c.reason.in_([reason.value for reason in reasons]))
        if cursor is not None:
            query = query.where(tuple_(*key) < tuple_(*decode_cursor(cursor)))
        rows = [_domain(row) for row in self._connection.execute(query)]
        more = len(rows) > limit
        rows = rows[:limit]
        return rows, encode_cursor(rows[-1].created_us, rows[-1].event_id) if more else None

    def forget_of_camera(self, camera_id: CameraId) -> int:
        """Drop the tombstones of a deleted camera; its deletion keeps late messages away. Answers how many."""
        return self._connection.execute(delete(tombstones).where(tombstones.c.camera_id == camera_id)).rowcount

    def forget_older(self, before_us: int) -> int:
        """Drop buried tombstones of long ago; answers how many."""
        old = (tombstones.c.buried_us.is_not(None), tombstones.c.buried_us < before_us)
        return self._connection.execute(delete(tombstones).where(*old)).rowcount


def _domain(row: Row[Any]) -> Tombstone:
    values = dict(row._mapping)
    values["reason"] = RemovalReason(row.reason)
    return Tombstone(**values)
