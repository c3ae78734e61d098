"""`iris backup` and `iris restore` over a real data directory, whole and broken, on both databases."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from iris.adapters.clock import SystemClock
from iris.adapters.vault import open_vault
from iris.base.errors import ConflictError, IrisError
from iris.base.ids import EventId
from iris.config import Settings
from iris.domain.event import EventState
from iris.domain.operation import OperationKind, RemovalReason
from iris.pipeline.backup.finish import finished_backups
from iris.pipeline.backup.layout import MANIFEST, Manifest, read_manifest
from iris.pipeline.backup.restore import RestoreReport, RestoreRequest, restore_backup
from iris.pipeline.backup.restore_database import DatabaseTarget
from iris.pipeline.backup.steps import BackupPlace, BackupSteps, make_backup
from iris.store.cameras import CameraDraft
from iris.store.engine import open_store, sqlite_url
from iris.store.operations import OperationDraft
from tests.builders.events import NODE_ID, event_message, uuid_of
from tests.workers.test_check_command import CAMERA, Copy, Place
from workers.backup_command import unreadable_cameras
from workers.check_command import run_check
from workers.wiring.backup import place_of

NAME = "20261123T030000Z-0000000a"
NEXT = "20261124T030000Z-0000000b"
READY, PARTIAL, OPEN = uuid_of(1), uuid_of(2), uuid_of(3)


def silent(_step: str, _done: int, _total: int) -> None:
    return


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped system with a ready, a partial and an open event, and its camera; built once."""
    data_dir = tmp_path_factory.mktemp("template") / "data"
    place = Place(data_dir)
    draft = CameraDraft(
        name="Gate", rtsp_url_sealed=open_vault(data_dir).seal("rtsp://u:CANARY@192.0.2.1/", CAMERA),
        rtsp_url_masked="rtsp://***@192.0.2.1/", detect_url_sealed=None, detect_url_masked=None, enabled=True,
        recording_mode="track", trigger_classes=("person",), detect_conf=0.5, detect_fps=5, pre_seconds=1,
        post_seconds=1, trigger_cooldown=2, detector_backend=None,
    )  # fmt: skip
    with place.store.writing() as work:
        if not any(row.camera_id == CAMERA for row in work.cameras.all()):
            work.cameras.add(CAMERA, draft, 1)
    place.store.close()
    return data_dir


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Iterator[Copy]:
    shutil.copytree(template, tmp_path / "data", symlinks=True)
    pinned = tmp_path / "data" / "pending" / OPEN
    for pin in pinned.glob("seg_*.mp4"):  # copying made two files of one
        pin.unlink()
        os.link(tmp_path / "data" / "segments" / CAMERA / pin.name, pin)
    copy = Copy(tmp_path / "data")
    yield copy
    copy.store.close()


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


@dataclass(frozen=True)
class Broken:
    """A way to break a backup, and a word of the refusal."""

    word: str
    how: str
    value: str = ""


BROKEN = [
    Broken("no backup of Iris has", "path", "../../escaped.mp4"),
    Broken("no backup of Iris has", "path", "/etc/passwd"),
    Broken("no backup of Iris has", "path", "recordings/../../../x.mp4"),
    Broken("no backup of Iris has", "path", "secrets/credentials.key"),
    Broken("no backup of Iris has", "path", f"segments/{CAMERA}/seg_1.mp4\x00.txt"),
    Broken("no backup of Iris has", "same_as", "../x"),
    Broken("no regular file", "symlink"),
    Broken("no regular file", "fifo"),
    Broken("is a link", "symlinked folder"),
    Broken("bytes, its list says", "truncated"),
    Broken("not as its manifest says", "list changed"),
    Broken("not as its manifest says", "database changed"),
    Broken("other bytes", "one byte"),
    Broken("manifest of the backup cannot be read", "manifest"),
    Broken("no finished backup", "no manifest"),
    Broken("twice", "twice"),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: f"{broken.how} {broken.value!r}")
def test_restore_refuses_and_writes_nothing_when_the_backup_is(place: Copy, tmp_path: Path, broken: Broken) -> None:
    backed_up(place, tmp_path / "backups")
    backup = tmp_path / "backups" / NAME
    break_it(backup, broken)
    with pytest.raises(IrisError, match=broken.word):
        restored(backup, tmp_path / "new" / "data", verify=True)
    left = [path for path in (tmp_path / "new").rglob("*") if path.is_file() and ".restore.part" not in str(path)]
    assert left == []
    assert not (tmp_path / "escaped.mp4").exists()
    (tmp_path / "new").mkdir(exist_ok=True)
    assert not (tmp_path / "new" / "data" / "store.json").exists()


