"""`iris backup` and `iris restore`: the same steps as the Backup workflow, and the way back. Need no Temporal."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.process import hold_lock
from iris.adapters.vault import opener_of
from iris.base.errors import ConfigError, ConflictError, InputError, StoreError
from iris.config import Settings, load_settings
from iris.pipeline.backup.finish import finished_backups
from iris.pipeline.backup.layout import Manifest, read_manifest
from iris.pipeline.backup.restore import RestoreReport, RestoreRequest, restore_backup
from iris.pipeline.backup.restore_database import DatabaseTarget
from iris.pipeline.backup.steps import BackupSteps, backup_name, make_backup
from iris.store.engine import Store, open_store, sqlite_file
from workers.check_command import run_check
from workers.wiring.backup import place_of

_LOCK_PATIENCE_S: Final = 1.0
_SAME_DISK: Final = (
    "It shares its files with DATA_DIR: it protects against mistakes, not against the loss of the disk, and footage "
    "that is deleted takes room until its last backup is gone. Set BACKUP_DIR to another disk."
)


def backup_command(arguments: argparse.Namespace) -> int:
    """Make a backup; prints where it is."""
    settings = load_settings().settings
    target = _target(arguments.target, settings)
    _expect_database(settings.main_database_url)
    store = open_store(settings.main_database_url)
    clock = SystemClock()
    name = backup_name(clock.wall_us(), Uuid7Source().new_id())
    try:
        place = place_of(settings, store, clock, target=target)
        manifest = make_backup(BackupSteps(place), name, place.node_id, _show)
    finally:
        store.close()
    sys.stdout.write(_told(target / name, manifest) + "\n")
    if (target / name).stat().st_dev == settings.data_path.stat().st_dev:
        sys.stdout.write(_SAME_DISK + "\n")
    return 0


def restore_command(arguments: argparse.Namespace) -> int:
    """Restore a backup and check the result; 0 only where every rule of `iris check` holds."""
    settings = load_settings().settings
    if arguments.data_dir:
        settings = settings.model_copy(update={"data_dir": Path(arguments.data_dir)})
    backup = _found(arguments.backup, settings)
    manifest = read_manifest(backup)
    clock = SystemClock()
    database = DatabaseTarget(settings.main_database_url, settings.data_path, clock)
    database.refuse_other_kind(manifest)
    stamp = backup_name(clock.wall_us(), Uuid7Source().new_id())
    request = RestoreRequest(
        backup=backup, manifest=manifest, data_dir=settings.data_path, stamp=stamp, force=arguments.force,
        verify=arguments.verify,
    )  # fmt: skip
    with _stopped(settings.data_path):
        report = restore_backup(request, database, _show)
    sys.stdout.write(_restored(settings, manifest, report) + "\n")
    checked = run_check(settings)
    sys.stdout.write(checked.as_text() + "\n")
    return 0 if checked.holds else 1


def unreadable_cameras(store: Store, data_dir: Path) -> list[tuple[str, str]]:
    """(id, name) of cameras whose address does not open with the key of a data directory; nothing is made."""
    opens = opener_of(data_dir)
    with store.reading() as work:
        rows = work.cameras.all()
    return [(row.camera_id, row.name) for row in rows if not opens(row.rtsp_url_sealed, row.camera_id)]


def _target(named: str | None, settings: Settings) -> Path:
    """The folder of backups that is named, else that of the settings."""
    if named is None:
        return settings.backup_path
    if not named.strip():
        raise InputError("TARGET is empty; name a folder, or leave it out for BACKUP_DIR")
    target = Path(named).expanduser().resolve()
    if settings.keeps_own_files_in(target):
        raise InputError(f"{target} is in DATA_DIR; name a folder outside it, or {settings.data_path / 'backups'}")
    return target


def _found(name: str, settings: Settings) -> Path:
    """A backup by its path, by its name in the folder of backups, or the newest."""
    if name == "newest":
        newest = next(finished_backups(settings.backup_path), None)
        if newest is None:
            raise InputError(f"there is no finished backup in {settings.backup_path}")
        return newest[0]
    for path in (Path(name).expanduser(), settings.backup_path / name):
        if path.is_dir():
            return path.resolve()
    raise InputError(f"there is no backup {name}, neither here nor in {settings.backup_path}")


@contextlib.contextmanager
def _stopped(data_dir: Path) -> Iterator[None]:
    """Holds the locks of `iris up` and of the node, so that neither runs nor starts meanwhile.

    What it made for that goes again where the restore fails, so that a refused one leaves no trace.
    """
    up_lock = data_dir / "run" / "up.lock"
    made = [path for path in (up_lock, *up_lock.parents) if not path.exists()]
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        locks = [hold_lock(up_lock, patience_s=_LOCK_PATIENCE_S)]
        if (data_dir / "node").is_dir():
            locks.append(hold_lock(data_dir / "node" / "lock", patience_s=_LOCK_PATIENCE_S))
    except ConflictError:
        raise ConflictError(f"Iris runs on {data_dir}; stop it before you restore") from None
    except OSError as error:
        raise ConfigError(f"{data_dir} cannot be written: {error.strerror}") from error
    try:
        yield
    except BaseException:
        _unmake(made)
        raise
    finally:
        for lock in locks:
            os.close(lock)


def _unmake(made: list[Path]) -> None:
    """Remove a lock and the folders around it, innermost first; a folder that holds something stays."""
    with contextlib.suppress(OSError):
        for path in made:
            path.rmdir() if path.is_dir() else path.unlink()


def _restored(settings: Settings, manifest: Manifest, report: RestoreReport) -> str:
    counts = report.counts
    what = f"{counts['cameras']} camera(s), {counts['events']} event(s), {counts['clip_files']} clip(s)"
    lines = [f"Restored {manifest.name} into {settings.data_path}: {what}; generation {report.generation}."]
    if report.aside:
        lines.append(f"What was there before is in {settings.data_path / report.aside}.")
    if manifest.began_since:
        lines.append(f"{len(manifest.began_since)} event(s) had just begun when it was made; they are failed now.")
    lines += [f"Damaged before it was made: {text}" for text in manifest.damaged]
    if settings.temporal_address is not None:
        lines.append(
            "Temporal at TEMPORAL_ADDRESS knows the events of before: set TEMPORAL_NAMESPACE to a new namespace, "
            "or unfinished events are taken for finished."
        )
    store = open_store(settings.main_database_url)
    try:
        locked = unreadable_cameras(store, settings.data_path)
    finally:
        store.close()
    if locked:
        lines.append(
            f"The addresses of {len(locked)} camera(s) do not open: put secrets/credentials.key of the old system into "
            f"{settings.data_path / 'secrets'} before the start, or enter these addresses again:"
        )
        lines += [f"  {camera_id} {name}" for camera_id, name in locked]
    return "\n".join(lines)


def _told(path: Path, manifest: Manifest) -> str:
    text = (
        f"{path}: {manifest.counts['cameras']} camera(s), {manifest.counts['events']} event(s), "
        f"{manifest.file_count} file(s), {manifest.total_bytes / 2**20:.1f} MiB"
    )
    return "\n".join([text, *(f"Damaged: {problem}" for problem in manifest.damaged)])


def _show(step: str, done: int, total: int) -> None:
    """One line that is written over, for who waits at a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{step}: {done}{f' of {total}' if total else ''}\033[K")
        if done == total:
            sys.stderr.write("\r\033[K")


def _expect_database(url: str) -> None:
    """Opening an SQLite file that is not there would make one."""
    path = sqlite_file(url)
    if path is not None and not path.is_file():
        raise StoreError(f"there is no database at {path}; set DATA_DIR or DATABASE_URL")
