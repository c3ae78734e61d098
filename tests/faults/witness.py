"""Sees from outside what Iris accepted and what became of it; knows files and tables only, no code of the product.

An event is accepted once its `opened` row is committed in its camera's file. From then on it must end in exactly
one terminal state, whatever is killed.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any, Self

import psycopg

from iris.base.sqlite import sqlite_module

TERMINAL = frozenset({"ready", "partial", "failed"})
_LOOK_S = 0.1
_EVENTS = "SELECT event_id, state, seq FROM events"
_ERRORS = (sqlite3.Error, sqlite_module().Error)


class Witness:
    """Watches one data directory from a thread; a context manager.

    Args:
        data_dir: DATA_DIR.
        postgres_url: The main database, where it is not SQLite in `data_dir`.

    Attributes:
        accepted: Camera of each accepted event, by event.
        ended: Terminal state of each event that was seen to have one.
        broken: Sentences about what must never be seen: a terminal state that changed, a sequence number that fell.
    """

    def __init__(self, data_dir: Path, database_url: str | None = None) -> None:
        self._data_dir = data_dir
        on_server = database_url is not None and not database_url.startswith("sqlite:")
        self._postgres_url = database_url if on_server else None
        self._file = data_dir / "vms.db"
        if database_url is not None and not on_server:
            self._file = Path(database_url.removeprefix("sqlite:///"))
        self.accepted: dict[str, str] = {}
        self.ended: dict[str, str] = {}
        self.broken: set[str] = set()
        self._seq: dict[str, int] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="witness", daemon=True)

    def look(self) -> None:
        """Take what is there now."""
        with self._lock:
            for path in sorted((self._data_dir / "node").glob("*-*.db")):
                for (event_id,) in _rows(path, "SELECT DISTINCT event_id FROM outbox"):
                    self.accepted.setdefault(event_id, path.stem)
            for event_id, state, seq in self._events():
                self._compare(event_id, state, seq)

    def _events(self) -> list[tuple[Any, ...]]:
        if self._postgres_url is None:
            return _rows(self._file, _EVENTS)
        try:
            with psycopg.connect(self._postgres_url, connect_timeout=2) as connection:
                return connection.execute(_EVENTS).fetchall()
        except psycopg.Error:
            return []

    def _compare(self, event_id: str, state: str, seq: int) -> None:
        before = self.ended.get(event_id)
        if before is not None and before != state:
            self.broken.add(f"event {event_id} was {before} and became {state}")
        if seq < self._seq.get(event_id, 0):
            self.broken.add(f"event {event_id} went back from message {self._seq[event_id]} to {seq}")
        self._seq[event_id] = seq
        if state in TERMINAL:
            self.ended[event_id] = state

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self.look()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of a file that others write; [] while it is being made, is locked, or waits for its owner to recover it."""
    if not path.is_file():
        return []
    try:
        connection = sqlite_module().connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=1.0)
        try:
            found: list[tuple[Any, ...]] = connection.execute(query).fetchall()
        finally:
            connection.close()
    except _ERRORS:
        return []
    return found
