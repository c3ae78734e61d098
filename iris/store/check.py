"""What `iris check` reads of the main database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import func, select

from iris.contracts.events import TimeRange
from iris.store.engine import Store, translated
from iris.store.events import EventFilters, EventRow
from iris.store.migrate import SchemaState, schema_state
from iris.store.system import StoreIdentity
from iris.store.tables import clip_files, event_ranges, events

_MOST = 100


def integrity_problems(store: Store) -> list[str]:
    """What the database says of its own files; PostgreSQL checks its pages itself as it reads them.

    Raises:
        StoreError: The database cannot be read at all.
    """
    if store.engine.dialect.name != "sqlite":
        return []
    with translated(), store.engine.connect() as connection:
        found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check(20)")]
        found += [
            f"a row of {row[0]} refers to a row of {row[2]} that is not there"
            for row in connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(20)
        ]
    return [text for text in found if text != "ok"]


def read_schema(store: Store) -> SchemaState:
    """Where the database's schema stands.

    Raises:
        StoreError: The database is unreachable.
    """
    with translated(), store.engine.connect() as connection:
        return schema_state(connection)


def read_identity(store: Store) -> StoreIdentity | None:
    """The store's identity; None where it was never paired.

    Raises:
        StoreError: The database is unreachable.
    """
    with store.reading() as work:
        return work.system.identity()


def walk_events(store: Store, page_size: int = 500) -> Iterator[EventRow]:
    """Every event with files and all ranges, newest first, a page at a time, so that memory stays small.

    Raises:
        StoreError: The database is unreachable.
    """
    cursor: str | None = None
    while True:
        with store.reading() as work:
            rows, cursor = work.events.page(EventFilters(leaving=True), limit=page_size, cursor=cursor)
        # Asked here for all: a page takes the word of a ready event that nothing of it is missing.
        spans = _ranges(store, [row.event_id for row in rows])
        for row in rows:
            of_row = spans.get(row.event_id, [])
            yield replace(
                row,
                covered=tuple(span for span in of_row if not span.reason),
                missing=tuple(span for span in of_row if span.reason),
            )
        if cursor is None:
            return


def _ranges(store: Store, event_ids: list[str]) -> dict[str, list[TimeRange]]:
    """Covered ranges (no reason) and missing ones, by event."""
    query = (
        select(event_ranges.c.event_id, event_ranges.c.start_us, event_ranges.c.end_us, event_ranges.c.reason)
        .where(event_ranges.c.event_id.in_(event_ids))
        .order_by(event_ranges.c.event_id, event_ranges.c.start_us)
    )
    found: dict[str, list[TimeRange]] = {}
    with translated(), store.engine.connect() as connection:
        for event_id, start_us, end_us, reason in connection.execute(query):
            found.setdefault(event_id, []).append(TimeRange(start_us, end_us, reason or ""))
    return found


def doubled_clips(store: Store) -> list[str]:
    """Clip files that two rows name, and clips of events that there are not; the constraints forbid both.

    Raises:
        StoreError: The database is unreachable.
    """
    twice = select(clip_files.c.path).group_by(clip_files.c.path).having(func.count() > 1).order_by(clip_files.c.path)
    lone = select(clip_files.c.path).where(clip_files.c.event_id.not_in(select(events.c.event_id)))
    with translated(), store.engine.connect() as connection:
        return [
            *(f"{path} has two rows" for path in connection.execute(twice.limit(_MOST)).scalars()),
            *(f"{path} is a clip of no event" for path in connection.execute(lone.limit(_MOST)).scalars()),
        ]
