"""The file of one camera: `DATA_DIR/node/<camera_id>.db` - runs, segment index, gaps, open events, outbox.

Only the camera process writes it (one connection under a lock, every transaction `BEGIN IMMEDIATE` with
`synchronous=FULL`); the node reads it with `CameraDbReader` and keeps its own marks elsewhere.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iris.base.errors import StorageError
from iris.base.sqlite import connect, storage_errors

SCHEMA_VERSION = 2

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
  run_id TEXT PRIMARY KEY,
  started_us INTEGER NOT NULL,          -- wall anchor of media time zero of the run, us UTC; may be refined while young
  params_hash TEXT NOT NULL,            -- equal for runs whose segments may share a file
  video_codec TEXT NOT NULL, width_px INTEGER NOT NULL, height_px INTEGER NOT NULL,
  audio_codec TEXT NOT NULL             -- '' where there is no sound
) STRICT;
CREATE TABLE IF NOT EXISTS segments (
  segment_id INTEGER PRIMARY KEY,
  run_id TEXT NOT NULL REFERENCES runs(run_id),
  state TEXT NOT NULL CHECK (state IN ('writing', 'durable', 'deleting')),
  path TEXT NOT NULL UNIQUE,            -- relative to DATA_DIR; while writing, of the unfinished file
  run_offset_us INTEGER NOT NULL,       -- wall time of its first video packet, counted from started_us of its run
  start_us INTEGER, end_us INTEGER,     -- wall time; null while writing
  size_bytes INTEGER, video_packet_count INTEGER, audio_packet_count INTEGER,
  sha256 TEXT, max_gop_us INTEGER,
  CHECK (state = 'writing' OR (end_us > start_us AND size_bytes > 0 AND video_packet_count > 0 AND length(sha256) = 64))
) STRICT;
CREATE INDEX IF NOT EXISTS segments_by_time ON segments(start_us) WHERE state = 'durable';
CREATE TABLE IF NOT EXISTS gaps (
  gap_id INTEGER PRIMARY KEY,
  start_us INTEGER NOT NULL,
  end_us INTEGER CHECK (end_us IS NULL OR end_us >= start_us),  -- null while it lasts
  reason TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS gaps_by_time ON gaps(start_us);
CREATE TABLE IF NOT EXISTS open_events (  -- what is open now, for a restart to go on with: one of each kind at most
  event_id TEXT PRIMARY KEY,
  kind TEXT NOT NULL UNIQUE CHECK (kind IN ('presence', 'manual')),
  started_us INTEGER NOT NULL, last_seen_us INTEGER NOT NULL,
  window_start_us INTEGER NOT NULL, labels TEXT NOT NULL,
  seq INTEGER NOT NULL,                 -- of its newest outbox row; 0 while the event is not accepted (P0) yet
  continues TEXT,
  stops_us INTEGER,                     -- when a manual recording ends by itself; null: a presence
  CHECK ((kind = 'manual') = (stops_us IS NOT NULL))
) STRICT;
CREATE TABLE IF NOT EXISTS closed_windows ( -- events whose last pins are still to be made
  event_id TEXT PRIMARY KEY, window_start_us INTEGER NOT NULL, window_end_us INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS outbox (
  row_id INTEGER PRIMARY KEY AUTOINCREMENT,
  event_id TEXT NOT NULL, seq INTEGER NOT NULL CHECK (seq >= 1),
  message TEXT NOT NULL,                -- EventMessage as JSON
  created_us INTEGER NOT NULL,
  UNIQUE (event_id, seq)
) STRICT;
"""


def camera_db_path(data_dir: Path, camera_id: str) -> Path:
    """Where the file of a camera lies."""
    return data_dir / "node" / f"{camera_id}.db"


class CameraDb:
    """The writing end, in the camera process. Threads share it; a transaction holds the lock."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it.

        Raises:
            StorageError: It cannot be opened, is damaged, or was written by a newer Iris; nothing was changed.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.RLock()
        with storage_errors(path):
            self._connection = connect(path)
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            if version > SCHEMA_VERSION:
                raise StorageError(f"{path.name} was written by a newer Iris (schema {version}); update Iris")
            self._connection.executescript(_SCHEMA)
            if version < SCHEMA_VERSION:
                self._upgrade()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One durable transaction: committed on leaving, rolled back on an exception."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # A failed COMMIT (disk full) may or may not have ended the transaction by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection for a read, under the lock."""
        with self._lock:
            yield self._connection

    def _upgrade(self) -> None:
        """From the schema of version 0.1.0, which knew one open event; all or nothing."""
        with self.transaction() as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'open_event'").fetchone():
                connection.execute(
                    "INSERT INTO open_events SELECT event_id, 'presence', started_us, last_seen_us, window_start_us,"
                    " labels, seq, continues, NULL FROM open_event"
                )
                connection.execute("DROP TABLE open_event")
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
