"""`DATA_DIR/store.json`: which database belongs to this data directory.

A data directory and a database are a pair. Where they are not - another mount, a restored copy of one of them, an
empty database next to footage - Iris refuses to record rather than mix or delete anything.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from iris.adapters.media_files import make_dir, translated
from iris.adapters.media_marks import MEDIA_FOLDERS, MEDIA_MARK, check_footage_is_there, check_media_marks
from iris.adapters.once_file import create_once, read_text_once
from iris.base.errors import ConfigError, StorageError, StoreMismatchError, UnavailableError
from iris.base.sqlite import connect_readonly, sqlite_module
from iris.ports import IdSource

_MARK = "store.json"
# Enough to tell a missing disk from a clip that somebody removed.
_NEWEST_CLIPS = 20


@dataclass(frozen=True, slots=True)
class StoreMark:
    """What `store.json` says; `folders` are the media folders that were given a mark of their own."""

    store_id: str
    generation: int
    folders: tuple[str, ...] = field(default=(), compare=False)


def read_mark(data_dir: Path) -> StoreMark | None:
    """The mark of a data directory; None where it never had one.

    Raises:
        StoreMismatchError: The file is there but damaged.
        StorageError: It cannot be read.
    """
    text = read_text_once(data_dir / _MARK)
    if text is None:
        return None
    try:
        values = json.loads(text)
        return StoreMark(str(values["store_id"]), int(values["generation"]), tuple(map(str, values.get("folders", ()))))
    except (ValueError, KeyError, TypeError) as error:
        raise StoreMismatchError(f"{data_dir / _MARK} is damaged; restore it from a backup") from error


def first_mark(data_dir: Path, ids: IdSource) -> StoreMark:
    """The mark of a data directory, made where there is none; only for a fresh pair (`workers/wiring/pairing.py`).

    Raises:
        StoreMismatchError: The file is damaged.
        StorageError: It cannot be made.
    """
    make_dir(data_dir)
    create_once(data_dir / _MARK, lambda: json.dumps({"store_id": ids.new_id(), "generation": 1}))
    mark = read_mark(data_dir)
    if mark is None:
        raise StoreMismatchError(f"{data_dir / _MARK} vanished while Iris started")
    return mark


def holds_footage(data_dir: Path) -> bool:
    """Whether a data directory holds any file that only its own database can explain."""
    for name in MEDIA_FOLDERS:
        if any(set(files) - {MEDIA_MARK} for _folder, _folders, files in os.walk(data_dir / name)):
            return True
    # A camera's own file is named by its id; the node's other files there say nothing about footage.
    return any((data_dir / "node").glob("????????-*.db"))


def check_mark(data_dir: Path, in_database: StoreMark) -> None:
    """Refuse a data directory that belongs to another database or to another generation of it.

    Raises:
        StoreMismatchError: They are no pair; nothing was changed.
    """
    mark = read_mark(data_dir)
    if mark is None:
        raise StoreMismatchError(
            f"the database belongs to a data directory, but {data_dir} has no {_MARK}; "
            "mount the right folder, or set DATA_DIR or DATABASE_URL"
        )
    if mark.store_id != in_database.store_id:
        raise StoreMismatchError(
            f"{data_dir} belongs to store {mark.store_id}, the database to {in_database.store_id}; "
            "set DATA_DIR or DATABASE_URL so that the two belong together"
        )
    if mark.generation != in_database.generation:
        raise StoreMismatchError(
            f"{data_dir} is of generation {mark.generation}, the database of {in_database.generation}; "
            "restore both from the same backup"
        )
    check_media_marks(data_dir, mark.store_id, mark.folders)


def expect_media_folders(data_dir: Path) -> None:
    """See that every media folder is still there before files are put into it, removed from it or kept from it.

    A disk that is unmounted while Iris runs leaves an empty folder: clips put there are hidden once it is back, and
    what is removed there is not.

    Raises:
        UnavailableError: A folder has lost its mark; whoever asked waits, as for a host that is down.
        StorageError: A mark cannot be read.
    """
    mark = read_mark(data_dir)
    if mark is None:
        return
    try:
        check_media_marks(data_dir, mark.store_id, mark.folders)
    except StoreMismatchError as error:
        raise UnavailableError(str(error)) from error


def expect_footage_disk(data_dir: Path) -> None:
    """As `expect_media_folders`, for a camera that begins: what it writes below a mount point is hidden later.

    Raises:
        StorageError: A folder has lost its mark, or a mark cannot be read; try again.
    """
    try:
        expect_media_folders(data_dir)
    except UnavailableError as error:
        raise StorageError(str(error)) from error


def check_sqlite_pair(data_dir: Path, database: Path | None) -> None:
    """Refuse what is no pair before anything is recorded or pruned, where the database is a file beside it.

    Light (no SQLAlchemy) and read-only: nothing is made. A database server is asked later, by `pair_store`; a file
    that cannot be read now is left to it, too.

    Args:
        data_dir: DATA_DIR.
        database: The SQLite file; None where the main database is a server.

    Raises:
        StoreMismatchError: They are no pair; nothing was changed.
    """
    if database is None:
        return
    identity = _identity_in(database)
    if isinstance(identity, StoreMark):
        check_mark(data_dir, identity)
        mark = read_mark(data_dir)
        if mark is not None and not mark.folders:
            check_footage_is_there(data_dir, _newest_clips(data_dir, database))
    elif identity == "new" and holds_footage(data_dir):
        raise StoreMismatchError(
            f"there is no database {database}, but {data_dir} holds footage of one; restore that database, "
            "or set DATA_DIR to an empty folder (nothing was changed)"
        )


def _identity_in(database: Path) -> StoreMark | Literal["new", "unknown"]:
    """What a database file says it belongs to."""
    if not database.exists():
        return "new"
    errors = sqlite_module().Error
    try:
        connection = connect_readonly(database)
        try:
            tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'store'").fetchone()[0]
            row = connection.execute("SELECT store_id, generation FROM store").fetchone() if tables else None
        finally:
            connection.close()
    except errors:
        return "unknown"
    return "new" if row is None else StoreMark(str(row[0]), int(row[1]))


def _newest_clips(data_dir: Path, database: Path) -> list[str]:
    """Paths of the newest clips of this host; none where they cannot be asked for now."""
    node_id = read_text_once(data_dir / "node" / "id")
    errors = sqlite_module().Error
    try:
        connection = connect_readonly(database)
        try:
            found = connection.execute(
                "SELECT path FROM clip_files JOIN events USING (event_id) WHERE node_id = ?"
                " ORDER BY started_us DESC LIMIT ?",
                (node_id, _NEWEST_CLIPS),
            )
            return [str(row[0]) for row in found]
        finally:
            connection.close()
    except errors:
        return []


def check_one_file_system(data_dir: Path) -> None:
    """Refuse to start where hard links from `segments/` to `pending/` cannot be made.

    Tries a link rather than comparing device numbers: overlay and bind mounts can have equal ones and still refuse.

    Raises:
        ConfigError: They are on two file systems, or the file system has no hard links.
        StorageError: The folders cannot be made or written.
    """
    segments, pending = data_dir / "segments", data_dir / "pending"
    make_dir(segments)
    make_dir(pending)
    name = f".link-{secrets.token_hex(8)}"
    source, target = segments / name, pending / name
    try:
        with translated(f"write to {segments}"):
            source.touch(mode=0o600)
        try:
            os.link(source, target)
        except OSError as error:
            raise ConfigError(
                f"{segments} and {pending} must be on one file system that has hard links ({error.strerror})"
            ) from error
    finally:
        source.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
