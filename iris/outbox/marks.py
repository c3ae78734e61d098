"""What the node has handed over: `DATA_DIR/node/relay.db`. It alone writes it; cameras cannot.

A delivered event is kept here until its rows are gone from the camera's file, so that a lost Temporal database is
noticed and made up for. Any thread may call; each change is one durable transaction.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from iris.base.errors import StorageError
from iris.base.ids import CameraId
from iris.base.sqlite import connect, sqlite_module, storage_errors
from iris.contracts.events import EventMessage
from iris.domain.dead_letter import DeadLetter

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
  event_id TEXT PRIMARY KEY,
  camera_id TEXT NOT NULL,
  delivered_seq INTEGER NOT NULL CHECK (delivered_seq >= 0),  -- newest message that Temporal acknowledged; 0: none
  terminal_us INTEGER                                         -- wall time of its end; null: not yet
) STRICT;
CREATE INDEX IF NOT EXISTS events_by_camera ON events(camera_id);
CREATE TABLE IF NOT EXISTS dead_letters (
  event_id TEXT NOT NULL, seq INTEGER NOT NULL,
  camera_id TEXT NOT NULL,
  reason TEXT NOT NULL,                                       -- a sentence for people
  noted_us INTEGER NOT NULL,
  PRIMARY KEY (event_id, seq)
) STRICT;
"""


class RelayMarks:
    """Opens or makes the file; close it at the end."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            StorageError: It cannot be opened, is damaged, or was written by a newer Iris; nothing was changed.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        with storage_errors(path):
            self._connection = connect(path)
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StorageError(f"{path.name} was written by a newer Iris (schema {version}); update Iris")
            self._connection.executescript(_SCHEMA)
            self._connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def undelivered(self, rows: Iterable[tuple[int, EventMessage]]) -> list[EventMessage]:
        """The messages that are neither delivered, dead, nor of a terminal event, in the order given."""
        with self._reading() as connection:
            return [message for _, message in rows if not self._is_settled(connection, message)]

    @staticmethod
    def _is_settled(connection: sqlite3.Connection, message: EventMessage) -> bool:
        found = connection.execute(
            "SELECT 1 FROM events WHERE event_id = ? AND (delivered_seq >= ? OR terminal_us IS NOT NULL)"
            " UNION ALL SELECT 1 FROM dead_letters WHERE event_id = ? AND seq = ?",
            (message.event_id, message.seq, message.event_id, message.seq),
        )
        return found.fetchone() is not None

    def mark_delivered(self, message: EventMessage) -> None:
        """Temporal acknowledged this message and, with it, all before it."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO events (event_id, camera_id, delivered_seq) VALUES (?, ?, ?) ON CONFLICT (event_id)"
                " DO UPDATE SET delivered_seq = max(delivered_seq, excluded.delivered_seq)",
                (message.event_id, message.camera_id, message.seq),
            )

    def mark_dead(self, message: EventMessage, reason: str, now_us: int) -> None:
        """Temporal will never accept this message."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (message.event_id, message.seq, message.camera_id, reason, now_us),
            )

    def mark_terminal(self, event_id: str, camera_id: CameraId, now_us: int) -> None:
        """The event reached its end and its pins are released; its rows may go. Idempotent."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO events VALUES (?, ?, 0, ?) ON CONFLICT (event_id)"
                " DO UPDATE SET terminal_us = coalesce(terminal_us, excluded.terminal_us)",
                (event_id, camera_id, now_us),
            )
            connection.execute("DELETE FROM dead_letters WHERE event_id = ?", (event_id,))

    def terminal_events(self, camera_id: CameraId) -> list[str]:
        """Events of the camera whose rows may go, oldest first."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT event_id FROM events WHERE camera_id = ? AND terminal_us IS NOT NULL"
                " ORDER BY terminal_us, event_id",
                (camera_id,),
            )
            return [row[0] for row in found]

    def unfinished_events(self) -> list[tuple[CameraId, str]]:
        """(camera, event) of what was delivered and is not terminal."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT camera_id, event_id FROM events WHERE terminal_us IS NULL ORDER BY event_id"
            )
            return [(CameraId(row[0]), row[1]) for row in found]

    def forget(self, event_ids: Iterable[str]) -> None:
        """Drop the marks of events whose rows are gone, or whose delivery must be done again."""
        with self._writing() as connection:
            connection.executemany("DELETE FROM events WHERE event_id = ?", [(event_id,) for event_id in event_ids])

    def events_of(self, camera_id: CameraId) -> list[str]:
        """Every event of a camera that there is a mark or a dead letter of."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT event_id FROM events WHERE camera_id = :camera UNION"
                " SELECT event_id FROM dead_letters WHERE camera_id = :camera ORDER BY event_id",
                {"camera": camera_id},
            )
            return [row[0] for row in found]

    def forget_camera(self, camera_id: CameraId) -> None:
        """Drop every mark of a camera whose own file is gone."""
        with self._writing() as connection:
            connection.execute("DELETE FROM events WHERE camera_id = ?", (camera_id,))
            connection.execute("DELETE FROM dead_letters WHERE camera_id = ?", (camera_id,))

    def is_terminal(self, event_id: str) -> bool:
        """Whether the event has reached its end."""
        with self._reading() as connection:
            query = "SELECT 1 FROM events WHERE event_id = ? AND terminal_us IS NOT NULL"
            return connection.execute(query, (event_id,)).fetchone() is not None

    def revive_dead_letters(self) -> int:
        """Have everything that was refused delivered again; answers how many messages."""
        with self._writing() as connection:
            return connection.execute("DELETE FROM dead_letters").rowcount

    def dead_letters(self) -> list[DeadLetter]:
        """All of them, oldest first."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT event_id, seq, camera_id, reason, noted_us FROM dead_letters ORDER BY noted_us, event_id, seq"
            )
            return [DeadLetter(*row) for row in found]

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._connection
            except sqlite_module().Error as error:
                raise StorageError(f"relay.db cannot be read: {error}") from error

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite_module().Error as error:
                raise StorageError(f"relay.db cannot be written: {error}") from error
