"""A stopped system with its camera, backups of it and restores of those, for tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

from iris.adapters.clock import SystemClock
from iris.config import Settings
from iris.pipeline.backup.layout import Manifest, read_manifest
from iris.pipeline.backup.restore import RestoreReport, RestoreRequest, restore_backup
from iris.pipeline.backup.restore_database import DatabaseTarget
from iris.pipeline.backup.steps import BackupPlace, BackupSteps, make_backup
from iris.store.engine import open_store, sqlite_url
from tests.builders.events import NODE_ID, uuid_of
from tests.workers.test_check_command import Copy
from workers.check_command import run_check
from workers.wiring.backup import place_of

NAME = "20261123T030000Z-0000000a"
NEXT = "20261124T030000Z-0000000b"
READY, PARTIAL, OPEN = uuid_of(1), uuid_of(2), uuid_of(3)


def silent(step: str, done: int, total: int) -> None:
    return


def steps_of(place: Copy, target: Path, keep: int = 7) -> BackupSteps:
    found = place_of(place.settings, place.store, SystemClock(), target=target)
    return BackupSteps(BackupPlace(**{name: getattr(found, name) for name in found.__slots__} | {"keep": keep}))


def backed_up(place: Copy, target: Path, name: str = NAME, keep: int = 7) -> Manifest:
    return make_backup(steps_of(place, target, keep), name, NODE_ID, silent)


def restored(backup: Path, data_dir: Path, *, force: bool = False, verify: bool = False) -> RestoreReport:
    settings = Settings(_env_file=None, data_dir=data_dir)
    request = RestoreRequest(
        backup=backup, manifest=read_manifest(backup), data_dir=data_dir, stamp=NEXT, force=force, verify=verify
    )
    return restore_backup(request, DatabaseTarget(settings.main_database_url, data_dir, SystemClock()), silent)


def problems_of(data_dir: Path) -> list[str]:
    report = run_check(Settings(_env_file=None, data_dir=data_dir), full=True, pause=lambda _s: None)
    return [problem for rule in report.rules for problem in rule.problems]


def counts_of(data_dir: Path) -> dict[str, int]:
    store = open_store(sqlite_url(data_dir / "vms.db"))
    with store.reading() as work:
        counts = work.system.table_counts()
    store.close()
    return counts


def now_us() -> int:
    return SystemClock().wall_us()


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder by its hash."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }
