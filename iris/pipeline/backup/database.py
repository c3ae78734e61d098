"""Second step of a backup: the snapshot of the main database, and from it what each node still has to add."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

from iris.adapters.backup_files import hash_of, size_of
from iris.adapters.media_files import translated
from iris.adapters.pg_tools import dump_database
from iris.base.errors import StorageError, StoreMismatchError
from iris.pipeline.backup.layout import DatabasePart, node_folder, open_private
from iris.ports import ProgressSink
from iris.store.backup import EventFiles, RecordedFile, camera_ids, snapshot, walk_event_files
from iris.store.engine import Store
from iris.store.migrate import schema_state
from iris.store.system import SystemRepository

_STATE: Final = "database.json"
_EVENTS: Final = "events.jsonl"
_TELL_EVERY: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseState:
    """What the later steps need to know of the snapshot. `elsewhere` counts finished events of other nodes."""

    store_id: str
    generation: int
    created_us: int
    kind: str
    name: str
    schema: str
    size_bytes: int
    sha256: str
    counts: Mapping[str, int]
    camera_ids: tuple[str, ...]
    elsewhere: int

    @property
    def part(self) -> DatabasePart:
        """What the manifest says of it."""
        return DatabasePart(self.kind, self.name, self.schema, self.size_bytes, self.sha256)


def backup_database(main: Store, url: str, part: Path, now_us: int, progress: ProgressSink) -> None:
    """Snapshot the main database, and write down which files its events have; begun anew each time.

    Args:
        main: The main database.
        url: Its address, for PostgreSQL's own program.
        part: The folder of the unfinished backup; nodes that took their first step have a folder in it.
        now_us: Wall time now.
        progress: Told event by event.

    Raises:
        StoreError: The database is unreachable, cannot be copied, or was never paired with a data directory.
        StorageError: The disk refuses.
    """
    kind = main.engine.dialect.name
    name = "database.sqlite" if kind == "sqlite" else "database.pgdump"
    target = part / name
    with snapshot(main, target, lambda snapshot_id: dump_database(url, snapshot_id, target)) as connection:
        identity = SystemRepository(connection).identity()
        if identity is None:
            raise StoreMismatchError("the database was never paired with a data directory; start Iris once")
        elsewhere = _write_events(walk_event_files(connection), part, progress)
        state = DatabaseState(
            store_id=identity.store_id,
            generation=identity.generation,
            created_us=now_us,
            kind=kind,
            name=name,
            schema=schema_state(connection).current or "",
            size_bytes=size_of(target),
            sha256=hash_of(target),
            counts=SystemRepository(connection).table_counts(),
            camera_ids=tuple(camera_ids(connection)),
            elsewhere=elsewhere,
        )
    write_json(part / _STATE, asdict(state))


def read_state(part: Path) -> DatabaseState:
    """What `backup_database` found.

    Raises:
        StorageError: That step was not finished.
    """
    values = read_json(part / _STATE)
    return DatabaseState(**{**values, "camera_ids": tuple(values["camera_ids"])})


def read_events(part: Path, node_id: str) -> Iterator[EventFiles]:
    """The events of a node in the snapshot, a line at a time.

    Raises:
        StorageError: That step was not finished.
    """
    path = node_folder(part, node_id) / _EVENTS
    with translated(f"read {path.name}"), path.open(encoding="utf-8") as file:
        for line in file:
            values = json.loads(line)
            yield EventFiles(**{**values, "files": tuple(RecordedFile(*item) for item in values["files"])})


def remove_state(part: Path, node_ids: list[str]) -> None:
    """Take the notes of one step to the next out of a backup that is complete.

    Raises:
        StorageError: They cannot be removed.
    """
    with translated("tidy the backup up"):
        (part / _STATE).unlink(missing_ok=True)
        for node_id in node_ids:
            (node_folder(part, node_id) / _EVENTS).unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a note from one step to the next.

    Raises:
        StorageError: The disk refuses.
    """
    with translated(f"write {path.name}"), open_private(path) as file:
        file.write(json.dumps(values).encode())


def read_json(path: Path) -> dict[str, Any]:
    """Read such a note.

    Raises:
        StorageError: It is not there: its step was not finished.
    """
    try:
        with translated(f"read {path.name}"):
            values: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise StorageError(f"{path.name} of the unfinished backup is damaged; begin another one") from error
    return values


def _line(event: EventFiles) -> dict[str, object]:
    # By hand: for a hundred thousand events `asdict` would take a third of the whole backup's processor time.
    return {
        "event_id": event.event_id,
        "node_id": event.node_id,
        "terminal": event.terminal,
        "has_window": event.has_window,
        "files": [(file.path, file.size_bytes, file.sha256) for file in event.files],
        "thumbnail_path": event.thumbnail_path,
        "rows": event.rows,
    }


def _write_events(found: Iterator[EventFiles], part: Path, progress: ProgressSink) -> int:
    """One line per event into the folder of its node; answers how many finished ones have their files elsewhere."""
    elsewhere = 0
    with ExitStack() as opened:
        files: dict[str, IO[bytes]] = {
            folder.name: opened.enter_context(open_private(folder / _EVENTS))
            for folder in sorted((part / "nodes").glob("*"))
        }
        for number, event in enumerate(found, 1):
            if event.node_id in files:
                files[event.node_id].write(json.dumps(_line(event)).encode() + b"\n")
            else:
                elsewhere += bool(event.files)
            if number % _TELL_EVERY == 0:
                progress("events of the snapshot", number, 0)
    return elsewhere
