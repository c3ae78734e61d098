"""Removing a camera, or what its old address showed: asked for in one transaction, removed page by page, certified.

The operation's row holds the counts. They rise in the transaction that removes what they count, so a repeated step
counts nothing twice; what is on a node is counted once, before anything of it goes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, delete, exists, func, select, update

from iris.base.errors import ConflictError, NotFoundError
from iris.base.ids import CameraId, EventId, NodeId
from iris.base.timebase import format_rfc3339
from iris.contracts.camera_removal import CameraSurvey, EntombedRows, NodeEvent
from iris.contracts.names import camera_deletion_workflow_id, camera_repoint_workflow_id
from iris.domain.event import EventState
from iris.domain.operation import OperationKind, OperationState, RemovalReason
from iris.store.cameras import CameraPatch, CameraRepository, CameraRow
from iris.store.operations import OperationDraft, OperationRepository, OperationRow
from iris.store.tables import cameras, clip_files, events, nodes, operations, tombstones
from iris.store.tombstones import Tombstone, TombstoneRepository

PAGE_EVENTS = 200
_TERMINAL = tuple(state.value for state in EventState if state.terminal)
_REMOVALS = (OperationKind.CAMERA_DELETION.value, OperationKind.CAMERA_REPOINT.value)
_UNFINISHED = (OperationState.REQUESTED.value, OperationState.RUNNING.value)
# Of events that a node had accepted and the database had not heard of.
_NOT_RECORDED = "not_recorded"
# Keys of an operation's progress.
_STARTED, _EVENTS, _NODES = "started_at", "removed", "found_on_nodes"


class CameraRemovalRepository:
    """Removals of cameras over one connection in a transaction; never commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cameras = CameraRepository(connection)
        self._operations = OperationRepository(connection)
        self._tombstones = TombstoneRepository(connection)

    def ask_deletion(
        self, camera_id: CameraId, new_id: Callable[[], str], now_us: int, *, include_held: bool
    ) -> OperationRow:
        """Mark a camera as being deleted; where it is already, the operation that does it, finished or not.

        Raises:
            NotFoundError: There is no such camera, and there was none.
            ConflictError: Events of it are on hold.
        """
        workflow_id = camera_deletion_workflow_id(camera_id)
        try:
            self._cameras.lock(camera_id)
        except NotFoundError:
            known = self._operations.of_camera(camera_id, OperationKind.CAMERA_DELETION)
            if known is None:
                raise
            if known.state is not OperationState.FAILED:
                return known
            # Its workflow was terminated by a person; a workflow's id is used once.
            workflow_id = f"{workflow_id}:{known.operation_id}"
        else:
            self._refuse_held(camera_id, include_held=include_held)
            self._cameras.mark_deleting(camera_id, now_us)
        return self._operations.ask(
            OperationDraft(
                operation_id=new_id(),
                kind=OperationKind.CAMERA_DELETION,
                workflow_id=workflow_id,
                camera_id=camera_id,
                request={"include_held": include_held},
            ),
            now_us,
        )

    def ask_repoint(
        self, row: CameraRow, patch: CameraPatch, operation_id: str, now_us: int, *, include_held: bool
    ) -> tuple[CameraRow, OperationRow]:
        """Give a camera another address, and have what the old one showed removed before it runs again.

        Args:
            row: The camera, locked by this transaction.
            patch: All changes, the address among them.
            operation_id: Of the new operation.
            now_us: Wall time now.
            include_held: Whether events on hold go too.

        Raises:
            ConflictError: Events of it are on hold.
        """
        self._refuse_held(row.camera_id, include_held=include_held)
        count = row.address_count + 1
        whole: CameraPatch = {**patch, "purging_us": row.purging_us or now_us, "address_count": count}
        changed = self._cameras.update(row.camera_id, whole, now_us)
        operation = self._operations.ask(
            OperationDraft(
                operation_id=operation_id,
                kind=OperationKind.CAMERA_REPOINT,
                workflow_id=camera_repoint_workflow_id(row.camera_id, count),
                camera_id=row.camera_id,
                request={"include_held": include_held, "address_count": count},
            ),
            now_us,
        )
        return changed, operation

    def begin(self, operation_id: str, now_us: int) -> OperationRow | None:
        """The removal runs from now on; an operation about the same camera that has to end before it, or None."""
        mine = self._operations.locked(operation_id)
        before = [row for row in self._unfinished(mine.camera_id) if _turn(row) < _turn(mine)]
        if before:
            return min(before, key=_turn)
        if _STARTED not in mine.progress:
            self._operations.progress(operation_id, {_STARTED: format_rfc3339(now_us)}, now_us)
        return None

    def node_ids(self, camera_id: CameraId) -> list[NodeId]:
        """Nodes that may hold something of a camera: its own, those of its events, else the one seen last."""
        own = select(cameras.c.node_id).where(cameras.c.camera_id == camera_id, cameras.c.node_id.is_not(None))
        of_events = select(events.c.node_id).where(events.c.camera_id == camera_id).distinct()
        of_stones = select(tombstones.c.node_id).where(tombstones.c.camera_id == camera_id).distinct()
        found = {row[0] for query in (own, of_events, of_stones) for row in self._connection.execute(query)}
        newest = select(nodes.c.node_id).order_by(nodes.c.heartbeat_us.desc()).limit(1)
        found |= {row[0] for row in self._connection.execute(newest)}
        return sorted(NodeId(node_id) for node_id in found)

    def note_survey(self, operation_id: str, node_id: str, survey: CameraSurvey, now_us: int) -> None:
        """Keep the most that was found on a node: while a camera stops, some grows and some goes already."""
        progress = self._operations.locked(operation_id).progress
        kept = progress.get(_NODES, {})
        before = kept.get(node_id, {})
        most = {name: max(count, before.get(name, 0)) for name, count in asdict(survey).items()}
        on_nodes = {**kept, node_id: most}
        self._operations.progress(operation_id, {_NODES: on_nodes}, now_us)

    def entomb_known(self, operation_id: str, camera_id: CameraId, known: Sequence[NodeEvent], now_us: int) -> None:
        """Tombstones for events that a node knows and that have no row; those with a row go with `entomb_page`."""
        operation = self._operations.locked(operation_id)
        if operation.state.finished:
            return
        ids = [event.event_id for event in known]
        there = {
            row[0]
            for table in (events, tombstones)
            for row in self._connection.execute(select(table.c.event_id).where(table.c.event_id.in_(ids)))
        }
        stones = [
            Tombstone(
                event_id=EventId(event.event_id),
                camera_id=camera_id,
                node_id=NodeId(event.node_id),
                operation_id=operation_id,
                reason=_reason(operation.kind),
                started_us=event.started_us,
                last_seen_us=max(event.last_seen_us, event.started_us),
                size_bytes=0,
                created_us=now_us,
            )
            for event in known
            if event.event_id not in there
        ]
        self._tombstones.add(stones)
        self._count(operation, {_NOT_RECORDED: len(stones)}, now_us)

    def entomb_page(self, operation_id: str, camera_id: CameraId, now_us: int) -> EntombedRows:
        """Remove the next rows of a camera's events, whatever their state, and count them in this transaction.

        Events of the camera that others removed and whose files may still be there become this removal's to bury.
        """
        # What comes late must remove nothing of a camera that runs again.
        operation = self._operations.locked(operation_id)
        if operation.state.finished:
            return EntombedRows(0, more=False)
        self._connection.execute(
            update(tombstones)
            .where(tombstones.c.camera_id == camera_id, tombstones.c.buried_us.is_(None))
            .values(operation_id=operation_id)
        )
        query = select(events.c.event_id, events.c.state, events.c.thumbnail_path.is_not(None).label("has_thumbnail"))
        rows = self._connection.execute(
            query.where(events.c.camera_id == camera_id).order_by(events.c.event_id).limit(PAGE_EVENTS)
        ).all()
        ids = [row.event_id for row in rows]
        files = select(func.count()).where(clip_files.c.event_id.in_(ids))
        clips = int(self._connection.execute(files).scalar_one())
        stones = self._tombstones.entomb(
            ids, _reason(operation.kind), now_us, operation_id=operation_id, unfinished=True, held=True
        )
        counts = Counter(row.state for row in rows)
        thumbnails = sum(row.has_thumbnail for row in rows)
        self._count(operation, {**counts, "clips": clips, "thumbnails": thumbnails}, now_us)
        open_ids = {row.event_id for row in rows if row.state not in _TERMINAL}
        unfinished = tuple(
            NodeEvent(stone.event_id, stone.node_id, stone.started_us, stone.last_seen_us)
            for stone in stones
            if stone.event_id in open_ids
        )
        return EntombedRows(len(stones), more=len(rows) == PAGE_EVENTS, unfinished=unfinished)

    def finish(self, operation_id: str, camera_id: CameraId, now_us: int) -> tuple[int, Mapping[str, Any]]:
        """End the removal unless rows are left: how many are, and the certificate.

        A deletion removes the camera itself and its tombstones, whose work the operation goes on doing. A repoint has
        the camera run again, unless yet another address was given meanwhile: the newest does it then.
        """
        operation = self._operations.locked(operation_id)
        if operation.state.finished:
            return 0, operation.result or {}
        left = self._rows_left(camera_id)
        if left:
            return left, {}
        if operation.kind is OperationKind.CAMERA_DELETION:
            self._connection.execute(delete(cameras).where(cameras.c.camera_id == camera_id))
            self._tombstones.forget_of_camera(camera_id)
        else:
            self._run_again(camera_id, operation.request["address_count"], now_us)
        certificate = _certificate(operation, now_us)
        self._operations.finish(operation_id, now_us, result=certificate)
        return 0, certificate

    def running_repoint(self, camera_id: CameraId) -> OperationRow | None:
        """The newest repoint of a camera that is not finished."""
        return max(self._unfinished(camera_id), key=_turn, default=None)

    def _unfinished(self, camera_id: CameraId | None) -> list[OperationRow]:
        query = select(operations.c.operation_id).where(
            operations.c.camera_id == camera_id,
            operations.c.kind.in_(_REMOVALS),
            operations.c.state.in_(_UNFINISHED),
        )
        return [self._operations.get(row.operation_id) for row in self._connection.execute(query)]

    def _refuse_held(self, camera_id: CameraId, *, include_held: bool) -> None:
        held = exists().where(events.c.camera_id == camera_id, events.c.hold_us.is_not(None))
        if not include_held and self._connection.execute(select(held)).scalar_one():
            raise ConflictError("events of this camera are on hold; release them, or ask with include_held=true")

    def _rows_left(self, camera_id: CameraId) -> int:
        rows = select(func.count()).select_from(events).where(events.c.camera_id == camera_id)
        files = select(func.count()).select_from(tombstones).where(tombstones.c.camera_id == camera_id)
        files = files.where(tombstones.c.buried_us.is_(None))
        return sum(int(self._connection.execute(query).scalar_one()) for query in (rows, files))

    def _run_again(self, camera_id: CameraId, address_count: int, now_us: int) -> None:
        self._connection.execute(
            update(cameras)
            .where(cameras.c.camera_id == camera_id, cameras.c.address_count == address_count)
            .values(purging_us=None, updated_us=now_us, version=cameras.c.version + 1)
        )

    def _count(self, operation: OperationRow, more: Mapping[str, int], now_us: int) -> None:
        counts = Counter(operation.progress.get(_EVENTS, {}))
        counts.update({name: number for name, number in more.items() if number})
        self._operations.progress(operation.operation_id, {_EVENTS: counts}, now_us)


