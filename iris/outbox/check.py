"""What `iris check` reads of a node's files: each camera's database and the relay's marks. Never writes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from iris.base.errors import StorageError
from iris.base.ids import CameraId
from iris.base.sqlite import connect_readonly, sqlite_module
from iris.outbox.camera_db import camera_db_path
from iris.outbox.reader import CameraDbReader
from iris.outbox.rows import read_open_events


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """A row of the segment index; `size_bytes` and `sha256` are None while the file is written."""

    path: str
    state: str
    size_bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class CameraFile:
    """One camera's database. `outbox` has the newest sequence number of each event that has rows."""

    camera_id: CameraId
    problems: tuple[str, ...] = ()
    segments: tuple[SegmentRow, ...] = ()
    outbox: dict[str, int] = field(default_factory=dict)
    open_event_ids: frozenset[str] = frozenset()
    closed_windows: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RelayFile:
    """`relay.db`: what was handed over, what is finished, what will never be accepted."""

    problems: tuple[str, ...] = ()
    delivered: dict[str, int] = field(default_factory=dict)
    terminal: frozenset[str] = frozenset()
    dead: tuple[tuple[str, str], ...] = ()  # (event id, reason)


def read_camera_files(data_dir: Path) -> list[CameraFile]:
    """Every camera's database of this node, running or not."""
    return [_camera_file(data_dir, camera_id) for camera_id in CameraDbReader(data_dir).camera_ids()]


def _camera_file(data_dir: Path, camera_id: CameraId) -> CameraFile:
    try:
        with _snapshot(camera_db_path(data_dir, camera_id)) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:  # its process is making the tables right now
                return CameraFile(camera_id)
            problems = _integrity(db)
            open_gaps = db.execute("SELECT count(*) FROM gaps WHERE end_us IS NULL").fetchone()[0]
            if open_gaps > 1:
                problems.append(f"{open_gaps} gaps are open at once")
            return CameraFile(
                camera_id,
                tuple(problems),
                tuple(SegmentRow(*row) for row in db.execute("SELECT path, state, size_bytes, sha256 FROM segments")),
                dict(db.execute("SELECT event_id, max(seq) FROM outbox GROUP BY event_id").fetchall()),
                frozenset(event.event_id for event in read_open_events(db)),
                frozenset(row[0] for row in db.execute("SELECT event_id FROM closed_windows")),
            )
    except StorageError as error:
        return CameraFile(camera_id, (str(error),))


def read_relay_file(data_dir: Path) -> RelayFile:
    """The relay's marks; a node that never relayed reads as empty."""
    path = data_dir / "node" / "relay.db"
    if not path.exists():
        return RelayFile()
    try:
        with _snapshot(path) as db:
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                return RelayFile()
            events = db.execute("SELECT event_id, delivered_seq, terminal_us IS NOT NULL FROM events").fetchall()
            return RelayFile(
                tuple(_integrity(db)),
                {event_id: seq for event_id, seq, _terminal in events},
                frozenset(event_id for event_id, _seq, terminal in events if terminal),
                tuple(db.execute("SELECT event_id, reason FROM dead_letters ORDER BY event_id, seq").fetchall()),
            )
    except StorageError as error:
        return RelayFile((str(error),))


def _integrity(db: sqlite3.Connection) -> list[str]:
    return [row[0] for row in db.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]


@contextmanager
def _snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """One read transaction, so that the tables agree with one another while the camera records."""
    module = sqlite_module()
    try:
        db = connect_readonly(path)
        try:
            db.execute("BEGIN")
            yield db
            db.execute("ROLLBACK")
        finally:
            db.close()
    except module.Error as error:
        raise StorageError(f"{path.name} cannot be read: {error}") from error
