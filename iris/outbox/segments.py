"""Writes runs, segments and gaps of one camera into its file. Every change is durable when a method returns.

Invariants: a row `writing` exists before its file; a row `durable` names a published file; a row `deleting` exists
before its file goes. At most one gap is open (`end_us` null).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from iris.base.errors import DiskFullError, StorageError
from iris.base.ids import RunId
from iris.base.sqlite import sqlite_module
from iris.domain.segment import Gap, GapReason
from iris.outbox.camera_db import CameraDb

# Gaps matter as long as an event can wait for its clip; beyond the pin budget of a day nobody asks.
GAP_KEEP_US = 7 * 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as the index keeps it."""

    run_id: RunId
    started_us: int
    params_hash: str
    video_codec: str
    width_px: int
    height_px: int
    audio_codec: str


@dataclass(frozen=True, slots=True)
class WritingRow:
    """A segment whose file was being written when its process ended, with its run's start."""

    segment_id: int
    run_id: RunId
    path: str
    start_us: int


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A file about to be made. `path` is relative to DATA_DIR; `run_offset_us` counts from the start of the run."""

    run_id: RunId
    path: str
    run_offset_us: int


@dataclass(frozen=True, slots=True)
class DurableSegment:
    """What a published segment's row gets. `path` is relative to DATA_DIR; times are wall time."""

    path: str
    start_us: int
    end_us: int
    size_bytes: int
    video_packet_count: int
    audio_packet_count: int
    sha256: str
    max_gop_us: int


class SegmentIndex:
    """The writing end; any thread. All methods raise `StorageError`, and then nothing has changed."""

    def __init__(self, db: CameraDb) -> None:
        self._db = db

    def begin_run(self, run: RunRow) -> None:
        """Store a run before its first segment."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO runs (run_id, started_us, params_hash, video_codec, width_px, height_px, audio_codec)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    run.run_id,
                    run.started_us,
                    run.params_hash,
                    run.video_codec,
                    run.width_px,
                    run.height_px,
                    run.audio_codec,
                ),
            )

    def begin_segment(self, run_id: RunId, path: str, run_offset_us: int) -> int:
        """Announce a file before it is made; returns the segment's id."""
        with self._writing() as connection:
            return _begin(connection, NewSegment(run_id, path, run_offset_us))

    def finish_segment(self, segment_id: int, durable: DurableSegment) -> None:
        """The file is published: P1. A gap that was thought to begin inside it begins at its end."""
        with self._writing() as connection:
            _finish(connection, segment_id, durable)

    def finish_and_begin(self, segment_id: int, durable: DurableSegment, following: NewSegment) -> int:
        """Both in one transaction, as at a cut inside a run; returns the new segment's id."""
        with self._writing() as connection:
            _finish(connection, segment_id, durable)
            return _begin(connection, following)

    def forget_segment(self, segment_id: int) -> None:
        """Drop the row of a file that holds nothing."""
        with self._writing() as connection:
            connection.execute("DELETE FROM segments WHERE segment_id = ? AND state = 'writing'", (segment_id,))

    def unfinished(self) -> list[WritingRow]:
        """Rows of files that were being written, oldest first."""
        with self._reading() as connection:
            rows = connection.execute(
                "SELECT segment_id, run_id, path, started_us + run_offset_us FROM segments JOIN runs USING (run_id)"
                " WHERE state = 'writing' ORDER BY segment_id"
            ).fetchall()
        return [WritingRow(number, RunId(run_id), path, start_us) for number, run_id, path, start_us in rows]

    def params_hash_of(self, run_id: RunId) -> str:
        """Hash of a run's parameters."""
        with self._reading() as connection:
            row = connection.execute("SELECT params_hash FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if row is None:
            raise StorageError("the index names no such run")
        return str(row[0])

    def known_until_us(self) -> int | None:
        """Up to where every moment is either recorded or a closed gap; None before the first recording."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT max(end_us) FROM (SELECT max(end_us) AS end_us FROM segments WHERE state <> 'writing'"
                " UNION ALL SELECT max(end_us) FROM gaps)"
            ).fetchone()
        return None if row[0] is None else int(row[0])

    def longest_gop_us(self) -> int | None:
        """Longest keyframe interval among the segments at hand."""
        with self._reading() as connection:
            row = connection.execute("SELECT max(max_gop_us) FROM segments WHERE state = 'durable'").fetchone()
        return None if row[0] is None else int(row[0])

    def durable_segments(self) -> list[tuple[int, str, int]]:
        """(segment id, path, length in microseconds) of all durable segments, in the order of recording."""
        with self._reading() as connection:
            return connection.execute(
                "SELECT segment_id, path, end_us - start_us FROM segments WHERE state = 'durable' ORDER BY segment_id"
            ).fetchall()

    def mark_deleting(self, segment_ids: Sequence[int]) -> None:
        """First step of a deletion: nobody finds them any more."""
        with self._writing() as connection:
            connection.executemany(
                "UPDATE segments SET state = 'deleting' WHERE segment_id = ?", [(number,) for number in segment_ids]
            )

    def deleting(self) -> list[tuple[int, str]]:
        """(segment id, path) of segments whose deletion is not finished."""
        with self._reading() as connection:
            return connection.execute("SELECT segment_id, path FROM segments WHERE state = 'deleting'").fetchall()

    def drop_deleted(self, segment_ids: Sequence[int], now_us: int) -> None:
        """Last step of a deletion: the files are gone durably; runs and old gaps that nobody needs go along."""
        with self._writing() as connection:
            connection.executemany(
                "DELETE FROM segments WHERE segment_id = ? AND state = 'deleting'",
                [(number,) for number in segment_ids],
            )
            connection.execute(
                "DELETE FROM runs WHERE run_id NOT IN (SELECT run_id FROM segments)"
                " AND rowid < (SELECT max(rowid) FROM runs)"
            )
            connection.execute("DELETE FROM gaps WHERE end_us < ?", (now_us - GAP_KEEP_US,))

    def open_gap(self, start_us: int, reason: GapReason) -> None:
        """Time is missing from here on.

        A gap that is open already goes on with its own reason; one that ended right here for the same reason goes on,
        so that tries that record nothing leave one gap.
        """
        with self._writing() as connection:
            if connection.execute("SELECT 1 FROM gaps WHERE end_us IS NULL").fetchone() is not None:
                return
            resumed = connection.execute(
                "UPDATE gaps SET end_us = NULL WHERE end_us = ? AND reason = ?", (start_us, reason.value)
            )
            if resumed.rowcount == 0:
                connection.execute("INSERT INTO gaps (start_us, reason) VALUES (?, ?)", (start_us, reason.value))

    def close_gap(self, end_us: int) -> None:
        """Recording goes on at `end_us`; one that would end before it starts never was."""
        with self._writing() as connection:
            connection.execute("DELETE FROM gaps WHERE end_us IS NULL AND start_us >= ?", (end_us,))
            connection.execute("UPDATE gaps SET end_us = ? WHERE end_us IS NULL", (end_us,))

    def split_gap(self, at_us: int, reason: GapReason) -> None:
        """The open gap goes on from `at_us` for another reason; one that would end before it starts never was."""
        with self._writing() as connection:
            connection.execute("DELETE FROM gaps WHERE end_us IS NULL AND start_us >= ?", (at_us,))
            connection.execute("UPDATE gaps SET end_us = ? WHERE end_us IS NULL", (at_us,))
            connection.execute("INSERT INTO gaps (start_us, reason) VALUES (?, ?)", (at_us, reason.value))

    def add_gap(self, gap: Gap) -> None:
        """Store a gap that is over."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO gaps (start_us, end_us, reason) VALUES (?, ?, ?)",
                (gap.start_us, gap.end_us, gap.reason.value),
            )

    def current_gap(self) -> Gap | None:
        """The gap that is open now."""
        with self._reading() as connection:
            row = connection.execute("SELECT start_us, reason FROM gaps WHERE end_us IS NULL").fetchone()
        return None if row is None else Gap(row[0], None, GapReason(row[1]))

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with _storage_errors(), self._db.transaction() as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with _storage_errors(), self._db.reading() as connection:
            yield connection


