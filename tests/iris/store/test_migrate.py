from __future__ import annotations

import multiprocessing
import stat
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from iris.base.errors import ConfigError
from iris.store.engine import Store, make_engine, open_store, parse_database_url, sqlite_url
from iris.store.migrate import migrate, schema_state
from iris.store.tables import metadata


def test_migrations_make_the_declared_tables(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def _checks(connection: sa.Connection) -> dict[str, set[tuple[str | None, str]]]:
    inspector = sa.inspect(connection)
    return {
        table: {(check["name"], " ".join(check["sqltext"].split())) for check in inspector.get_check_constraints(table)}
        for table in metadata.tables
    }


def test_migrations_make_the_declared_checks(store: Store, migrated_url: str, tmp_path: Path) -> None:
    # Autogeneration does not compare CHECKs: make the declared tables beside and compare what the database says.
    url = parse_database_url(migrated_url)
    with store.engine.connect() as migrated:
        made = _checks(migrated)
    if url.get_backend_name() == "sqlite":
        (tmp_path / "declared.db").touch()
        other = make_engine(parse_database_url(sqlite_url(tmp_path / "declared.db")))
    else:
        other = store.engine
        with other.begin() as connection:
            metadata.drop_all(connection)
    with other.begin() as connection:
        metadata.create_all(connection)
        assert _checks(connection) == made
    assert sum(map(len, made.values())) >= 19
    other.dispose()


def test_migrate_changes_nothing_when_at_head(database_url: str) -> None:
    first = migrate(database_url)
    assert first.is_head
    assert migrate(database_url) == first


def _migrate(url: str, start: object, results: object) -> None:
    start.wait(30)  # type: ignore[attr-defined]  # a multiprocessing Barrier has no public type
    try:
        results.put(migrate(url).current)  # type: ignore[attr-defined]  # likewise
    except Exception as error:  # noqa: BLE001 - the parent process asserts on it
        results.put(repr(error))  # type: ignore[attr-defined]  # likewise


def test_migrate_is_safe_when_processes_start_at_once(database_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    start, results = spawn.Barrier(4), spawn.Queue()
    processes = [spawn.Process(target=_migrate, args=(database_url, start, results)) for _ in range(4)]
    for process in processes:
        process.start()
    answers = {results.get(timeout=60) for _ in processes}
    for process in processes:
        process.join(30)
    assert answers == {"0002"}


def test_migrate_refuses_a_newer_schema(store: Store, migrated_url: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigError, match="schema 9999, which a newer Iris made"):
        migrate(migrated_url)
    with store.engine.connect() as connection:
        assert schema_state(connection).current == "9999"


def test_migrate_makes_a_private_file_when_sqlite(tmp_path: Path) -> None:
    path = tmp_path / "new" / "vms.db"
    migrate(sqlite_url(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("url", ["", "mysql://a/b", "sqlite://", "sqlite:///:memory:", "nonsense", "postgresql://h"])
def test_open_store_refuses_when_the_url_is_of_another_kind(url: str) -> None:
    with pytest.raises(ConfigError, match="DATABASE_URL must be"):
        open_store(url)


def test_connections_use_the_durable_pragmas_when_sqlite(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "vms.db")
    migrate(url)
    store = open_store(url)
    with store.engine.connect() as connection:
        got = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "secure_delete", "foreign_keys", "busy_timeout")
        }
    store.close()
    assert got == {
        "journal_mode": "wal",
        "synchronous": 2,
        "secure_delete": 1,
        "foreign_keys": 1,
        "busy_timeout": 10_000,
    }
