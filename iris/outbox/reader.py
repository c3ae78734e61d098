"""The node's reading end of the cameras' files; it can never write them."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from iris.base.errors import InputError, StorageError
from iris.base.ids import CameraId, RunId, parse_id
from iris.base.sqlite import connect_readonly, sqlite_module
from iris.contracts.events import EventMessage
from iris.domain.event import OpenEvent
from iris.domain.segment import Gap, GapReason, Segment
from iris.outbox.camera_db import camera_db_path
from iris.outbox.rows import message_from_json, read_open_events

T = TypeVar("T")

_SEGMENT_COLUMNS = """segment_id, run_id, path, start_us, end_us, size_bytes, video_packet_count, audio_packet_count,
  sha256, params_hash, max_gop_us"""
# Segments follow one another, so the search begins at the newest one that starts before the span; the margin covers
# overlaps that a stepped wall clock leaves.
_SEGMENTS = f"""SELECT {_SEGMENT_COLUMNS} FROM segments JOIN runs USING (run_id)
WHERE state = 'durable' AND start_us < :end AND end_us > :start AND start_us >= -600000000 + coalesce(
  (SELECT max(start_us) FROM segments WHERE state = 'durable' AND start_us <= :start), :start)
ORDER BY start_us, segment_id"""  # noqa: S608 - column names only


@dataclass(frozen=True, slots=True)
class KnownEvent:
    """An event of which a camera's file holds anything; wall time in microseconds."""

    event_id: str
    started_us: int
    last_seen_us: int


class CameraDbReader:
    """Implements `SegmentIndexReader` and `OutboxReader` over read-only connections, one per camera, kept open.

    Any thread may call it. A camera without a file reads as empty; a file that was made anew is opened anew.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._lock = threading.Lock()
        self._connections: dict[str, tuple[tuple[int, int], sqlite3.Connection]] = {}

    def camera_ids(self) -> list[CameraId]:
        """Cameras that have a file on this node, running or not."""
        names = [path.stem for path in sorted((self._data_dir / "node").glob("*.db"))]
        return [CameraId(name) for name in names if _is_id(name)]

    def segments_between(self, camera_id: CameraId, start_us: int, end_us: int) -> list[Segment]:
        """Durable segments that overlap the span, by start."""
        rows = self._query(camera_id, _SEGMENTS, {"start": start_us, "end": end_us})
        return [Segment(row[0], camera_id, RunId(row[1]), *row[2:]) for row in rows]

    def gaps_between(self, camera_id: CameraId, start_us: int, end_us: int) -> list[Gap]:
        """Gaps that overlap the span, by start; an open gap has `end_us` None."""
        rows = self._query(
            camera_id,
            "SELECT start_us, end_us, reason FROM gaps WHERE start_us < ? AND (end_us IS NULL OR end_us > ?)"
            " ORDER BY start_us, gap_id",
            (end_us, start_us),
        )
        return [Gap(start, end, GapReason(reason)) for start, end, reason in rows]

    def newest_end_us(self, camera_id: CameraId) -> int | None:
        """End of the durable segment that was recorded last; after the clock was set back others may end later."""
        rows = self._query(
            camera_id, "SELECT end_us FROM segments WHERE state = 'durable' ORDER BY segment_id DESC LIMIT 1"
        )
        return rows[0][0] if rows else None

    def first_start_us(self, camera_id: CameraId) -> int | None:
        """When the camera's first run began, or the first try where it never recorded; None where it never ran."""
        rows = self._query(
            camera_id, "SELECT coalesce((SELECT min(started_us) FROM runs), (SELECT min(start_us) FROM gaps))"
        )
        return rows[0][0] if rows else None

    def rows_after(self, camera_id: CameraId, row_id: int, limit: int) -> list[tuple[int, EventMessage]]:
        """Outbox rows with an id above `row_id`, oldest first, as (row id, message)."""
        rows = self._query(
            camera_id, "SELECT row_id, message FROM outbox WHERE row_id > ? ORDER BY row_id LIMIT ?", (row_id, limit)
        )
        return [(number, message_from_json(text)) for number, text in rows]

    def rows_of_event(self, camera_id: CameraId, event_id: str) -> list[tuple[int, EventMessage]]:
        """All outbox rows of one event, oldest first."""
        rows = self._query(camera_id, "SELECT row_id, message FROM outbox WHERE event_id = ? ORDER BY seq", (event_id,))
        return [(number, message_from_json(text)) for number, text in rows]

    def open_events(self, camera_id: CameraId) -> list[OpenEvent]:
        """The events that the camera process holds open: a presence, a manual recording."""
        return self._read(camera_id, read_open_events, [])

    def known_events(self, camera_id: CameraId) -> list[KnownEvent]:
        """Every event that the file holds anything of, by id: rows to hand over, open, or with pins to be made."""
        known = {}
        windows = self._query(camera_id, "SELECT event_id, window_start_us, window_end_us FROM closed_windows")
        for event_id, start_us, end_us in windows:
            known[event_id] = KnownEvent(event_id, start_us, end_us)
        for event in self.open_events(camera_id):
            known[event.event_id] = KnownEvent(event.event_id, event.started_us, event.last_seen_us)
        # Of a group with max() SQLite takes the other columns from the row that has it.
        for _, text in self._query(camera_id, "SELECT max(seq), message FROM outbox GROUP BY event_id"):
            message = message_from_json(text)
            known[message.event_id] = KnownEvent(message.event_id, message.started_us, message.last_seen_us)
        return [known[event_id] for event_id in sorted(known)]

    def row_counts(self, camera_id: CameraId) -> dict[str, int]:
        """How many rows its tables have; {} where the camera has no file."""
        query = "SELECT 'outbox', count(*) FROM outbox UNION ALL SELECT 'gaps', count(*) FROM gaps"
        return dict(self._query(camera_id, query))

    def forget(self, camera_id: CameraId) -> None:
        """Close the connection to a camera's file, which is about to be removed."""
        with self._lock:
            kept = self._connections.pop(camera_id, None)
            if kept is not None:
                kept[1].close()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for _, connection in self._connections.values():
                connection.close()
            self._connections.clear()

    def _query(self, camera_id: str, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[tuple[Any, ...]]:
        return self._read(camera_id, lambda connection: connection.execute(sql, values).fetchall(), [])

    def _read(self, camera_id: str, read: Callable[[sqlite3.Connection], T], empty: T) -> T:
        """What `read` finds in the camera's file; `empty` where there is none."""
        module = sqlite_module()
        with self._lock:
            try:
                connection = self._connection(camera_id)
                return empty if connection is None else read(connection)
            except module.Error as error:
                raise StorageError(f"the file of camera {camera_id} cannot be read: {error}") from error

    def _connection(self, camera_id: str) -> sqlite3.Connection | None:
        path = camera_db_path(self._data_dir, parse_id(camera_id, field="camera_id"))
        kept = self._connections.get(camera_id)
        try:
            stat = path.stat()
        except FileNotFoundError:
            stat = None
        identity = (stat.st_dev, stat.st_ino) if stat is not None else None
        if kept is not None and kept[0] == identity:
            return kept[1]
        if kept is not None:
            kept[1].close()
            del self._connections[camera_id]
        if identity is None:
            return None
        connection = connect_readonly(path)
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:  # its writer is still making the tables
            connection.close()
            return None
        self._connections[camera_id] = (identity, connection)
        return connection


def _is_id(name: str) -> bool:
    try:
        parse_id(name)
    except InputError:
        return False
    return True