def _begin(connection: sqlite3.Connection, segment: NewSegment) -> int:
    row = connection.execute(
        "INSERT INTO segments (run_id, state, path, run_offset_us) VALUES (?, 'writing', ?, ?) RETURNING segment_id",
        (segment.run_id, segment.path, segment.run_offset_us),
    ).fetchone()
    return int(row[0])


def _finish(connection: sqlite3.Connection, segment_id: int, durable: DurableSegment) -> None:
    connection.execute(
        "UPDATE segments SET state = 'durable', path = ?, start_us = ?, end_us = ?, size_bytes = ?,"
        " video_packet_count = ?, audio_packet_count = ?, sha256 = ?, max_gop_us = ? WHERE segment_id = ?",
        (
            durable.path,
            durable.start_us,
            durable.end_us,
            durable.size_bytes,
            durable.video_packet_count,
            durable.audio_packet_count,
            durable.sha256,
            durable.max_gop_us,
            segment_id,
        ),
    )
    connection.execute(
        "UPDATE gaps SET start_us = ? WHERE start_us >= ? AND start_us < ? AND (end_us IS NULL OR end_us >= ?)",
        (durable.end_us, durable.start_us, durable.end_us, durable.end_us),
    )


@contextmanager
def _storage_errors() -> Iterator[None]:
    module = sqlite_module()
    try:
        yield
    except module.OperationalError as error:
        if "full" in str(error):
            raise DiskFullError("could not write the segment index: the disk is full") from error
        raise StorageError(f"could not write the segment index: {error}") from error
    except module.Error as error:
        raise StorageError(f"could not write the segment index: {error}") from error
