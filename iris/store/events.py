"""Rows of events: applying messages in any order, the one terminal state, and pages.

Messages may come first, twice, late or out of order; a row keeps the newest by sequence number, goes only forward
(open, closing, terminal) and reaches exactly one terminal state. A page costs one query for the events and one
each for their clip files and missing ranges, and never counts rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Row,
    Select,
    String,
    bindparam,
    delete,
    or_,
    select,
    tuple_,
    update,
)

from iris.base.errors import InputError, NotFoundError
from iris.base.ids import CameraId, EventId, NodeId
from iris.contracts.events import (
    KIND_CLOSED,
    STATE_DELETED,
    ClipFile,
    ClipResult,
    EventMessage,
    FinaliseEvent,
    RecordedEvent,
    TimeRange,
)
from iris.domain.event import EndReason, EventState
from iris.store.cursors import check_limit, decode_cursor, encode_cursor
from iris.store.statements import insert
from iris.store.tables import cameras, clip_files, event_labels, event_ranges, events
from iris.store.tombstones import TombstoneRepository

_MAY_LACK = (EventState.PARTIAL.value, EventState.FAILED.value)
_TERMINAL = tuple(state.value for state in EventState if state.terminal)
# Looked up once per statement: an installation has hundreds of cameras, and hardly ever one that leaves.
_LEAVING = select(cameras.c.camera_id).where(or_(cameras.c.deleting_us.is_not(None), cameras.c.purging_us.is_not(None)))
_Row = Row[*tuple[Any, ...]]
_CLIP_FILE_FIELDS = tuple(column.name for column in clip_files.columns if column.name not in ("event_id", "part"))


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as the database has it: the columns of `events` in their order, then files and ranges.

    Times are wall time in microseconds; None as in `iris.store.tables`. `covered` is filled by `get` alone: no list
    shows it, and it would cost a page a fifth of its time.
    """

    event_id: EventId
    camera_id: CameraId
    node_id: NodeId
    state: EventState
    seq: int
    labels: tuple[str, ...]
    started_us: int
    last_seen_us: int
    ended_us: int | None
    end_reason: EndReason | None
    window_start_us: int
    window_end_us: int | None
    continues: EventId | None
    backend: str
    thumbnail_path: str | None
    failure: str | None
    created_us: int
    finalised_us: int | None
    hold_us: int | None = None
    hold_note: str | None = None
    clip_files: tuple[ClipFile, ...] = ()
    missing: tuple[TimeRange, ...] = ()
    covered: tuple[TimeRange, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilters:
    """Which events a page shows; what is None does not filter. `from_us` <= started < `to_us`.

    `leaving`: also those of cameras that are being deleted or repointed, which are there for checks alone.
    """

    camera_id: CameraId | None = None
    from_us: int | None = None
    to_us: int | None = None
    label: str | None = None
    state: EventState | None = None
    held: bool | None = None
    leaving: bool = False


class EventRepository:
    """Events over one connection in a transaction; never commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tombstones = TombstoneRepository(connection)

    def record(self, message: EventMessage, now_us: int) -> RecordedEvent:
        """Insert or update from one message; late, repeated and out-of-order ones change nothing.

        An event that was removed stays removed: the answer is the state `deleted`.

        Raises:
            InputError: A closed message without the end of its window.
        """
        if self._tombstones.forbids(message.event_id, message.camera_id):
            return RecordedEvent(STATE_DELETED, terminal=True)
        row = self._locked(message, now_us)
        state = EventState(row.state)
        # A close is never undone: what comes after it may bring only another close.
        goes_on = state is EventState.OPEN or (state is EventState.CLOSING and _is_closed(message))
        if goes_on and message.seq > row.seq:
            self._apply(message, message.seq)
            state = EventState.CLOSING if _is_closed(message) else state
        return RecordedEvent(state.value, state.terminal)

    def finalise(self, request: FinaliseEvent, now_us: int) -> RecordedEvent:
        """Write the terminal state, clip files and ranges, once; a second call answers what holds (`deleted` too).

        Raises:
            InputError: The clip's state is not terminal, or the message does not close the event.
        """
        message, clip = request.message, request.clip
        target = EventState(clip.state)
        if not target.terminal or not _is_closed(message):
            raise InputError("an event is finalised with a closed message and ready, partial or failed")
        if self._tombstones.forbids(message.event_id, message.camera_id):
            return RecordedEvent(STATE_DELETED, terminal=True)
        row = self._locked(message, now_us)
        state = EventState(row.state)
        if state.terminal:
            return RecordedEvent(state.value, terminal=True)
        # The clip was made for this message's window, so this message is what the row says, even if one was newer.
        self._apply(message, max(message.seq, row.seq))
        self._connection.execute(
            update(events)
            .where(events.c.event_id == message.event_id)
            .values(
                state=target.value,
                failure=(clip.failure or "no reason was given") if target is EventState.FAILED else None,
                thumbnail_path=request.thumbnail_path,
                finalised_us=now_us,
            )
        )
        self._insert_clip(message.event_id, clip)
        return RecordedEvent(target.value, terminal=True)

    def get(self, event_id: EventId) -> EventRow:
        """One event with its files and ranges.

        Raises:
            NotFoundError: There is none of this id, or its camera's footage is being removed.
        """
        query = select(events).where(events.c.event_id == event_id, events.c.camera_id.not_in(_LEAVING))
        row = self._connection.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no event {event_id}")
        spans = self._connection.execute(_COVERED_OF, {"event_id": event_id})
        covered = tuple(TimeRange(start_us, end_us) for start_us, end_us in spans)
        return replace(self._with_details([row])[0], covered=covered)

    def page(
        self, filters: EventFilters, *, limit: int = 50, cursor: str | None = None, offset: int = 0
    ) -> tuple[list[EventRow], str | None]:
        """Events newest first, and the cursor of the next page (None at the end).

        Args:
            filters: Which events.
            limit: 1 to 500.
            cursor: Where to go on; constant cost however deep.
            offset: Rows to skip; its cost grows with it. Not together with a cursor.

        Raises:
            InputError: `limit`, `cursor` or `offset` is not acceptable.
        """
        check_limit(limit, offset)
        if cursor is not None and offset:
            raise InputError("cursor and offset cannot be combined", field="offset")
        values = _page_values(filters, limit, cursor, offset)
        rows = self._connection.execute(_page_query(frozenset(values)), values).all()
        page = self._with_details(rows[:limit])
        more = len(rows) > limit
        return page, encode_cursor(page[-1].started_us, page[-1].event_id) if more else None

    def some(self, event_ids: Collection[str]) -> list[EventRow]:
        """Those of these events that exist, newest first; at most 500 at once."""
        key = (events.c.started_us.desc(), events.c.event_id.desc())
        query = select(events).where(events.c.event_id.in_(list(event_ids))).order_by(*key)
        return self._with_details(self._connection.execute(query).all())

    def unfinished(self) -> list[EventRow]:
        """Every event without a terminal state, oldest first; there are few."""
        query = select(events).where(events.c.state.not_in(_TERMINAL)).order_by(events.c.started_us)
        return self._with_details(self._connection.execute(query).all())

    def _locked(self, message: EventMessage, now_us: int) -> _Row:
        """The event's row, made from the message where there was none, locked until the transaction ends."""
        if _is_closed(message) and message.window_end_us is None:
            raise InputError("a closed message needs the end of its window", field="window_end_us")
        statement = insert(self._connection, events).values(
            event_id=message.event_id, seq=message.seq, created_us=now_us, **_columns(message)
        )
        made = statement.on_conflict_do_nothing(index_elements=["event_id"]).returning(events.c.event_id)
        if self._connection.execute(made).first() is not None:
            self._write_labels(message)
        return self._connection.execute(
            select(events).where(events.c.event_id == message.event_id).with_for_update()
        ).one()

    def _apply(self, message: EventMessage, seq: int) -> None:
        self._connection.execute(
            update(events).where(events.c.event_id == message.event_id).values(seq=seq, **_columns(message))
        )
        self._connection.execute(delete(event_labels).where(event_labels.c.event_id == message.event_id))
        self._write_labels(message)

    def _write_labels(self, message: EventMessage) -> None:
        rows = [
            {
                "label": label,
                "started_us": message.started_us,
                "event_id": message.event_id,
                "camera_id": message.camera_id,
            }
            for label in sorted(set(message.labels))
        ]
        if rows:
            self._connection.execute(insert(self._connection, event_labels), rows)

    def _insert_clip(self, event_id: str, clip: ClipResult) -> None:
        files = [
            {"event_id": event_id, "part": part} | {name: getattr(file, name) for name in _CLIP_FILE_FIELDS}
            for part, file in enumerate(clip.files)
        ]
        ranges = [
            {"event_id": event_id, "start_us": span.start_us, "end_us": span.end_us, "reason": reason}
            for span, reason in [
                *((s, None) for s in clip.covered),
                *((s, s.reason or "unknown") for s in clip.missing),
            ]
        ]
        if files:
            self._connection.execute(insert(self._connection, clip_files), files)
        if ranges:
            self._connection.execute(insert(self._connection, event_ranges), ranges)

    def _with_details(self, rows: Sequence[_Row]) -> list[EventRow]:
        if not rows:
            return []
        files: dict[str, list[ClipFile]] = {}
        missing: dict[str, list[TimeRange]] = {}
        for event_id, _part, *values in self._connection.execute(*_for_each(_files_of, rows)):
            files.setdefault(event_id, []).append(ClipFile(*values))
        # Nothing is missing of a clip that is ready; most pages save the query.
        lacking = [row for row in rows if row[3] in _MAY_LACK]
        if lacking:
            for event_id, start_us, end_us, reason in self._connection.execute(*_for_each(_missing_of, lacking)):
                missing.setdefault(event_id, []).append(TimeRange(start_us, end_us, reason))
        return [_domain(row, tuple(files.get(row[0], ())), tuple(missing.get(row[0], ()))) for row in rows]


# Statements are built once: building them anew costs half of the time that a page of 50 may take. Ids have a fixed
# number of places for the same reason: SQLAlchemy writes an `IN` of any length anew for each execution.
_ID_PLACES = 50
_COVERED_OF = (
    select(event_ranges.c.start_us, event_ranges.c.end_us)
    .where(event_ranges.c.event_id == bindparam("event_id"), event_ranges.c.reason.is_(None))
    .order_by(event_ranges.c.start_us)
)
_STATE_OF = {state.value: state for state in EventState}
_REASON_OF = {None: None} | {reason.value: reason for reason in EndReason}


@lru_cache(maxsize=16)
def _files_of(places: int) -> Select[Any]:
    """Clip files of so many events."""
    mine = clip_files.c.event_id.in_(_ids(places))
    return select(clip_files).where(mine).order_by(clip_files.c.event_id, clip_files.c.part)


@lru_cache(maxsize=16)
def _missing_of(places: int) -> Select[Any]:
    """Ranges of so many events in which nothing was recorded."""
    mine = event_ranges.c.event_id.in_(_ids(places))
    query = select(event_ranges).where(mine, event_ranges.c.reason.is_not(None))
    return query.order_by(event_ranges.c.event_id, event_ranges.c.start_us)


def _for_each(statement: Callable[[int], Select[Any]], rows: Sequence[_Row]) -> tuple[Select[Any], dict[str, str]]:
    """The statement with enough places for the ids of `rows`, and its values; the last id fills what is left."""
    places = -(-len(rows) // _ID_PLACES) * _ID_PLACES
    return statement(places), {f"id_{place}": rows[min(place, len(rows) - 1)][0] for place in range(places)}


def _ids(places: int) -> list[BindParameter[str]]:
    return [bindparam(f"id_{place}", type_=String) for place in range(places)]


@lru_cache(maxsize=512)
def _labels(text: str) -> tuple[str, ...]:
    return tuple(json.loads(text))


def _is_closed(message: EventMessage) -> bool:
    return message.kind == KIND_CLOSED


def _columns(message: EventMessage) -> dict[str, object]:
    closed = _is_closed(message)
    return {
        "camera_id": message.camera_id,
        "node_id": message.node_id,
        "state": EventState.CLOSING.value if closed else EventState.OPEN.value,
        "labels": json.dumps(sorted(set(message.labels))),
        "started_us": message.started_us,
        "last_seen_us": message.last_seen_us,
        "ended_us": message.last_seen_us if closed else None,
        "end_reason": message.end_reason if closed else None,
        "window_start_us": message.window_start_us,
        "window_end_us": message.window_end_us if closed else None,
        "continues": message.continues,
        "backend": message.backend,
    }


@lru_cache(maxsize=128)
def _page_query(given: frozenset[str]) -> Select[Any]:
    """The page for one set of given parameters, in the order of an index: that of labels where one is asked for."""
    query = select(events)
    key: tuple[ColumnElement[int], ColumnElement[str]] = (events.c.started_us, events.c.event_id)
    camera: ColumnElement[str] = events.c.camera_id
    if "label" in given:
        query = query.join(event_labels, event_labels.c.event_id == events.c.event_id)
        query = query.where(event_labels.c.label == bindparam("label"))
        key, camera = (event_labels.c.started_us, event_labels.c.event_id), event_labels.c.camera_id
    if "camera_id" in given:
        query = query.where(camera == bindparam("camera_id"))
    if "from_us" in given:
        query = query.where(key[0] >= bindparam("from_us"))
    if "to_us" in given:
        query = query.where(key[0] < bindparam("to_us"))
    if "state" in given:
        query = query.where(events.c.state == bindparam("state"))
    if given & {"held", "free"}:
        query = query.where(events.c.hold_us.is_not(None) if "held" in given else events.c.hold_us.is_(None))
    if "leaving" not in given:
        query = query.where(camera.not_in(_LEAVING))
    if "after_us" in given:
        query = query.where(tuple_(*key) < tuple_(bindparam("after_us", type_=BigInteger), bindparam("after_id")))
    if "skip" in given:
        query = query.offset(bindparam("skip"))
    return query.order_by(key[0].desc(), key[1].desc()).limit(bindparam("most"))


def _page_values(filters: EventFilters, limit: int, cursor: str | None, offset: int) -> dict[str, object]:
    after_us, after_id = (None, None) if cursor is None else decode_cursor(cursor)
    values: dict[str, object | None] = {
        "label": filters.label,
        "camera_id": filters.camera_id,
        "from_us": filters.from_us,
        "to_us": filters.to_us,
        "state": None if filters.state is None else filters.state.value,
        # Which of the two is named chooses the statement; the value goes nowhere.
        "held": filters.held or None,
        "free": filters.held is False or None,
        "leaving": filters.leaving or None,
        "after_us": after_us,
        "after_id": after_id,
        "skip": offset or None,
        # One more than asked for says whether there is a next page.
        "most": limit + 1,
    }
    return {name: value for name, value in values.items() if value is not None}


def _domain(row: _Row, files: tuple[ClipFile, ...], missing: tuple[TimeRange, ...]) -> EventRow:
    # By position: naming 20 columns for 50 rows would cost a tenth of the time that a page may take.
    event_id, camera_id, node_id, state, seq, labels, started_us, last_seen_us, ended_us, reason = row[:10]
    start_us, end_us, continues, backend, thumbnail, failure, created_us, finalised_us, hold_us, hold_note = row[10:]
    return EventRow(
        event_id, camera_id, node_id, _STATE_OF[state], seq, _labels(labels), started_us, last_seen_us, ended_us,
        _REASON_OF[reason], start_us, end_us, continues, backend, thumbnail, failure, created_us, finalised_us,
        hold_us, hold_note, files, missing,
    )  # fmt: skip
