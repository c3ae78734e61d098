"""`iris backup` and `iris restore` over a real data directory, whole."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from iris.adapters.clock import SystemClock
from iris.base.errors import ConflictError, IrisError
from iris.base.ids import EventId
from iris.config import Settings
from iris.domain.event import EventState
from iris.domain.operation import OperationKind, RemovalReason
from iris.pipeline.backup.finish import finished_backups
from iris.pipeline.backup.layout import MANIFEST, read_manifest
from iris.pipeline.backup.restore import RestoreRequest, restore_backup
from iris.pipeline.backup.restore_database import DatabaseTarget
from iris.store.engine import open_store, sqlite_url
from iris.store.operations import OperationDraft
from tests.builders.events import NODE_ID, event_message, uuid_of
from tests.workers.backup.place import (
    NAME,
    NEXT,
    OPEN,
    PARTIAL,
    READY,
    backed_up,
    counts_of,
    now_us,
    problems_of,
    restored,
    silent,
    steps_of,
    tree,
)
from tests.workers.test_check_command import CAMERA, Copy
from workers.backup_command import unreadable_cameras


def test_restore_gives_what_the_manifest_says_when_on_another_folder(place: Copy, tmp_path: Path) -> None:
    manifest = backed_up(place, tmp_path / "backups")
    new = tmp_path / "new"
    report = restored(tmp_path / "backups" / NAME, new, verify=True)
    assert problems_of(new) == []
    assert counts_of(new) == dict(manifest.counts) == dict(report.counts)
    assert (manifest.generation, report.generation) == (1, 2)
    assert json.loads((new / "store.json").read_text())["generation"] == 2
    for name in ("recordings", "thumbnails"):
        assert tree(new / name) == tree(place.data_dir / name)
    pins = {path.name: path for path in (new / "pending" / OPEN).glob("seg_*")}
    assert pins
    for pin in pins.values():  # kept once, under both names
        assert pin.samefile(new / "segments" / CAMERA / pin.name)
        assert pin.stat().st_nlink == 2
    assert manifest.damaged == manifest.deleted_since == manifest.began_since == ()


def test_backup_leaves_the_store_as_it_was_when_it_is_made(place: Copy, tmp_path: Path) -> None:
    before = tree(place.data_dir)
    backed_up(place, tmp_path / "backups")
    assert {name: digest for name, digest in tree(place.data_dir).items() if not name.startswith("vms.db")} == {
        name: digest for name, digest in before.items() if not name.startswith("vms.db")
    }
    # A pinned segment is told by its second name: a third would keep it in the rolling buffer.
    for segment in (place.data_dir / "segments" / CAMERA).glob("*.mp4"):
        pinned = (place.data_dir / "pending" / OPEN / segment.name).exists()
        assert segment.stat().st_nlink == (2 if pinned else 1)


def test_backup_is_closed_to_others_and_without_secrets_when_made(place: Copy, tmp_path: Path) -> None:
    backed_up(place, tmp_path / "backups")
    backup = tmp_path / "backups" / NAME
    for path in (backup, *backup.rglob("*")):
        linked = path.is_file() and path.stat().st_nlink > 1
        assert linked or path.stat().st_mode & 0o077 == 0, path
    key = (place.data_dir / "secrets" / "credentials.key").read_bytes().strip()
    for path in backup.rglob("*"):
        assert path.is_dir() or not any(secret in path.read_bytes() for secret in (key, b"CANARY"))
    assert {path.name for path in backup.iterdir()} == {MANIFEST, "database.sqlite", "nodes"}


def test_backup_names_what_was_removed_when_a_deletion_runs_meanwhile(place: Copy, tmp_path: Path) -> None:
    """The row goes after the snapshot, the file before it is linked: the backup is without the event and says so."""
    steps = steps_of(place, tmp_path / "backups")
    steps.begin(NAME)
    steps.footage(NAME, silent)
    steps.database(NAME, silent)
    with place.store.writing() as work:
        work.tombstones.entomb([READY], RemovalReason.DELETED, now_us())
    place.clip(1).unlink()
    steps.clips(NAME, silent)
    manifest = steps.finish(NAME, silent)
    assert (manifest.deleted_since, manifest.damaged) == ((READY,), ())
    new = tmp_path / "new"
    restored(tmp_path / "backups" / NAME, new)
    assert problems_of(new) == []
    assert counts_of(new) == dict(manifest.counts)
    assert (manifest.counts["events"], manifest.counts["tombstones"]) == (2, 1)


def test_backup_tells_of_damage_when_a_clip_was_gone_before(place: Copy, tmp_path: Path) -> None:
    place.clip(1).unlink()
    with place.clip(2).open("ab") as file:
        file.write(b"x")
    manifest = backed_up(place, tmp_path / "backups")
    assert len(manifest.damaged) == 2
    assert READY in manifest.damaged[0]
    assert manifest.deleted_since == ()
    new = tmp_path / "new"
    restored(tmp_path / "backups" / NAME, new)
    assert counts_of(new) == dict(manifest.counts)
    assert len(problems_of(new)) == 2, "what was damaged is shown as such"


def test_event_that_began_after_the_footage_ends_as_failed_when_restored(place: Copy, tmp_path: Path) -> None:
    steps = steps_of(place, tmp_path / "backups")
    steps.begin(NAME)
    steps.footage(NAME, silent)
    with place.store.writing() as work:
        work.events.record(event_message(9, camera_id=CAMERA), 5)
    steps.database(NAME, silent)
    steps.clips(NAME, silent)
    manifest = steps.finish(NAME, silent)
    assert manifest.began_since == (uuid_of(9),)
    new = tmp_path / "new"
    restored(tmp_path / "backups" / NAME, new)
    assert problems_of(new) == []
    assert counts_of(new) == dict(manifest.counts)
    store = open_store(sqlite_url(new / "vms.db"))
    with store.reading() as work:
        row = work.events.get(EventId(uuid_of(9)))
    store.close()
    assert row.state is EventState.FAILED
    assert "no footage of it is in the backup" in str(row.failure)


def test_camera_that_was_deleted_meanwhile_is_in_no_backup(place: Copy, tmp_path: Path) -> None:
    steps = steps_of(place, tmp_path / "backups")
    steps.begin(NAME)
    steps.footage(NAME, silent)
    with place.store.writing() as work:
        work.tombstones.entomb([READY, PARTIAL, OPEN], RemovalReason.CAMERA, now_us(), unfinished=True)
        work.cameras.delete(CAMERA)
    steps.database(NAME, silent)
    steps.clips(NAME, silent)
    steps.finish(NAME, silent)
    left = [path for path in (tmp_path / "backups" / NAME).rglob("*") if path.is_file() and CAMERA in str(path)]
    assert left == []
    restored(tmp_path / "backups" / NAME, tmp_path / "new")
    assert problems_of(tmp_path / "new") == []


def test_steps_give_the_same_when_each_is_taken_twice(place: Copy, tmp_path: Path) -> None:
    steps = steps_of(place, tmp_path / "backups")
    for step in (steps.begin, lambda name: steps.footage(name, silent), lambda name: steps.database(name, silent),
                 lambda name: steps.clips(name, silent)):  # fmt: skip
        step(NAME)
        step(NAME)
    assert steps.finish(NAME, silent) == steps.finish(NAME, silent)
    restored(tmp_path / "backups" / NAME, tmp_path / "new", verify=True)
    assert problems_of(tmp_path / "new") == []


def test_oldest_backup_goes_when_a_new_one_is_verified_and_not_before(place: Copy, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    backed_up(place, target, NAME, keep=1)
    steps = steps_of(place, target, keep=1)
    steps.begin(NEXT)
    steps.footage(NEXT, silent)
    steps.database(NEXT, silent)
    steps.clips(NEXT, silent)
    clip = target / f"{NEXT}.part" / "nodes" / NODE_ID / "recordings" / CAMERA / f"{READY}.mp4"
    clip.unlink()
    with pytest.raises(IrisError):
        steps.finish(NEXT, silent)
    assert [path.name for path, _ in finished_backups(target)] == [NAME]
    steps.clips(NEXT, silent)
    steps.finish(NEXT, silent)
    assert [path.name for path in target.iterdir()] == [NEXT]


def test_cut_off_backup_is_cleared_away_only_when_it_is_old(place: Copy, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    steps_of(place, target).begin(NAME)
    backed_up(place, target, NEXT)
    assert (target / f"{NAME}.part").is_dir(), "another one may be under way"
    old = SystemClock().wall_us() / 1e6 - 4000
    os.utime(target / f"{NAME}.part" / "alive", (old, old))
    (target / "notes").mkdir()
    backed_up(place, target, "20261125T030000Z-0000000c")
    assert sorted(path.name for path in target.iterdir()) == [NEXT, "20261125T030000Z-0000000c", "notes"]


def test_restore_refuses_a_folder_that_is_not_empty_and_moves_it_aside_when_forced(place: Copy, tmp_path: Path) -> None:
    backed_up(place, place.data_dir / "backups")
    backup = place.data_dir / "backups" / NAME
    place.store.close()
    with pytest.raises(ConflictError, match="not empty"):
        restored(backup, place.data_dir)
    before = {name: digest for name, digest in tree(place.data_dir).items() if not name.startswith("backups/")}
    report = restored(backup, place.data_dir, force=True)
    assert problems_of(place.data_dir) == []
    assert report.generation == 2
    aside = tree(place.data_dir / f"before-restore-{NEXT}")
    secrets = {name for name in before if name.startswith("secrets/")}
    assert aside == {name: digest for name, digest in before.items() if name not in secrets}
    assert secrets <= set(tree(place.data_dir)), "the key stays where it is"
    assert report.aside == f"before-restore-{NEXT}"


def test_generation_rises_each_time_when_restored_over_itself(place: Copy, tmp_path: Path) -> None:
    backed_up(place, tmp_path / "backups")
    new = tmp_path / "new"
    assert restored(tmp_path / "backups" / NAME, new).generation == 2
    settings = Settings(_env_file=None, data_dir=new)
    request = RestoreRequest(
        backup=tmp_path / "backups" / NAME, manifest=read_manifest(tmp_path / "backups" / NAME), data_dir=new,
        stamp="again", force=True,
    )  # fmt: skip
    target = DatabaseTarget(settings.main_database_url, new, SystemClock())
    assert restore_backup(request, target, silent).generation == 3


def test_periodic_operations_end_and_others_go_on_when_restored(place: Copy, tmp_path: Path) -> None:
    with place.store.writing() as work:
        for kind in OperationKind:
            draft = OperationDraft(operation_id=uuid_of(hash(kind) % 2**40), kind=kind, workflow_id=kind, request={})
            work.operations.ask(draft, 1)
    backed_up(place, tmp_path / "backups")
    restored(tmp_path / "backups" / NAME, tmp_path / "new")
    store = open_store(sqlite_url(tmp_path / "new" / "vms.db"))
    with store.reading() as work:
        assert {row.kind for row in work.operations.unfinished()} == {
            OperationKind.CAMERA_DELETION, OperationKind.CAMERA_REPOINT, OperationKind.EVENT_DELETION,
        }  # fmt: skip
    store.close()


def test_cameras_are_named_when_their_addresses_do_not_open(place: Copy, tmp_path: Path) -> None:
    backed_up(place, tmp_path / "backups")
    new = tmp_path / "new"
    restored(tmp_path / "backups" / NAME, new)
    store = open_store(sqlite_url(new / "vms.db"))
    assert unreadable_cameras(store, new) == [(CAMERA, "Gate")]
    assert not (new / "secrets").exists(), "asking makes no key"
    shutil.copytree(place.data_dir / "secrets", new / "secrets")
    assert unreadable_cameras(store, new) == []
    store.close()
