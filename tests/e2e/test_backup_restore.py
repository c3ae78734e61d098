"""A backup of a whole Iris at work - events being made, others being deleted - restored onto another folder."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.base.ids import EventId
from iris.contracts.events import ClipResult, EventMessage, FinaliseEvent
from iris.pipeline.backup.layout import Manifest, read_manifest
from iris.store.engine import Store, open_store, sqlite_url
from iris.store.events import EventRow
from tests.e2e.running_iris import RunningIris, wait_until
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = pytest.mark.e2e

# Somebody is in view for 6 of every 12 s, so that events open and close all the time.
SCENE = SceneSpec(loop_s=12, walk_at_s=2, walk_s=6, fps=10, keyframe_interval_s=1)
CAMERA = {"trigger_cooldown": 2, "pre_seconds": 1, "post_seconds": 1, "detector_backend": "motion"}
_COPIED = "copied"


def open_main(iris: RunningIris) -> Store:
    return open_store(sqlite_url(iris.data_dir / "vms.db"))


def copies_of(iris: RunningIris, event_id: str, count: int) -> list[str]:
    """More events like a finished one, with files of their own: something to delete and to back up."""
    ids = [Uuid7Source().new_id() for _ in range(count)]
    store = open_main(iris)
    with store.reading() as work:
        row = work.events.get(EventId(event_id))
    for new_id in ids:
        files = []
        for file in row.clip_files:
            path = file.path.replace(event_id, new_id)
            os.link(iris.data_dir / file.path, iris.data_dir / path)
            files.append(replace(file, path=path))
        thumbnail = f"thumbnails/{new_id}.jpg"
        shutil.copy(iris.data_dir / str(row.thumbnail_path), iris.data_dir / thumbnail)
        clip = ClipResult(state=row.state.value, files=tuple(files), covered=row.covered, missing=row.missing)
        with store.writing() as work:
            work.events.finalise(FinaliseEvent(message_of(row, new_id), clip, thumbnail), SystemClock().wall_us())
    store.close()
    return ids


def message_of(row: EventRow, event_id: str) -> EventMessage:
    return EventMessage(
        kind="closed", event_id=event_id, camera_id=row.camera_id, node_id=row.node_id, seq=row.seq,
        started_us=row.started_us, last_seen_us=row.last_seen_us, window_start_us=row.window_start_us,
        labels=(_COPIED,), window_end_us=row.window_end_us, end_reason=str(row.end_reason), backend=row.backend,
    )  # fmt: skip


@contextmanager
def deleting(iris: RunningIris, event_ids: list[str]) -> Iterator[list[str]]:
    """Deletes one event after the other, all the time; yields those that were asked for."""
    over, asked = threading.Event(), list[str]()

    def work() -> None:
        for event_id in event_ids:
            if over.is_set():
                return
            try:
                answer = iris.call("DELETE", f"/api/events/{event_id}")
            except httpx.HTTPError:
                continue
            if answer.status_code == 202:
                asked.append(event_id)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


def backup_now(iris: RunningIris) -> tuple[Path, Manifest]:
    answer = iris.call("POST", "/api/backups")
    assert answer.status_code == 202, answer.text
    url = answer.headers["Location"]

    def ended() -> dict[str, Any] | None:
        body: dict[str, Any] = iris.call("GET", url).json()
        return body if body["state"] in ("done", "failed") else None

    operation = wait_until(ended, 120, f"the backup ends; log: {iris.log()[-3000:]}")
    assert operation["state"] == "done", operation
    path = Path(iris.environment["BACKUP_DIR"]) / operation["result"]["name"]
    return path, read_manifest(path)


def restore(backup: Path, target: Path) -> subprocess.CompletedProcess[str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "workers.cli", "restore", str(backup), "--data-dir", str(target), "--verify"],
        env={**known, "DATA_DIR": str(target)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


def assert_restores(iris: RunningIris, backup: Path, manifest: Manifest, target: Path) -> str:
    """Check 0, counts equal the manifest; what was said."""
    done = restore(backup, target)
    assert done.returncode == 0, done.stdout + done.stderr
    store = open_store(sqlite_url(target / "vms.db"))
    with store.reading() as work:
        assert work.system.table_counts() == dict(manifest.counts)
        assert {row.event_id for row in work.events.unfinished()}.isdisjoint(manifest.began_since)
        unfinished = len(work.events.unfinished())
    store.close()
    print(
        f"{manifest.counts['events']} events, {unfinished} unfinished, {len(manifest.began_since)} had just begun, "
        f"{len(manifest.deleted_since)} deleted meanwhile, {manifest.file_count} files"
    )
    assert manifest.damaged == ()
    # What was deleted before the snapshot is in no backup, and nothing of a removed event is among the files.
    kept = {path.stem.partition(".")[0] for path in (target / "recordings").glob("*/*.mp4")}
    assert kept.isdisjoint(manifest.deleted_since)
    return done.stdout


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("rounds", "copies"), [(1, 150), pytest.param(12, 400, marks=pytest.mark.accept)], ids=["short", "long"]
)
def test_backup_under_load_restores_whole_on_another_folder(tmp_path: Path, rounds: int, copies: int) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    moments = random.Random(seed)
    settings = {"BACKUP_DIR": str(tmp_path / "backups"), "BACKUP_KEEP": "100", "EVENT_MAX_SECONDS": "60"}
    with CameraSim(SCENE) as camera, CameraSim(SCENE) as second:
        with RunningIris(tmp_path / "data", **settings) as iris:
            first_id = iris.add_camera(name="Gate", rtsp_url=camera.url, **CAMERA)["id"]
            iris.add_camera(name="Hall", rtsp_url=second.url, **CAMERA)
            finished = wait_until(lambda: iris.terminal_events(camera_id=first_id), 60, "an event ends")
            made = []
            for number in range(rounds):
                doomed = copies_of(iris, finished[0]["id"], copies)
                with deleting(iris, doomed):
                    time.sleep(moments.uniform(0, 3))  # a random moment of the load, not a wait for a condition
                    made.append(backup_now(iris))
                backup, manifest = made[-1]
                assert_restores(iris, backup, manifest, tmp_path / f"restored-{number}")
            listed = iris.call("GET", "/api/backups").json()["items"]
            assert [item["name"] for item in listed] == [path.name for path, _ in reversed(made)]
        goes_on(tmp_path / "data", tmp_path / "restored-0", {**settings, "BACKUP_DIR": ""})


def records(iris: RunningIris, camera_id: str) -> bool:
    return iris.status(camera_id).get("state") == "recording"


def goes_on(old: Path, new: Path, settings: dict[str, str]) -> None:
    """A restored Iris with the old key: unfinished events end, cameras record, nothing is out of place."""
    shutil.copytree(old / "secrets", new / "secrets")
    store = open_store(sqlite_url(new / "vms.db"))
    with store.reading() as work:
        waiting = {str(row.event_id) for row in work.events.unfinished()}
        cameras = [row.camera_id for row in work.cameras.all()]
    store.close()
    with RunningIris(new, **settings) as iris:
        for camera_id in cameras:
            wait_until(partial(records, iris, camera_id), 60, "it records again")

        def ended() -> bool:
            return waiting <= {event["id"] for event in iris.terminal_events(limit=500)}

        wait_until(ended, 120, f"{waiting} end; log: {iris.log()[-3000:]}")
        states = {event["id"]: event["state"] for event in iris.terminal_events(limit=500)}
        print(f"unfinished in the backup, after the restore: {sorted(states[event_id] for event_id in waiting)}")
        for camera_id in cameras:
            iris.call("POST", f"/api/cameras/{camera_id}/disable")
        wait_until(lambda: all(e["state"] not in ("open", "closing") for e in iris.events()), 60, "all end")
        check = iris.check()
        assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.accept
@pytest.mark.timeout(400)
def test_restore_without_the_key_names_the_cameras_and_takes_their_addresses_again(tmp_path: Path) -> None:
    settings = {"BACKUP_DIR": str(tmp_path / "backups")}
    with CameraSim(SCENE) as camera:
        with RunningIris(tmp_path / "data", **settings) as iris:
            camera_id = iris.add_camera(name="Gate", rtsp_url=camera.url, **CAMERA)["id"]
            wait_until(lambda: iris.status(camera_id).get("state") == "recording", 60, "it records")
            backup, manifest = backup_now(iris)
        new = tmp_path / "new"
        said = assert_restores(iris, backup, manifest, new)
        assert f"{camera_id} Gate" in said
        assert "enter these addresses again" in said
        assert camera.url.split("@")[0] not in said
        with RunningIris(new, BACKUP_DIR="") as restored:
            assert restored.status(camera_id)["state"] != "recording"
            answer = restored.call("PATCH", f"/api/cameras/{camera_id}", json={"rtsp_url": camera.url})
            assert answer.status_code in (200, 202), answer.text
            wait_until(lambda: restored.status(camera_id).get("state") == "recording", 90, "it records again")
    assert json.loads((new / "store.json").read_text())["generation"] == 2
