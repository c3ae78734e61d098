"""What `iris check --repair` writes: rows come to tell the truth about files that are gone.

The one place where a terminal event changes its state: from `ready` to `partial` or `failed`, never the other way
but by a clip that was made and verified anew. Each call is one transaction, and looks at the row again inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, delete, select, update

from iris.contracts.events import ClipFile, ClipResult, TimeRange
from iris.domain.event import EventState
from iris.domain.segment import GapReason
from iris.store.engine import Store, translated
from iris.store.events import EventRow
from iris.store.statements import insert
from iris.store.tables import clip_files, event_ranges, events

_TERMINAL = tuple(state.value for state in EventState if state.terminal)


class StoreRepairs:
    """Over the main database. Every method raises `StoreError` where it is unreachable, and then nothing changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def lose_clip_files(
        self, event: EventRow, lost: Sequence[ClipFile], failure: str, still_lost: Callable[[], bool]
    ) -> EventState | None:
        """Take files from an event: what they covered is missing from now on.

        Args:
            event: The event as it was read, with its ranges.
            lost: Those of its files that are gone or damaged.
            failure: Sentence for an event that has no file left.
            still_lost: Looked at inside the transaction, so that a file that came back stays.

        Returns:
            Its state now; None where the event changed or went meanwhile, and nothing was done.
        """
        kept = [file for file in event.clip_files if file not in lost]
        covered, missing = _without(event, lost, kept)
        state = EventState.PARTIAL if kept else EventState.FAILED
        with translated(), self._store.engine.execution_options(iris_begin="BEGIN IMMEDIATE").begin() as connection:
            if not _is_as_read(connection, event) or not still_lost():
                return None
            paths = [file.path for file in lost]
            connection.execute(delete(clip_files).where(clip_files.c.path.in_(paths)))
            _set_ranges(connection, event.event_id, covered, missing)
            _set_state(connection, event.event_id, state, None if kept else failure)
        return state

    def replace_clip(self, event: EventRow, clip: ClipResult) -> bool:
        """Give an event the clip that was made and verified anew; false where it changed or went meanwhile."""
        with translated(), self._store.engine.execution_options(iris_begin="BEGIN IMMEDIATE").begin() as connection:
            if not _is_as_read(connection, event):
                return False
            connection.execute(delete(clip_files).where(clip_files.c.event_id == event.event_id))
            names = [column.name for column in clip_files.columns if column.name not in ("event_id", "part")]
            rows = [
                {"event_id": event.event_id, "part": part} | {name: getattr(file, name) for name in names}
                for part, file in enumerate(clip.files)
            ]
            connection.execute(insert(connection, clip_files), rows)
            _set_ranges(connection, event.event_id, clip.covered, clip.missing)
            _set_state(connection, event.event_id, EventState(clip.state), None)
        return True

    def forget_thumbnail(self, event_id: str, path: str) -> bool:
        """An event has no picture any more; false where its row says something else by now."""
        with translated(), self._store.engine.execution_options(iris_begin="BEGIN IMMEDIATE").begin() as connection:
            same = (events.c.event_id == event_id, events.c.thumbnail_path == path)
            return connection.execute(update(events).where(*same).values(thumbnail_path=None)).rowcount > 0


def _is_as_read(connection: Connection, event: EventRow) -> bool:
    query = select(events.c.state).where(events.c.event_id == event.event_id).with_for_update()
    state = connection.execute(query).scalar_one_or_none()
    paths = select(clip_files.c.path).where(clip_files.c.event_id == event.event_id)
    same_files = set(connection.execute(paths).scalars()) == {file.path for file in event.clip_files}
    return state == event.state.value and state in _TERMINAL and same_files


def _set_state(connection: Connection, event_id: str, state: EventState, failure: str | None) -> None:
    connection.execute(update(events).where(events.c.event_id == event_id).values(state=state.value, failure=failure))


def _set_ranges(
    connection: Connection, event_id: str, covered: Sequence[TimeRange], missing: Sequence[TimeRange]
) -> None:
    connection.execute(delete(event_ranges).where(event_ranges.c.event_id == event_id))
    rows = [
        {"event_id": event_id, "start_us": span.start_us, "end_us": span.end_us, "reason": reason}
        for span, reason in [*((s, None) for s in covered), *((s, s.reason or "unknown") for s in missing)]
    ]
    connection.execute(insert(connection, event_ranges), rows)


def _without(
    event: EventRow, lost: Sequence[ClipFile], kept: Sequence[ClipFile]
) -> tuple[list[TimeRange], list[TimeRange]]:
    """Covered and missing ranges once files are lost; together they are what they were before.

    >>> def file(start, end):
    ...     return ClipFile(f"{start}", 1, "", start, end, end - start, 1, 0)
    >>> from types import SimpleNamespace
    >>> row = SimpleNamespace(covered=(TimeRange(0, 30),), missing=(TimeRange(30, 40, "stopped"),))
    >>> _without(row, [file(10, 20)], [file(0, 10), file(20, 30)])[0]
    [TimeRange(start_us=0, end_us=10, reason=''), TimeRange(start_us=20, end_us=30, reason='')]
    """
    # A file of other parameters may lie inside another one's span: what a kept file inside covers stays covered.
    inside = [
        (file.start_us, file.end_us)
        for file in kept
        if any(gone.start_us <= file.start_us and file.end_us <= gone.end_us for gone in lost)
    ]
    gone_spans = _cut([(file.start_us, file.end_us) for file in lost], inside)
    whole = [(span.start_us, span.end_us) for span in event.covered]
    covered = _cut(whole, gone_spans if kept else whole)
    missing = [TimeRange(start, end, GapReason.CLIP_LOST.value) for start, end in _cut(whole, covered)]
    return [TimeRange(start, end) for start, end in covered], [*event.missing, *missing]


def _cut(spans: Sequence[tuple[int, int]], holes: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans without the holes, in order."""
    left = sorted(spans)
    for hole_start, hole_end in holes:
        left = [
            part
            for start, end in left
            for part in ((start, min(end, hole_start)), (max(start, hole_end), end))
            if part[0] < part[1]
        ]
    return left
