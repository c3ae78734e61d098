"""Retention by space where backups lie on the same disk: they go first, and no event goes in vain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from iris.adapters.id_source import Uuid7Source
from iris.config import Settings
from iris.contracts.removal import EventPlace, RemovedEvents
from iris.contracts.retention import EvictEvents
from iris.domain.operation import RemovalReason
from iris.domain.storage import DiskFigures
from iris.pipeline.backup.beside import BackupsBesideStore
from iris.pipeline.backup.finish import finished_backups
from iris.pipeline.backup.steps import BackupSteps, make_backup
from iris.pipeline.eviction import Evictor
from iris.store.engine import Store, open_store, sqlite_url
from iris.store.migrate import migrate
from tests.builders.kept_footage import CLIP_BYTES, NODE, KeptFootage
from workers.wiring.backup import place_of
from workers.wiring.pairing import pair_store


class SharingFootage(KeptFootage):
    """As `KeptFootage`, with backups beside it; a file with several names takes its room once."""

    @property
    def target(self) -> Path:
        return self.data_dir / "backups"

    def restarted(self) -> Evictor:
        evictor = super().restarted()
        evictor._parts = replace(evictor._parts, shared=BackupsBesideStore(self.data_dir, self.target))
        return evictor

    def disk(self) -> DiskFigures:
        files = {path.stat().st_ino: path.stat().st_size for path in self.data_dir.rglob("recordings/*/*.mp4")}
        used = min(self.disk_bytes, sum(files.values()) + self.foreign_bytes)
        return DiskFigures(used, self.disk_bytes - used, self.write_bytes_per_s)

    def backup(self, number: int) -> None:
        settings = Settings(_env_file=None, data_dir=self.data_dir)
        steps = BackupSteps(place_of(settings, self.store, self.clock))
        make_backup(steps, f"2026112{number}T030000Z-0000000a", NODE, lambda step, done, total: None)


@pytest.fixture
def footage(tmp_path: Path) -> Iterator[SharingFootage]:
    data_dir = tmp_path / "data"
    url = sqlite_url(data_dir / "vms.db")
    migrate(url)
    store: Store = open_store(url)
    pair_store(store, data_dir, Uuid7Source())
    (data_dir / "node").mkdir(exist_ok=True)
    (data_dir / "node" / "id").write_text(NODE)
    yield SharingFootage(store, data_dir)
    store.close()


def evict(footage: SharingFootage) -> int:
    return footage.evictor.run(EvictEvents(), lambda step, done, total: None).space_count


def test_backups_beside_the_store_go_before_events_when_the_disk_needs_room(footage: SharingFootage) -> None:
    for number in range(1, 71):
        footage.keep(number)
    footage.backup(1)
    footage.backup(2)
    for number in range(71, 91):
        footage.keep(number)
    assert evict(footage) == 10  # from 90 to 80 of 100, as if there had never been a backup
    assert list(finished_backups(footage.target)) == []
    assert footage.events() == set(range(11, 91))


def test_backups_beside_the_store_stay_when_there_is_room(footage: SharingFootage) -> None:
    for number in range(1, 71):
        footage.keep(number)
    footage.backup(1)
    assert evict(footage) == 0
    assert len(list(finished_backups(footage.target))) == 1


def test_oldest_backup_alone_goes_when_that_is_room_enough(footage: SharingFootage) -> None:
    doomed = [footage.keep(number) for number in range(1, 31)]
    footage.backup(1)
    with footage.store.writing() as work:
        stones = work.tombstones.entomb(doomed, RemovalReason.DELETED, 1)
    footage.files.purge(
        RemovedEvents(tuple(EventPlace(stone.event_id, stone.camera_id) for stone in stones)), lambda *_: None
    )
    for number in range(31, 91):
        footage.keep(number)
    footage.backup(2)
    assert evict(footage) == 0, "what only the oldest backup still had was enough"
    assert [path.name[:8] for path, _ in finished_backups(footage.target)] == ["20261122"]


def test_no_event_goes_in_vain_when_a_backup_is_being_made(footage: SharingFootage) -> None:
    for number in range(1, 91):
        footage.keep(number)
    part = footage.target / "20261121T030000Z-0000000a.part" / "recordings" / "x"
    part.mkdir(parents=True)
    for clip in footage.data_dir.glob("recordings/*/*.mp4"):
        os.link(clip, part / clip.name)
    assert evict(footage) == 0
    assert footage.events() == set(range(1, 91))
    for clip in part.iterdir():
        clip.unlink()
    assert evict(footage) == 10
    assert footage.disk().used_bytes == CLIP_BYTES * 80
