"""Which files a node's own records explain: events that are not finished here, and segments that are in an index.

Read-only, in batches, so that memory stays small however much there is. A file that cannot be read stops the
question: nothing may be judged with half of the evidence.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from iris.base.errors import StorageError
from iris.base.sqlite import connect_readonly, sqlite_module
from iris.outbox.camera_db import camera_db_path
from iris.outbox.reader import CameraDbReader
from iris.outbox.rows import read_open_events


class NodeOwnership:
    """Over the files in `DATA_DIR/node/`; one thread. Every method raises `StorageError` where one is unreadable."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def unfinished(self, event_ids: Collection[str]) -> set[str]:
        """Those of the events that the node still has work with."""
        asked = sorted(event_ids)
        found: set[str] = set()
        for camera_id in CameraDbReader(self._data_dir).camera_ids():
            with _reading(camera_db_path(self._data_dir, camera_id)) as db:
                if db is None:
                    continue
                marks = _marks(asked)
                for table in ("outbox", "closed_windows"):
                    query = f"SELECT DISTINCT event_id FROM {table} WHERE event_id IN ({marks})"  # noqa: S608 - names of ours
                    found.update(row[0] for row in db.execute(query, asked))
                found.update(event.event_id for event in read_open_events(db))
        return (found - self._released(sorted(found))) & set(asked)

    def indexed(self, camera_id: str, paths: Sequence[str]) -> set[str] | None:
        """Those of the segment paths that the camera's index explains; None where the camera has no index."""
        with _reading(camera_db_path(self._data_dir, camera_id)) as db:
            if db is None:
                return None
            # A file that was renamed, but whose process was killed before the row, is named as the unfinished one.
            asked = [*paths, *(f"{path}.part" for path in paths)]
            rows = db.execute(f"SELECT path FROM segments WHERE path IN ({_marks(asked)})", asked)  # noqa: S608 - marks only
            known = {str(row[0]) for row in rows}
        return {path for path in paths if path in known or f"{path}.part" in known}

    def _released(self, event_ids: Sequence[str]) -> set[str]:
        """Those that reached their end and whose footage was released: their rows only wait to be forgotten."""
        with _reading(self._data_dir / "node" / "relay.db") as db:
            if db is None:
                return set()
            query = f"SELECT event_id FROM events WHERE terminal_us IS NOT NULL AND event_id IN ({_marks(event_ids)})"  # noqa: S608 - marks only
            return {str(row[0]) for row in db.execute(query, event_ids)}


def _marks(values: Collection[str]) -> str:
    return ",".join("?" * len(values))


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection | None]:
    """One snapshot of a file; None where there is none, or its writer is still making the tables."""
    if not path.exists():
        yield None
        return
    module = sqlite_module()
    try:
        db = connect_readonly(path)
        try:
            db.execute("BEGIN")
            has_tables = db.execute("PRAGMA user_version").fetchone()[0] > 0
            yield db if has_tables else None
        finally:
            db.close()
    except module.Error as error:
        raise StorageError(f"node/{path.name} cannot be read: {error}") from error
