"""What `iris check` reads of removals, operations and notifications."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from iris.domain.operation import OperationKind, OperationState
from iris.store.engine import Store, translated
from iris.store.operations import OperationRow
from iris.store.tables import cameras, events, notifications, operations, tombstones
from iris.store.tombstones import Tombstone

# Problems are listed, not counted to the end.
_MOST = 1000
# A removal that is far behind; what is beyond is reported at the next look.
_MOST_UNBURIED = 100_000


@dataclass(frozen=True, slots=True)
class CameraMark:
    """A camera's row: since when its deletion or the purge of its old footage is under way (us); None: it is not."""

    camera_id: str
    deleting_us: int | None
    purging_us: int | None


@dataclass(frozen=True, slots=True)
class WaitingNotification:
    """A notification that was neither delivered nor given up; `due_us` is wall time."""

    notification_id: str
    event_id: str
    due_us: int


@dataclass(frozen=True, slots=True)
class Removals:
    """Tombstones, unfinished operations, cameras and waiting notifications, of one moment."""

    unburied: dict[str, Tombstone]
    buried: frozenset[str]
    risen: tuple[str, ...]  # events that have a row and a tombstone
    operations: tuple[OperationRow, ...]
    cameras: dict[str, CameraMark]
    deleted_cameras: frozenset[str]
    events_of_deleted: tuple[str, ...]
    waiting: tuple[WaitingNotification, ...]
    notification_count: int

    @property
    def cameras_under_way(self) -> frozenset[str]:
        """Cameras with an unfinished operation of their own."""
        return frozenset(row.camera_id for row in self.operations if row.camera_id is not None)


_RISEN = select(events.c.event_id).join(tombstones, tombstones.c.event_id == events.c.event_id).limit(_MOST)
_BURIED = select(tombstones.c.event_id).where(tombstones.c.buried_us.is_not(None))
_CAMERAS = select(cameras.c.camera_id, cameras.c.deleting_us, cameras.c.purging_us)
_DELETED = select(operations.c.camera_id).where(
    operations.c.kind == OperationKind.CAMERA_DELETION.value, operations.c.state == OperationState.DONE.value
)
_LEFT = select(events.c.event_id).where(events.c.camera_id.in_(_DELETED)).limit(_MOST)
_WAITING = (
    select(notifications.c.notification_id, notifications.c.event_id, notifications.c.due_us)
    .where(notifications.c.delivered_us.is_(None), notifications.c.dead_us.is_(None))
    .order_by(notifications.c.due_us)
)


def read_removals(store: Store) -> Removals:
    """All of it, in one snapshot.

    Raises:
        StoreError: The database is unreachable.
    """
    with store.reading() as work:
        unfinished = tuple(work.operations.unfinished())
        unburied = {stone.event_id: stone for stone in work.tombstones.unburied(limit=_MOST_UNBURIED)}
    with translated(), store.engine.connect() as connection:
        return Removals(
            unburied={str(event_id): stone for event_id, stone in unburied.items()},
            buried=frozenset(connection.execute(_BURIED).scalars()),
            risen=tuple(connection.execute(_RISEN).scalars()),
            operations=unfinished,
            cameras={row.camera_id: CameraMark(*row) for row in connection.execute(_CAMERAS)},
            deleted_cameras=frozenset(connection.execute(_DELETED).scalars()),
            events_of_deleted=tuple(connection.execute(_LEFT).scalars()),
            waiting=tuple(WaitingNotification(*row) for row in connection.execute(_WAITING)),
            notification_count=connection.execute(select(func.count()).select_from(notifications)).scalar_one(),
        )
