"""Deleting events that somebody selected: what would go, and page by page what goes.

How far a deletion is, is a part of its operation's row and is written in the transaction that removes the page, so
that counts are exact however often a step is tried again, and a workflow that starts anew goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, case, func, or_, select, update

from iris.base.errors import InputError
from iris.base.ids import CameraId
from iris.base.timebase import format_rfc3339, parse_rfc3339
from iris.contracts.names import event_deletion_workflow_id
from iris.contracts.removal import EntombedPage, EventDeletionResult
from iris.domain.event import EventState
from iris.domain.operation import OperationKind, RemovalReason
from iris.store.events import EventFilters, EventRepository, EventRow
from iris.store.operations import PROGRESS_CURSOR, OperationDraft, OperationRepository, OperationRow
from iris.store.tables import clip_files, event_labels, events, operations, tombstones
from iris.store.tombstones import TombstoneRepository

# Rows of one transaction: others that write wait a fraction of a second at most.
PAGE_EVENTS: Final = 200
_TERMINAL = tuple(state.value for state in EventState if state.terminal)
_COUNTS = tuple(count.name for count in fields(EventDeletionResult))
# In an operation's progress beside the counts.
_STEP: Final = "step"
_SELECTS: Final = {"camera_id", "from", "to", "label", "state", "ids", "all"}
_ROWS, _FILES = "removing events", "removing files"


@dataclass(frozen=True, slots=True)
class EventSelection:
    """Which events somebody wants deleted: those of the filters, or those named (at most 500), never both."""

    filters: EventFilters = field(default_factory=EventFilters)
    event_ids: tuple[str, ...] = ()

    def request(self) -> dict[str, object]:
        """As it is kept in the operation's row: what was given, in the words of the wire."""
        given = self.filters
        values = {
            "camera_id": given.camera_id,
            "from": None if given.from_us is None else format_rfc3339(given.from_us),
            "to": None if given.to_us is None else format_rfc3339(given.to_us),
            "label": given.label,
            "state": given.state,
            "ids": list(self.event_ids) or None,
        }
        return {name: value for name, value in values.items() if value is not None} or {"all": True}

    @classmethod
    def of_request(cls, request: Mapping[str, Any]) -> EventSelection:
        """The selection that `request` wrote.

        Raises:
            InputError: It selects nothing: "all" has to be said.
        """
        if not request.keys() & _SELECTS:
            raise InputError("the request does not say which events")
        camera_id, state = request.get("camera_id"), request.get("state")
        filters = EventFilters(
            camera_id=None if camera_id is None else CameraId(camera_id),
            from_us=parse_rfc3339(request["from"]) if "from" in request else None,
            to_us=parse_rfc3339(request["to"]) if "to" in request else None,
            label=request.get("label"),
            state=None if state is None else EventState(state),
        )
        return cls(filters, tuple(request.get("ids", ())))