def break_it(backup: Path, broken: Broken) -> None:
    node = backup / "nodes" / NODE_ID
    clips, clip = node / "lists" / "clips.jsonl", node / "recordings" / CAMERA / f"{READY}.mp4"
    lines = [json.loads(line) for line in clips.read_text().splitlines()]
    first = next(number for number, line in enumerate(lines) if READY in line["path"] and ".mp4" in line["path"])
    match broken.how:
        case "path" | "same_as":
            lines[first][broken.how] = broken.value
            relist(backup, clips, lines)
        case "twice":
            relist(backup, clips, [*lines, lines[first]])
        case "symlink":
            shutil.move(clip, backup.parent / "elsewhere.mp4")
            clip.symlink_to(backup.parent / "elsewhere.mp4")
        case "fifo":
            clip.unlink()
            os.mkfifo(clip)
        case "symlinked folder":
            shutil.move(clip.parent, backup.parent / "elsewhere")
            clip.parent.symlink_to(backup.parent / "elsewhere")
        case "truncated":
            data = clip.read_bytes()
            clip.unlink()  # it shares its bytes with the store
            clip.write_bytes(data[:-1])
        case "one byte":
            data = clip.read_bytes()
            clip.unlink()
            clip.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "list changed":
            clips.write_text(clips.read_text().replace(READY, uuid_of(77)))
        case "database changed":
            with (backup / "database.sqlite").open("r+b") as file:
                file.seek(100)
                file.write(b"\xff")
        case "manifest":
            (backup / MANIFEST).write_text("{}")
        case "no manifest":
            (backup / MANIFEST).unlink()


def relist(backup: Path, path: Path, lines: list[dict[str, object]]) -> None:
    """Write a list and make the manifest agree with it, as somebody would who means harm."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    path.write_text(text)
    manifest = json.loads((backup / MANIFEST).read_text())
    for part in manifest["nodes"][0]["lists"]:
        if part["name"] == path.name:
            part["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (backup / MANIFEST).write_text(json.dumps(manifest))


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


FAILPOINTS_BACKUP = (
    "backup.after_camera_files", "backup.after_footage", "backup.after_database", "backup.after_clips",
    "backup.before_manifest", "backup.before_name",
)  # fmt: skip
FAILPOINTS_RESTORE = (
    "restore.after_files", "restore.after_database", "restore.among_aside:1", "restore.among_aside:3",
    "restore.among_places:1", "restore.among_places:4", "restore.before_mark",
)  # fmt: skip


def iris(data_dir: Path, *arguments: str, failpoint: str = "") -> subprocess.CompletedProcess[str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**known, "DATA_DIR": str(data_dir), "IRIS_FAILPOINT": failpoint}
    return subprocess.run(
        [sys.executable, "-m", "workers.cli", *arguments], env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.e2e
def test_killed_backup_counts_as_none_wherever_it_is_killed(place: Copy, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    for failpoint in FAILPOINTS_BACKUP:
        assert iris(place.data_dir, "backup", str(target), failpoint=failpoint).returncode == -9
        assert list(finished_backups(target)) == []
        refused = iris(tmp_path / "new", "restore", str(next(target.glob("*.part"))))
        assert refused.returncode == 1
        assert "no finished backup" in refused.stderr
    assert problems_of(place.data_dir) == []
    made = iris(place.data_dir, "backup", str(target))
    assert made.returncode == 0, made.stderr
    assert "protects against mistakes" in made.stdout
    assert len(list(finished_backups(target))) == 1


@pytest.mark.e2e
@pytest.mark.parametrize("failpoint", FAILPOINTS_RESTORE)
def test_killed_restore_counts_as_none_and_can_be_done_again(place: Copy, tmp_path: Path, failpoint: str) -> None:
    backed_up(place, tmp_path / "backups")
    place.store.close()
    aside = "aside" in failpoint
    target = place.data_dir if aside else tmp_path / "new"
    arguments = ("restore", str(tmp_path / "backups" / NAME), *(("--force",) if aside else ()))
    assert iris(target, *arguments, failpoint=failpoint).returncode == -9
    assert not (target / "store.json").exists()
    done = iris(target, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything holds" in done.stdout
    assert f"{CAMERA} Gate" in done.stdout or aside
    assert problems_of(target) == []
    if aside:  # nothing of what was there before is lost
        kept = {path.name for folder in target.glob("before-restore-*") for path in folder.rglob("*")}
        assert {"store.json", "vms.db", f"{READY}.mp4"} <= kept
