"""Chooses the SQLite driver and opens files the one way Iris uses them.

SQLite 3.7.0 to 3.51.2 can corrupt a WAL database that several connections write (the WAL-reset bug), so a build
with the fix is taken where there is one; elsewhere files use a rollback journal.
Source: sqlite.org/wal.html, section on the WAL-reset bug; measured: NORMAL loses acknowledged commits in a power
cut, FULL keeps them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import cast

from iris.base.errors import DiskFullError, StorageError

_FIXED = (3, 51, 3)
BUSY_TIMEOUT_S = 10.0
_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
# A long reader lets the WAL grow; once it could be written back, it is cut to this. Without one it stays at 4 MB.
WAL_MOST_BYTES = 8 * 2**20


def sqlite_module() -> ModuleType:
    """The DB-API module to use: the bundled new SQLite where it is installed, else the standard one."""
    try:
        from pysqlite3 import dbapi2
    except ImportError:
        return sqlite3
    return cast("ModuleType", dbapi2)


def wal_is_safe() -> bool:
    """Whether several connections may share one WAL database with the driver in use."""
    return tuple(int(part) for part in sqlite_module().sqlite_version.split(".")) >= _FIXED


def pragmas() -> tuple[str, ...]:
    """Statements for each new connection that may write."""
    journal = "WAL" if wal_is_safe() else "DELETE"
    return (
        f"PRAGMA journal_mode={journal}",
        "PRAGMA synchronous=FULL",
        "PRAGMA secure_delete=ON",
        "PRAGMA foreign_keys=ON",
        f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}",
        f"PRAGMA journal_size_limit={WAL_MOST_BYTES}",
    )


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns what SQLite raises about a file of a node into a sentence that names the file.

    Raises:
        DiskFullError: There is no space.
        StorageError: Any other failure; a damaged file says so.
    """
    try:
        yield
    except sqlite_module().Error as error:
        if _name(error).startswith("SQLITE_FULL") or "disk is full" in str(error):
            raise DiskFullError(f"{path.name} cannot be used: the disk is full") from error
        if _name(error).startswith(_DAMAGE):
            raise StorageError(
                f"{path.name} is damaged ({error}); restore it from a backup, or move it away to begin anew"
            ) from error
        raise StorageError(f"{path.name} cannot be used: {error}") from error


def is_damage(error: StorageError) -> bool:
    """Whether an error of `storage_errors` means that the file itself is bad."""
    return _name(error.__cause__).startswith(_DAMAGE)


def _name(error: BaseException | None) -> str:
    return str(getattr(error, "sqlite_errorname", ""))


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode (transactions are begun by name), usable from any thread under a lock."""
    connection = sqlite_module().connect(
        str(path), timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    for statement in pragmas():
        connection.execute(statement)
    return cast("sqlite3.Connection", connection)


def connect_readonly(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; the file must exist.

    Raises:
        sqlite3.OperationalError: There is no such file (of the module that `sqlite_module` names).
    """
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite_module().connect(
        uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    connection.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}")
    return cast("sqlite3.Connection", connection)
