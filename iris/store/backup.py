"""What a backup reads of the main database: one snapshot, the rows of each table in it, and the files its events have.

On SQLite the snapshot is a copy made by its backup API, which takes one moment of the database whoever writes
(measured: milliseconds for a small one, and no writer waits in WAL mode). On PostgreSQL it is a transaction whose
snapshot `pg_dump` is told to use, so that the dump and what is read here are the same moment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, Connection, NullPool, Table, create_engine, func, select, text

from iris.base.errors import StoreError
from iris.base.sqlite import connect_readonly, sqlite_module
from iris.contracts.events import KIND_CLOSED, STATE_FAILED, ClipResult, EventMessage, FinaliseEvent, TimeRange
from iris.domain.event import EndReason, EventState
from iris.store.engine import Repositories, Store, translated
from iris.store.events import EventRow
from iris.store.tables import cameras, clip_files, events, metadata

_PAGE: Final = 500
_TERMINAL: Final = frozenset(state.value for state in EventState if state.terminal)


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """A clip file as its row says; `path` is relative to DATA_DIR."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFiles:
    """An event of the snapshot, the files it has, and how many rows of other tables go with it."""

    event_id: str
    node_id: str
    terminal: bool
    has_window: bool
    files: tuple[RecordedFile, ...]
    thumbnail_path: str | None
    rows: Mapping[str, int]


def snapshot_sqlite(source: Path, target: Path) -> None:
    """Copy an SQLite database as it is at one moment into a file of its own (0600), durable; checked whole.

    Raises:
        StoreError: It cannot be read or copied, or the copy is damaged.
    """
    module = sqlite_module()
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(connect_readonly(source)) as reading, closing(module.connect(str(target))) as made:
            reading.backup(made)
            # One file, without a log beside it.
            made.execute("PRAGMA journal_mode=DELETE").fetchone()
            found = made.execute("PRAGMA integrity_check(1)").fetchone()[0]
    except module.Error as error:
        raise StoreError(f"{source.name} could not be copied: {error}") from error
    if found != "ok":
        raise StoreError(f"{source.name} is damaged, so no backup is made of it: {found}")
    descriptor = os.open(target, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def snapshot(main: Store, target: Path, dump: Callable[[str], None]) -> Iterator[Connection]:
    """A snapshot of the main database into `target`, and a connection that reads exactly what is in it.

    Args:
        main: The main database.
        target: The file to make.
        dump: Writes `target` for PostgreSQL; takes the id of the snapshot.

    Raises:
        StoreError: The database is unreachable, or cannot be copied.
    """
    if main.engine.dialect.name == "sqlite":
        snapshot_sqlite(Path(main.engine.url.database or ""), target)
        with reading_file(target) as connection:
            yield connection
        return
    engine = main.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with translated(), engine.connect() as connection:
        dump(str(connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()))
        yield connection


@contextmanager
def reading_file(path: Path) -> Iterator[Connection]:
    """A connection to an SQLite file that leaves it as it is."""
    engine = create_engine(
        "sqlite://", creator=lambda: connect_readonly(path), module=sqlite_module(), poolclass=NullPool
    )
    try:
        with translated(), engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def camera_ids(connection: Connection) -> list[str]:
    """Every camera."""
    return list(connection.execute(select(cameras.c.camera_id).order_by(cameras.c.camera_id)).scalars())


def walk_event_files(connection: Connection) -> Iterator[EventFiles]:
    """Every event by id, a page at a time, so that memory stays small."""
    columns = (
        events.c.event_id, events.c.node_id, events.c.state, events.c.thumbnail_path,
        events.c.window_start_us, events.c.window_end_us, events.c.last_seen_us,
    )  # fmt: skip
    after = ""
    while True:
        query = select(*columns).where(events.c.event_id > after).order_by(events.c.event_id).limit(_PAGE)
        page = connection.execute(query).all()
        if not page:
            return
        after = page[-1].event_id
        ids = [row.event_id for row in page]
        files, rows = _files_of(connection, ids), _rows_with(connection, ids)
        for row in page:
            end_us = row.last_seen_us if row.window_end_us is None else row.window_end_us
            yield EventFiles(
                event_id=row.event_id,
                node_id=row.node_id,
                terminal=row.state in _TERMINAL,
                has_window=end_us > row.window_start_us,
                files=tuple(files.get(row.event_id, ())),
                thumbnail_path=row.thumbnail_path,
                rows=rows.get(row.event_id, {}),
            )


def end_without_footage(work: Repositories, row: EventRow, sentence: str, now_us: int) -> None:
    """End an event of which no footage is left, truthfully: failed, with its whole window missing."""
    end_us = row.last_seen_us if row.window_end_us is None else row.window_end_us
    message = EventMessage(
        kind=KIND_CLOSED, event_id=row.event_id, camera_id=row.camera_id, node_id=row.node_id, seq=row.seq,
        started_us=row.started_us, last_seen_us=row.last_seen_us, window_start_us=row.window_start_us,
        labels=row.labels, window_end_us=end_us, end_reason=row.end_reason or EndReason.ABANDONED.value,
        continues=row.continues, backend=row.backend,
    )  # fmt: skip
    missing = (TimeRange(row.window_start_us, end_us, "unknown"),) if end_us > row.window_start_us else ()
    clip = ClipResult(state=STATE_FAILED, missing=missing, failure=sentence)
    work.events.finalise(FinaliseEvent(message, clip), now_us)


def _files_of(connection: Connection, ids: list[str]) -> dict[str, list[RecordedFile]]:
    query = (
        select(clip_files.c.event_id, clip_files.c.path, clip_files.c.size_bytes, clip_files.c.sha256)
        .where(clip_files.c.event_id.in_(ids))
        .order_by(clip_files.c.event_id, clip_files.c.part)
    )
    found: dict[str, list[RecordedFile]] = {}
    for event_id, path, size_bytes, sha256 in connection.execute(query):
        found.setdefault(event_id, []).append(RecordedFile(path, size_bytes, sha256))
    return found


def _rows_with(connection: Connection, ids: list[str]) -> dict[str, dict[str, int]]:
    """How many rows of each table the database removes together with an event."""
    found: dict[str, dict[str, int]] = {}
    for table, column in _children():
        query = select(column, func.count()).where(column.in_(ids)).group_by(column)
        for event_id, count in connection.execute(query):
            found.setdefault(event_id, {})[table.name] = count
    return found


def _children() -> list[tuple[Table, Column[Any]]]:
    """Tables whose rows refer to an event and go with it, notifications too, which go by name."""
    named = [table for table in metadata.sorted_tables if table.name == "notifications"]
    referring = [
        (table, key.parent)
        for table in metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table is events and key.ondelete == "CASCADE"
    ]
    return [*referring, *((table, table.c.event_id) for table in named)]