class RemovalRepository:
    """Deletions over one connection in a transaction; never commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._events = EventRepository(connection)
        self._operations = OperationRepository(connection)
        self._tombstones = TombstoneRepository(connection)

    def preview(self, selection: EventSelection) -> EventDeletionResult:
        """What would be removed now, and what would be left; removes nothing."""
        selected = and_(*_conditions(selection))
        held, open_ = events.c.hold_us.is_not(None), events.c.state.not_in(_TERMINAL)
        goes = and_(selected, ~held, ~open_)
        counts = self._connection.execute(
            select(
                func.count(),
                func.coalesce(func.sum(case((and_(~held, ~open_), 1), else_=0)), 0),
                func.coalesce(func.sum(case((held, 1), else_=0)), 0),
                func.coalesce(func.sum(case((and_(~held, open_), 1), else_=0)), 0),
                func.coalesce(
                    func.sum(case((and_(~held, ~open_, events.c.thumbnail_path.is_not(None)), 1), else_=0)), 0
                ),
            )
            .select_from(events)
            .where(selected)
        ).one()
        total, removed, left_held, left_open, thumbnails = (int(value) for value in counts)
        files = self._connection.execute(
            select(func.count(), func.coalesce(func.sum(clip_files.c.size_bytes), 0))
            .select_from(clip_files.join(events, events.c.event_id == clip_files.c.event_id))
            .where(goes)
        ).one()
        return EventDeletionResult(
            events=removed,
            files=int(files[0]) + thumbnails,
            size_bytes=int(files[1]),
            left_held=left_held,
            left_open=left_open,
            not_found=len(selection.event_ids) - total if selection.event_ids else 0,
        )

    def entomb_page(self, operation_id: str, now_us: int) -> EntombedPage:
        """Remove the rows of the next page that a deletion selects, leave tombstones, and note how far it is.

        Events that were recorded after it was asked for are not selected, so it comes to an end. What is on hold or
        not finished is left and counted.

        Raises:
            NotFoundError: There is no such operation.
        """
        # Of a step that Temporal gave up and tries again, both may run: one after the other.
        operation = self._operations.locked(operation_id)
        progress = operation.progress
        before = EventDeletionResult(**{name: progress.get(name, 0) for name in _COUNTS})
        if progress.get(_STEP) == _FILES:
            return EntombedPage(before, more=False)
        rows, asked, cursor = self._page(operation)
        done = _sum(before, self._remove(operation, rows, now_us), asked - len(rows))
        self._operations.progress(
            operation_id,
            {**asdict(done), _STEP: _FILES if cursor is None else _ROWS, PROGRESS_CURSOR: cursor},
            now_us,
        )
        return EntombedPage(done, more=cursor is not None)

    def take_over_leftovers(self, operation_id: str, now_us: int) -> OperationRow | None:
        """Ask for a deletion that does nothing but remove the files that other operations left when they ended.

        Where somebody terminated a workflow, rows are gone and files may be there: nobody else would look after them.

        Returns:
            The new operation, or None where nothing was left.
        """
        ended = select(operations.c.operation_id).where(operations.c.finished_us.is_not(None))
        known = select(operations.c.operation_id)
        mine = tombstones.c.operation_id
        left = and_(tombstones.c.buried_us.is_(None), mine.is_not(None), or_(mine.in_(ended), mine.not_in(known)))
        taken = self._connection.execute(update(tombstones).where(left).values(operation_id=operation_id))
        if not taken.rowcount:
            return None
        draft = OperationDraft(
            operation_id=operation_id,
            kind=OperationKind.EVENT_DELETION,
            workflow_id=event_deletion_workflow_id(operation_id),
            request={"leftovers": taken.rowcount},
        )
        self._operations.ask(draft, now_us)
        self._operations.progress(operation_id, {_STEP: _FILES}, now_us)
        return self._operations.get(operation_id)

    def _page(self, operation: OperationRow) -> tuple[list[EventRow], int, str | None]:
        """Rows of the next page, how many were named (those found, where none was named), and the page after it."""
        selection = EventSelection.of_request(operation.request)
        cursor = operation.progress.get(PROGRESS_CURSOR)
        if selection.event_ids:
            start = int(cursor or 0)
            named = selection.event_ids[start : start + PAGE_EVENTS]
            end = start + len(named)
            return self._events.some(named), len(named), str(end) if end < len(selection.event_ids) else None
        rows, after = self._events.page(selection.filters, limit=PAGE_EVENTS, cursor=cursor)
        rows = [row for row in rows if row.created_us <= operation.created_us]
        return rows, len(rows), after

    def _remove(self, operation: OperationRow, rows: list[EventRow], now_us: int) -> EventDeletionResult:
        stones = self._tombstones.entomb(
            [row.event_id for row in rows], RemovalReason.DELETED, now_us, operation_id=operation.operation_id
        )
        removed = {stone.event_id for stone in stones}
        left = [row for row in rows if row.event_id not in removed]
        left_held = sum(row.hold_us is not None for row in left)
        return EventDeletionResult(
            events=len(stones),
            files=sum(
                len(row.clip_files) + (row.thumbnail_path is not None) for row in rows if row.event_id in removed
            ),
            size_bytes=sum(stone.size_bytes for stone in stones),
            left_held=left_held,
            left_open=len(left) - left_held,
        )


def _conditions(selection: EventSelection) -> list[ColumnElement[bool]]:
    if selection.event_ids:
        return [events.c.event_id.in_(selection.event_ids)]
    given = selection.filters
    conditions: list[ColumnElement[bool]] = [events.c.event_id.is_not(None)]
    if given.camera_id is not None:
        conditions.append(events.c.camera_id == given.camera_id)
    if given.from_us is not None:
        conditions.append(events.c.started_us >= given.from_us)
    if given.to_us is not None:
        conditions.append(events.c.started_us < given.to_us)
    if given.label is not None:
        labelled = select(event_labels.c.event_id).where(event_labels.c.label == given.label)
        conditions.append(events.c.event_id.in_(labelled))
    if given.state is not None:
        conditions.append(events.c.state == given.state.value)
    return conditions


def _sum(before: EventDeletionResult, page: EventDeletionResult, not_found: int) -> EventDeletionResult:
    counts = {name: getattr(before, name) + getattr(page, name) for name in _COUNTS}
    counts["not_found"] += not_found
    return EventDeletionResult(**counts)
