"""The main database: one engine per URL, one short transaction per unit of work, foreign errors translated.

SQLite by default, PostgreSQL by `DATABASE_URL`. Several processes write: on SQLite each writing transaction is
`BEGIN IMMEDIATE` (a deferred one that reads and then writes fails at once, whatever the busy timeout - measured),
on PostgreSQL rows that are read to be changed are locked. Repositories never commit; leaving `writing()` does.
A `Store` may be shared by threads; each unit of work takes a connection of its own from the pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url

from iris.base.errors import ConfigError, StoreError
from iris.base.redact import redact
from iris.base.sqlite import BUSY_TIMEOUT_S, pragmas, sqlite_module
from iris.store.camera_removal import CameraRemovalRepository
from iris.store.cameras import CameraRepository
from iris.store.events import EventRepository
from iris.store.holds import HoldRepository
from iris.store.notifications import NotificationRepository
from iris.store.operations import OperationRepository
from iris.store.removals import RemovalRepository
from iris.store.retention import RetentionRepository
from iris.store.system import SystemRepository
from iris.store.tombstones import TombstoneRepository

_POSTGRES_OPTIONS = "-c lock_timeout=10000 -c statement_timeout=60000 -c synchronous_commit=on"


@dataclass(frozen=True, slots=True)
class Repositories:
    """What a unit of work sees: repositories over one connection in one transaction."""

    cameras: CameraRepository
    events: EventRepository
    system: SystemRepository
    operations: OperationRepository
    tombstones: TombstoneRepository
    notifications: NotificationRepository
    removals: RemovalRepository
    holds: HoldRepository
    retention: RetentionRepository
    camera_removals: CameraRemovalRepository


def _on(connection: Connection) -> Repositories:
    return Repositories(
        CameraRepository(connection),
        EventRepository(connection),
        SystemRepository(connection),
        OperationRepository(connection),
        TombstoneRepository(connection),
        NotificationRepository(connection),
        RemovalRepository(connection),
        HoldRepository(connection),
        RetentionRepository(connection),
        CameraRemovalRepository(connection),
    )


class Store:
    """The main database. Make it with `open_store`; close it at the end of the process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reader = engine
        self._writer = engine.execution_options(iris_begin="BEGIN IMMEDIATE")
        if engine.dialect.name == "postgresql":
            self._reader = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def writing(self) -> Iterator[Repositories]:
        """One durable transaction: committed on leaving, rolled back on any exception.

        Raises:
            StoreError: The database is unreachable, busy for longer than 10 s, or refused a value. A refused
                value is retryable too: it is a mistake of ours, and the event must outlive the repair.
        """
        with translated(), self._writer.begin() as connection:
            yield _on(connection)

    @contextmanager
    def reading(self) -> Iterator[Repositories]:
        """One consistent snapshot; nothing is written.

        Raises:
            StoreError: The database is unreachable.
        """
        with translated(), self._reader.connect() as connection:
            yield _on(connection)

    @property
    def engine(self) -> Engine:
        """The engine, for migrations, checks and backups."""
        return self._engine

    def close(self) -> None:
        """Close every pooled connection."""
        self._engine.dispose()


@contextmanager
def translated() -> Iterator[None]:
    """Turns whatever SQLAlchemy raises into `StoreError`, without parameters or passwords."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        detail = redact(" ".join(str(error.orig).split()))
        raise StoreError(f"the database failed: {detail}") from error
    except sa.exc.SQLAlchemyError as error:
        raise StoreError(f"the database failed: {redact(str(error))}") from error


def open_store(url: str) -> Store:
    """The store behind a database URL; nothing is created or migrated (see `iris.store.migrate`).

    Args:
        url: `sqlite:///path` or `postgresql://user:password@host:port/name`.

    Raises:
        ConfigError: The URL is of another database or cannot be read.
    """
    return Store(make_engine(parse_database_url(url)))


def sqlite_url(path: Path) -> str:
    """The URL of an SQLite file."""
    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def sqlite_file(url: str) -> Path | None:
    """The file behind a database URL; None where it names a server.

    Raises:
        ConfigError: The URL is not acceptable.
    """
    parsed = parse_database_url(url)
    is_file = parsed.get_backend_name() == "sqlite" and parsed.database is not None
    return Path(parsed.database or "") if is_file else None


def parse_database_url(text: str) -> URL:
    """A checked URL with the driver that Iris uses.

    Raises:
        ConfigError: It names another database, or no file.
    """
    allowed = "DATABASE_URL must be sqlite:///<path> or postgresql://<user>:<password>@<host>:<port>/<name>"
    try:
        url = make_url(text.replace("postgres://", "postgresql://", 1))
    except (sa.exc.ArgumentError, ValueError) as error:
        raise ConfigError(allowed) from error
    backend = url.get_backend_name()
    if backend == "sqlite" and url.database and url.database != ":memory:" and not url.query:
        return url.set(drivername="sqlite")
    if backend == "postgresql" and url.database:
        return url.set(drivername="postgresql+psycopg")
    raise ConfigError(allowed)


def make_engine(url: URL, *, foreign_keys: bool = True) -> Engine:
    """An engine with the settings of this module; `foreign_keys` off is for migrations of SQLite only."""
    if url.get_backend_name() == "postgresql":
        return sa.create_engine(
            url,
            hide_parameters=True,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 10, "options": _POSTGRES_OPTIONS, "application_name": "iris"},
        )
    module = sqlite_module()
    # `rw`, not `rwc`: a connection made while the file is not where it belongs (a mount that is gone) must fail, not
    # make an empty database in its place. `migrate` makes a new one.
    address = f"{Path(url.database or '').resolve().as_uri()}?mode=rw"
    engine = sa.create_engine(
        url, hide_parameters=True, module=module,
        creator=lambda: module.connect(address, uri=True, timeout=BUSY_TIMEOUT_S, check_same_thread=False),
    )  # fmt: skip
    statements = [*pragmas(), *([] if foreign_keys else ["PRAGMA foreign_keys=OFF"])]

    @event.listens_for(engine, "connect")
    def _configure(dbapi_connection: Any, _record: object) -> None:
        # The driver must not begin transactions by itself: _begin below decides how.
        dbapi_connection.isolation_level = None
        for statement in statements:
            dbapi_connection.execute(statement).close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("iris_begin", "BEGIN"))

    return engine
