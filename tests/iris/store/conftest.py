from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from iris.store.engine import Store, open_store, sqlite_url
from iris.store.migrate import migrate
from tests.postgres import PostgresServer, running_postgres

BOTH = ["sqlite", "postgresql"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database; every test that takes it runs on both."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "vms.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@cache
def _migrated_file(folder: Path) -> Path:
    path = folder / "migrated.db"
    migrate(sqlite_url(path))
    return path


@cache
def _migrated_database(server: PostgresServer) -> str:
    url = server.new_database()
    migrate(url)
    return url


@pytest.fixture(params=BOTH)
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a database at the head, copied from one that was migrated once in the session."""
    if request.param == "sqlite":
        path = tmp_path / "vms.db"
        shutil.copy(_migrated_file(tmp_path_factory.getbasetemp()), path)
        return sqlite_url(path)
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database(_migrated_database(server))


@pytest.fixture
def store(migrated_url: str) -> Iterator[Store]:
    opened = open_store(migrated_url)
    yield opened
    opened.close()
