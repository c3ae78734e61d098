"""Brings the main database to the schema of this version: forward only, in one transaction, under a lock.

Any process of Iris may call it at its start, several at once: the first migrates, the others wait and find it done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import URL, Connection

from iris.base.errors import ConfigError, StoreError
from iris.store.engine import make_engine, parse_database_url, translated

# Any number no other user of the same PostgreSQL server takes: the ASCII letters "iris".
_POSTGRES_LOCK = 0x69726973


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Revision of a database (None where it has no tables yet) and the newest that this version knows."""

    current: str | None
    head: str

    @property
    def is_head(self) -> bool:
        """Whether nothing is to be migrated."""
        return self.current == self.head


def migrate(url: str) -> SchemaState:
    """Upgrade a database to the head; a new SQLite file is made with mode 0600.

    Raises:
        ConfigError: The URL is not acceptable, or a newer Iris wrote the database.
        StoreError: The database is unreachable or the migration failed; nothing of it was kept.
    """
    parsed = parse_database_url(url)
    _prepare_file(parsed)
    with _locked(parsed) as connection:
        config = _config()
        state = _state(connection, config)
        if not state.is_head:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            _check_foreign_keys(connection)
        return SchemaState(state.head, state.head)


def knows_schema(revision: str) -> bool:
    """Whether this version can bring a database of this revision to the head."""
    return revision in {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def schema_state(connection: Connection) -> SchemaState:
    """Where a database stands; a newer one than this version knows is no error here."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    return SchemaState(MigrationContext.configure(connection).get_current_revision(), head or "")


def _state(connection: Connection, config: Config) -> SchemaState:
    state = schema_state(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if state.current is not None and state.current not in known:
        raise ConfigError(
            f"the database has schema {state.current}, which a newer Iris made, and this one knows {state.head}; "
            "start the newer version, or restore a backup of before the update"
        )
    return state


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _prepare_file(url: URL) -> None:
    if url.get_backend_name() != "sqlite" or url.database is None:
        return
    path = Path(url.database)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError as error:
        raise StoreError(f"the database file {path} cannot be made: {error.strerror}") from error


@contextmanager
def _locked(url: URL) -> Iterator[Connection]:
    """A connection in a transaction that excludes every other migration until it ends."""
    # Rebuilding a table on SQLite would cascade into its children with foreign keys on; they are checked at the end.
    engine = make_engine(url, foreign_keys=False).execution_options(iris_begin="BEGIN EXCLUSIVE")
    try:
        with translated(), engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("SET LOCAL lock_timeout = 0"))
                connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRES_LOCK})
            yield connection
    finally:
        engine.dispose()


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise StoreError(f"the migration left a row of {broken[0]} without its parent in {broken[2]}")
