"""Rows about Iris itself: the store's identity, signs of life of nodes and workers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, exists, func, select, update

from iris.base.ids import NodeId
from iris.store.statements import insert
from iris.store.tables import cameras, clip_files, events, metadata, nodes, store, workers


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Pairs the database with a data directory; `generation` rises with each restore."""

    store_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A node's last sign of life (wall time, microseconds) and what it said of itself."""

    node_id: NodeId
    heartbeat_us: int
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A process's last sign of life (wall time, microseconds)."""

    worker_id: str
    kind: str
    heartbeat_us: int


class SystemRepository:
    """Store identity, nodes and workers over one connection in a transaction; never commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def identity(self) -> StoreIdentity | None:
        """The store's identity; None in a database that was never paired."""
        row = self._connection.execute(select(store.c.store_id, store.c.generation)).one_or_none()
        return None if row is None else StoreIdentity(row.store_id, row.generation)

    def pair(self, identity: StoreIdentity) -> StoreIdentity:
        """Give the database its identity unless it has one; answers the one that holds."""
        statement = insert(self._connection, store).values(
            one=1, store_id=identity.store_id, generation=identity.generation
        )
        self._connection.execute(statement.on_conflict_do_nothing())
        return self.identity() or identity

    def raise_generation(self, generation: int) -> None:
        """Another generation of the same store, as after a restore."""
        self._connection.execute(update(store).values(generation=generation))

    def table_counts(self) -> dict[str, int]:
        """Rows of each table by name; signs of life and the store's one row are not what anybody counts."""
        counted = [table for table in metadata.sorted_tables if table not in (nodes, workers, store)]
        return {t.name: self._connection.execute(select(func.count()).select_from(t)).scalar_one() for t in counted}

    def is_empty(self) -> bool:
        """Whether the database knows no camera and no event."""
        known = select(exists().select_from(cameras), exists().select_from(events))
        return not any(self._connection.execute(known).one())

    def newest_clips(self, node_id: NodeId, limit: int = 20) -> list[str]:
        """Paths of the clip files of a node's newest events, relative to DATA_DIR."""
        query = (
            select(clip_files.c.path)
            .join(events, events.c.event_id == clip_files.c.event_id)
            .where(events.c.node_id == node_id)
            .order_by(events.c.started_us.desc())
            .limit(limit)
        )
        return list(self._connection.execute(query).scalars())

    def node_seen(self, node_id: NodeId, now_us: int, detail: Mapping[str, object]) -> None:
        """A node's sign of life; `detail` must be JSON values without secrets."""
        values = {"heartbeat_us": now_us, "detail": json.dumps(detail)}
        statement = insert(self._connection, nodes).values(node_id=node_id, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["node_id"], set_=values))

    def nodes(self) -> list[NodeRow]:
        """All nodes ever seen, by id."""
        rows = self._connection.execute(select(nodes).order_by(nodes.c.node_id))
        return [NodeRow(row.node_id, row.heartbeat_us, json.loads(row.detail)) for row in rows]

    def worker_seen(self, worker_id: str, kind: str, now_us: int) -> None:
        """A worker process's sign of life; `kind` is `worker` or `node`."""
        values = {"kind": kind, "heartbeat_us": now_us}
        statement = insert(self._connection, workers).values(worker_id=worker_id, **values)
        self._connection.execute(statement.on_conflict_do_update(index_elements=["worker_id"], set_=values))

    def workers(self) -> list[WorkerRow]:
        """All worker processes that have a row, by id."""
        rows = self._connection.execute(select(workers).order_by(workers.c.worker_id))
        return [WorkerRow(row.worker_id, row.kind, row.heartbeat_us) for row in rows]

    def forget_workers(self, silent_since_us: int) -> int:
        """Remove worker rows whose last sign of life is older; answers how many."""
        return self._connection.execute(delete(workers).where(workers.c.heartbeat_us < silent_since_us)).rowcount
