"""Which files the main database explains, asked in batches."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select

from iris.base.ids import NodeId
from iris.domain.event import EventState
from iris.store.engine import Store, translated
from iris.store.system import StoreIdentity
from iris.store.tables import cameras, clip_files, events, tombstones

_TERMINAL = tuple(state.value for state in EventState if state.terminal)


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The database as a whole, seen from one node; `newest_us` is the start of the node's newest event (wall time)."""

    identity: StoreIdentity | None
    is_empty: bool
    camera_ids: frozenset[str]
    busy_camera_ids: frozenset[str]  # an operation on their footage is under way
    clip_count: int
    newest_us: int | None


@dataclass(frozen=True, slots=True)
class EventOwners:
    """What the database says of some events: paths that it names, and events whose files others look after."""

    paths: frozenset[str]
    busy: frozenset[str]  # not finished, or removed and not buried yet


def read_facts(store: Store, node_id: NodeId) -> StoreFacts:
    """The database as a whole.

    Raises:
        StoreError: It is unreachable.
    """
    with store.reading() as work:
        identity, is_empty = work.system.identity(), work.system.is_empty()
        busy = frozenset(row.camera_id for row in work.operations.unfinished() if row.camera_id is not None)
    mine = events.c.node_id == node_id
    clips = select(func.count()).select_from(clip_files.join(events)).where(mine)
    with translated(), store.engine.connect() as connection:
        return StoreFacts(
            identity,
            is_empty,
            frozenset(str(row) for row in connection.execute(select(cameras.c.camera_id)).scalars()),
            frozenset(str(row) for row in busy),
            connection.execute(clips).scalar_one(),
            connection.execute(select(func.max(events.c.started_us)).where(mine)).scalar_one(),
        )


def read_owners(store: Store, event_ids: Collection[str]) -> EventOwners:
    """What explains files of these events, at most 500 at once.

    Raises:
        StoreError: The database is unreachable.
    """
    asked = sorted(event_ids)
    rows = select(events.c.event_id, events.c.state, events.c.thumbnail_path).where(events.c.event_id.in_(asked))
    clips = select(clip_files.c.path).where(clip_files.c.event_id.in_(asked))
    stones = select(tombstones.c.event_id).where(tombstones.c.event_id.in_(asked), tombstones.c.buried_us.is_(None))
    with translated(), store.engine.connect() as connection:
        # Tombstones last: an event that is removed between the two is still among its rows.
        found = connection.execute(rows).all()
        paths = {str(path) for path in connection.execute(clips).scalars()}
        buried = {str(event_id) for event_id in connection.execute(stones).scalars()}
    paths |= {row.thumbnail_path for row in found if row.thumbnail_path is not None}
    return EventOwners(frozenset(paths), frozenset(buried | {r.event_id for r in found if r.state not in _TERMINAL}))


def read_terminal(store: Store, event_ids: Collection[str]) -> frozenset[str]:
    """Those of the events that reached their end, at most 500 at once.

    Raises:
        StoreError: The database is unreachable.
    """
    query = select(events.c.event_id).where(events.c.event_id.in_(sorted(event_ids)), events.c.state.in_(_TERMINAL))
    with translated(), store.engine.connect() as connection:
        return frozenset(connection.execute(query).scalars())