def _turn(operation: OperationRow) -> tuple[bool, int]:
    """Place in the order of a camera's removals: addresses as they were given, deletion last; no clock is asked."""
    return operation.kind is OperationKind.CAMERA_DELETION, int(operation.request.get("address_count", 0))


def _reason(kind: OperationKind) -> RemovalReason:
    return RemovalReason.CAMERA if kind is OperationKind.CAMERA_DELETION else RemovalReason.REPOINT


def _certificate(operation: OperationRow, now_us: int) -> dict[str, Any]:
    """What was removed, by class: rows as counted when they went, files as counted before any of them did."""
    counted = Counter(operation.progress.get(_EVENTS, {}))
    on_nodes: dict[str, dict[str, int]] = operation.progress.get(_NODES, {})
    on_disk: Counter[str] = Counter()
    for survey in on_nodes.values():
        on_disk.update(survey)
    states = {name: counted[name] for name in (*(state.value for state in EventState), _NOT_RECORDED)}
    return {
        "camera_id": operation.camera_id,
        "node_ids": sorted(on_nodes),
        "started_at": operation.progress.get(_STARTED),
        "finished_at": format_rfc3339(now_us),
        "events": states,
        "event_count": sum(states.values()),
        "clips": counted["clips"],
        "thumbnails": counted["thumbnails"],
        **{name: on_disk[name] for name in CameraSurvey.__slots__},
        "remaining": 0,
    }
