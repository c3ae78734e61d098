"""Backup and restore of a PostgreSQL database, with the server's own tools."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.base.errors import ConfigError, ConflictError, StoreError
from iris.base.ids import EventId
from iris.config import Settings
from iris.domain.event import EventState
from iris.domain.operation import RemovalReason
from iris.pipeline.backup.layout import Manifest, read_manifest
from iris.pipeline.backup.restore import RestoreReport, RestoreRequest, restore_backup
from iris.pipeline.backup.restore_database import DatabaseTarget
from iris.pipeline.backup.steps import BackupSteps
from iris.store.engine import Store, open_store
from iris.store.migrate import migrate
from tests.builders.events import CAMERA_ID, NODE_ID, event_message, finalise_request, uuid_of
from tests.postgres import PostgresServer, running_postgres
from workers.wiring.backup import place_of
from workers.wiring.pairing import pair_store

NAME = "20261123T030000Z-0000000a"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with running_postgres() as server:
        yield server


def silent(step: str, done: int, total: int) -> None:
    return


class Site:
    """A store on PostgreSQL with ten finished events whose clips are files of the right size."""

    def __init__(self, server: PostgresServer, data_dir: Path) -> None:
        self.url, self.data_dir = server.new_database(), data_dir
        migrate(self.url)
        self.store: Store = open_store(self.url)
        pair_store(self.store, data_dir, Uuid7Source())
        (data_dir / "node").mkdir()
        (data_dir / "node" / "id").write_text(NODE_ID)
        (data_dir / "recordings" / CAMERA_ID).mkdir()
        for number in range(1, 11):
            self.finish(number)
        settings = Settings(_env_file=None, data_dir=data_dir, database_url=self.url)
        place = place_of(settings, self.store, SystemClock(), target=data_dir.parent / "backups")
        self.steps = BackupSteps(place)

    def finish(self, number: int) -> None:
        request = finalise_request(number)
        self.clip(number).write_bytes(bytes(1000))
        (self.data_dir / f"{request.thumbnail_path}").write_bytes(b"\xff\xd8")
        with self.store.writing() as work:
            work.events.finalise(request, 1)

    def clip(self, number: int) -> Path:
        return self.data_dir / "recordings" / CAMERA_ID / f"{uuid_of(number)}.mp4"


@pytest.fixture
def site(postgres: PostgresServer, tmp_path: Path) -> Iterator[Site]:
    made = Site(postgres, tmp_path / "data")
    yield made
    made.store.close()


def restored(site: Site, url: str, data_dir: Path, *, force: bool = False) -> RestoreReport:
    backup = site.data_dir.parent / "backups" / NAME
    request = RestoreRequest(
        backup=backup, manifest=read_manifest(backup), data_dir=data_dir, stamp="20261124T030000Z-0000000b",
        force=force, verify=False,
    )  # fmt: skip
    return restore_backup(request, DatabaseTarget(url, data_dir, SystemClock()), silent)


def backed_up(site: Site) -> Manifest:
    site.steps.begin(NAME)
    site.steps.footage(NAME, silent)
    site.steps.database(NAME, silent)
    site.steps.clips(NAME, silent)
    return site.steps.finish(NAME, silent)


def test_restore_gives_what_the_manifest_says_when_written_and_deleted_meanwhile(
    site: Site, postgres: PostgresServer, tmp_path: Path
) -> None:
    site.steps.begin(NAME)
    site.steps.footage(NAME, silent)
    with site.store.writing() as work:
        work.events.record(event_message(50), 1)
    over = threading.Event()

    def write() -> None:
        number = 1000
        while not over.is_set():
            site.finish(number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        site.steps.database(NAME, silent)
        with site.store.writing() as work:
            work.tombstones.entomb([uuid_of(3)], RemovalReason.DELETED, 5)
        site.clip(3).unlink()
        site.steps.clips(NAME, silent)
        manifest = site.steps.finish(NAME, silent)
    finally:
        over.set()
        writer.join()
    assert manifest.database.kind == "postgresql"
    assert manifest.deleted_since == (uuid_of(3),)
    assert manifest.began_since == (uuid_of(50),)
    assert manifest.damaged == ()
    url = postgres.new_database()
    report = restored(site, url, tmp_path / "new")
    assert dict(report.counts) == dict(manifest.counts)
    store = open_store(url)
    with store.reading() as work:
        assert work.system.table_counts() == dict(manifest.counts)
        identity = work.system.identity()
        assert identity is not None
        assert (identity.generation, identity.store_id) == (2, manifest.store_id)
        assert work.events.get(EventId(uuid_of(50))).state is EventState.FAILED
    pair_store(store, tmp_path / "new", Uuid7Source())
    store.close()
    clips = {path.stem for path in (tmp_path / "new" / "recordings" / CAMERA_ID).iterdir()}
    assert clips >= {uuid_of(n) for n in range(1, 11) if n != 3}
    assert len(clips) == manifest.counts["clip_files"]


def test_restore_refuses_a_database_in_use_or_not_empty_and_moves_it_aside_when_forced(
    site: Site, postgres: PostgresServer, tmp_path: Path
) -> None:
    backed_up(site)
    with pytest.raises(ConflictError, match="not empty"):
        restored(site, site.url, tmp_path / "new")
    with site.store.reading(), pytest.raises(ConflictError, match="stop Iris first"):
        restored(site, site.url, tmp_path / "new", force=True)
    site.store.close()
    assert restored(site, site.url, tmp_path / "new", force=True).generation == 2
    with psycopg.connect(site.url) as connection:
        query = "SELECT count(*) FROM before_restore_20261124t030000z_0000000b.events"
        assert connection.execute(query).fetchone() == (10,)
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (10,)


def test_restore_refuses_when_the_kind_of_database_is_another(site: Site, tmp_path: Path) -> None:
    manifest = backed_up(site)
    target = DatabaseTarget(f"sqlite:///{tmp_path}/vms.db", tmp_path, SystemClock())
    with pytest.raises(ConfigError, match="backup is of a postgresql database"):
        target.refuse_other_kind(manifest)


def test_dump_fails_with_a_sentence_and_no_password_when_refused(site: Site, tmp_path: Path) -> None:
    from iris.adapters.pg_tools import dump_database

    with pytest.raises(StoreError) as caught:
        dump_database("postgresql://someone:CANARY@127.0.0.1:1/none", "none", tmp_path / "dump")
    assert "pg_dump failed" in str(caught.value)
    assert "CANARY" not in str(caught.value)
