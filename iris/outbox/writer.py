"""The camera process's hand on its outbox: rows and the state of events change in one durable transaction.

Sequence numbers are minted inside the transaction that stores them, so a step that is repeated after an unclear
failure neither doubles a row nor leaves a hole.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from iris.base.errors import DiskFullError, StorageError
from iris.base.sqlite import sqlite_module
from iris.contracts.events import EventMessage
from iris.domain.event import OpenEvent
from iris.domain.segment import GapReason
from iris.outbox.camera_db import CameraDb
from iris.outbox.rows import CLOSED, OPENED, message_to_json, read_open_events
from iris.ports import Clock


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """The window of a closed event whose last segments may still come."""

    event_id: str
    start_us: int
    end_us: int


class EventOutbox:
    """Events of one camera. Any thread; every change is durable when its method returns.

    All methods raise `StorageError` (`DiskFullError` where there is no space), and then nothing has changed.
    """

    def __init__(self, db: CameraDb, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self.accepted_count = 0  # events whose first message became durable here

    def load_open_event(self, *, manual: bool = False) -> OpenEvent | None:
        """What was open when this file was last written, presence or manual; `seq` 0 where it is not accepted yet."""
        with self._reading() as connection:
            return next((event for event in read_open_events(connection) if event.manual == manual), None)

    def begin(self, event: OpenEvent) -> None:
        """Keep an event before anything else of it exists, so that no pin is ever without one; idempotent."""
        with self._writing() as connection:
            _begin(connection, event)

    def append(self, message: EventMessage, continued_by: OpenEvent | None = None) -> EventMessage | None:
        """Store a message with the next sequence number, and the state that follows from it.

        Args:
            message: Complete but for `seq`. `opened` is stored once, `closed` ends the event.
            continued_by: With `closed`: the event that begins at the same instant, as by `begin`.

        Returns:
            The message as stored, or None where it was stored before or its event is not open any more.
        """
        with self._writing() as connection:
            row = connection.execute("SELECT seq FROM open_events WHERE event_id = ?", (message.event_id,)).fetchone()
            if row is None or (message.kind == OPENED and row[0] > 0):
                return None
            stored = replace(message, seq=row[0] + 1)
            connection.execute(
                "INSERT INTO outbox (event_id, seq, message, created_us) VALUES (?, ?, ?, ?)",
                (stored.event_id, stored.seq, message_to_json(stored), self._clock.wall_us()),
            )
            if message.kind == CLOSED:
                self._end(connection, stored, continued_by)
            else:
                connection.execute(
                    "UPDATE open_events SET seq = ?, last_seen_us = max(last_seen_us, ?), labels = ?"
                    " WHERE event_id = ?",
                    (stored.seq, stored.last_seen_us, json.dumps(stored.labels), stored.event_id),
                )
        if stored.seq == 1:
            self.accepted_count += 1
        return stored

    def touch(self, event_id: str, last_seen_us: int) -> None:
        """Remember when the open event was last seen, without a message."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE open_events SET last_seen_us = ? WHERE event_id = ? AND last_seen_us < ?",
                (last_seen_us, event_id, last_seen_us),
            )

    def closed_windows(self) -> list[ClosedWindow]:
        """Windows whose last pins are still to be made, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT event_id, window_start_us, window_end_us FROM closed_windows ORDER BY window_end_us, event_id"
            ).fetchall()
        return [ClosedWindow(*row) for row in rows]

    def drop_window(self, event_id: str) -> None:
        """Nothing more can come for this window; idempotent."""
        with self._writing() as connection:
            connection.execute("DELETE FROM closed_windows WHERE event_id = ?", (event_id,))

    def event_ids(self) -> list[str]:
        """Every event that is not forgotten: open, or with rows."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT event_id FROM outbox UNION SELECT event_id FROM open_events"
                " UNION SELECT event_id FROM closed_windows"
            ).fetchall()
        return [row[0] for row in rows]

    def forget(self, event_ids: Collection[str]) -> None:
        """Drop the rows of events that reached their end everywhere; an open one stays. Idempotent."""
        with self._writing() as connection:
            for event_id in event_ids:
                connection.execute("DELETE FROM closed_windows WHERE event_id = ?", (event_id,))
                connection.execute(
                    "DELETE FROM outbox WHERE event_id = ? AND event_id NOT IN (SELECT event_id FROM open_events)",
                    (event_id,),
                )

    def record_dropped(self, start_us: int, end_us: int) -> None:
        """Footage that was kept for events goes, beyond the pin budget: a gap, one row while it grows."""
        reason = GapReason.PIN_BUDGET.value
        with self._writing() as connection:
            grown = connection.execute(
                "UPDATE gaps SET end_us = max(end_us, ?) WHERE gap_id = (SELECT max(gap_id) FROM gaps WHERE reason = ?)"
                " AND end_us >= ? AND start_us <= ?",
                (end_us, reason, start_us, start_us),
            )
            if grown.rowcount == 0:
                connection.execute(
                    "INSERT INTO gaps (start_us, end_us, reason) VALUES (?, ?, ?)", (start_us, end_us, reason)
                )

    def _end(self, connection: sqlite3.Connection, closed: EventMessage, continued_by: OpenEvent | None) -> None:
        connection.execute("DELETE FROM open_events WHERE event_id = ?", (closed.event_id,))
        connection.execute(
            "INSERT INTO closed_windows VALUES (?, ?, ?)",
            (closed.event_id, closed.window_start_us, closed.window_end_us),
        )
        if continued_by is not None:
            _begin(connection, continued_by)

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _translated(), self._db.transaction() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _translated(), self._db.reading() as connection:
            yield connection


def _begin(connection: sqlite3.Connection, event: OpenEvent) -> None:
    # INSERT OR IGNORE would hide a second open event; the same one again is a repeated step.
    if connection.execute("SELECT 1 FROM open_events WHERE event_id = ?", (event.event_id,)).fetchone():
        return
    connection.execute(
        "INSERT INTO open_events (event_id, kind, started_us, last_seen_us, window_start_us, labels, seq, continues,"
        " stops_us) VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)",
        (
            event.event_id,
            "manual" if event.manual else "presence",
            event.started_us,
            event.last_seen_us,
            event.window_start_us,
            json.dumps(event.labels),
            event.continues,
            event.stops_us,
        ),
    )


@contextmanager
def _translated() -> Iterator[None]:
    module = sqlite_module()
    try:
        yield
    except module.Error as error:
        if getattr(error, "sqlite_errorname", "").startswith("SQLITE_FULL") or "disk is full" in str(error):
            raise DiskFullError("the camera's own file cannot grow: the disk is full") from error
        raise StorageError(f"the camera's own file cannot be used: {error}") from error
