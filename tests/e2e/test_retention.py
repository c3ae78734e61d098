"""Retention on a volume of 200 MB: recording never stops, holds survive, every eviction is counted and visible."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iris.base.sqlite import connect_readonly
from tests.assets import skip_or_fail
from tests.builders.filled_store import FilledStore, make_clip
from tests.e2e.footage import Watcher, used_share
from tests.e2e.running_iris import RunningIris, wait_until
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

VOLUME_BYTES = 200 * 1000 * 1000
CLIP_BYTES = 1_000_000
# Somebody walks by for four of every ten seconds, at 2 Mbit/s: an event of about 6 s each time.
SCENE = SceneSpec(loop_s=10, walk_at_s=3, walk_s=4, fps=10, noise_luma=24, bit_rate_bps=2_000_000)
CAMERA = {"detector_backend": "motion", "trigger_cooldown": 1, "pre_seconds": 1, "post_seconds": 1}
SETTINGS = {"SEGMENT_RETENTION_SECONDS": "30"}


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_BYTES},mode=0700", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        skip_or_fail("a small volume needs root to mount a tmpfs; run the tests as root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill_up(file: Path) -> None:
    """Somebody else takes what is left of the volume, to the last page."""
    with file.open("wb", buffering=0) as opened:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while opened.write(bytes(size)) == size:
                    pass


def filled(volume: Path, share: float) -> FilledStore:
    """An Iris that was started once and then got so many events that the volume is so full."""
    with RunningIris(volume, **SETTINGS):
        pass
    clip = volume.parent / "clip.mp4"
    made = FilledStore(volume, clip, make_clip(clip, CLIP_BYTES), time.time_ns() // 1000)
    made.fill(share, held_every=10)
    return made


def gaps(volume: Path, camera_id: str) -> list[tuple[Any, ...]]:
    connection = connect_readonly(volume / "node" / f"{camera_id}.db")
    try:
        return connection.execute("SELECT start_us, end_us, reason FROM gaps").fetchall()
    finally:
        connection.close()


def evictions(iris: RunningIris) -> list[dict[str, Any]]:
    """Every page of what the api says went."""
    items: list[dict[str, Any]] = []
    cursor = None
    while True:
        query = {"limit": 100} | ({"cursor": cursor} if cursor else {})
        body = iris.call("GET", "/api/retention/evictions", params=query).json()
        items += body["items"]
        cursor = body["next_cursor"]
        if cursor is None:
            return items


def all_events(iris: RunningIris) -> dict[str, dict[str, Any]]:
    items: dict[str, dict[str, Any]] = {}
    cursor = None
    while True:
        query = {"limit": 500} | ({"cursor": cursor} if cursor else {})
        body = iris.call("GET", "/api/events", params=query).json()
        items |= {item["id"]: item for item in body["items"]}
        cursor = body["next_cursor"]
        if cursor is None:
            return items


def end_events(iris: RunningIris, camera_id: str) -> None:
    """Switch the camera off and wait until every event has its end."""
    iris.call("POST", f"/api/cameras/{camera_id}/disable")
    ended = ("ready", "partial", "failed")
    wait_until(lambda: all(event["state"] in ended for event in all_events(iris).values()), 60, "every event ends")


def metric(iris: RunningIris, name: str) -> float:
    lines = iris.call("GET", "/metrics").text.splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name))


def sizes_under(volume: Path) -> dict[str, int]:
    """Bytes by folder, each file once."""
    sizes: dict[str, int] = {}
    seen = set()
    for path in volume.rglob("*"):
        try:
            stat = path.lstat()
        except FileNotFoundError:
            continue
        if path.is_file() and stat.st_ino not in seen:
            seen.add(stat.st_ino)
            top = path.relative_to(volume).parts[0]
            sizes[top] = sizes.get(top, 0) + stat.st_blocks * 512
    return sizes


@pytest.mark.parametrize("record_s", [60, pytest.param(600, marks=pytest.mark.accept)])
def test_recording_goes_on_and_holds_survive_when_the_volume_is_nearly_full(volume: Path, record_s: int) -> None:
    kept = filled(volume, 0.88)
    began_with = sizes_under(volume)
    known: dict[str, dict[str, Any]] = {}
    with CameraSim(SCENE) as camera, RunningIris(volume, **SETTINGS) as iris:
        camera_id = iris.add_camera(rtsp_url=camera.url, **CAMERA)["id"]
        wait_until(lambda: iris.status(camera_id)["state"] == "recording", 60, "the camera records")
        began = time.monotonic()
        with Watcher(volume, camera_id) as watcher:
            while time.monotonic() - began < record_s:
                known |= all_events(iris)
                time.sleep(2)
        if watcher.error is not None:
            raise watcher.error
        wait_until(lambda: used_share(volume) < 0.86, 120, "the volume is below high water", 1.0)
        end_events(iris, camera_id)
        left, gone = all_events(iris), evictions(iris)
        known |= left
        print(f"{record_s} s: {len(gone)} of {len(known)} events evicted, most used {watcher.most_used:.1%}")
        print(f"at the end {used_share(volume):.1%}; MB {in_mb(began_with)} -> {in_mb(sizes_under(volume))}")
        # Recording never stopped.
        assert [gap for gap in gaps(volume, camera_id) if gap[2] != "stopped"] == []
        numbers = sorted(watcher.numbers)
        assert len(numbers) > record_s * SCENE.fps * 0.8
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "no picture is missing"
        assert watcher.most_used < 0.99
        # New events became clips.
        new = [event for event in known.values() if event["camera_id"] == camera_id]
        assert len(new) >= record_s / 15
        # But for the one that was cut off by switching the camera off, and for the pre-roll before it was there.
        cut = {"stopped", "not_started"}
        for event in new:
            assert event["state"] == "ready" or {gap["reason"] for gap in left[event["id"]]["gaps"]} <= cut
        # Holds survive; whatever else is not there any more is listed, once, oldest first.
        assert kept.held_ids <= left.keys()
        assert len({item["event_id"] for item in gone}) == len(gone)
        assert {item["event_id"] for item in gone} == (known.keys() | set(kept.event_ids)) - left.keys()
        assert {item["reason"] for item in gone} == {"space"}
        assert all(item["files_gone_at"] for item in gone)
        free = [event_id for event_id in kept.event_ids if event_id not in kept.held_ids]
        old = [item["event_id"] for item in gone if item["event_id"] in set(free)]
        assert sorted(old, key=free.index) == free[: len(old)]
        # ... and counted.
        wait_until(lambda: metric(iris, 'iris_evicted_total{class="space"}') == len(gone), 15, "the metric")
        assert metric(iris, "iris_evicted_bytes_total") == sum(item["size_bytes"] for item in gone)
        # How full the disk is comes with the node's heartbeat.
        wait_until(lambda: abs(metric(iris, "iris_store_used_share") - used_share(volume)) < 0.02, 15, "its share")
        assert iris.log().count("retention removed events") >= 1
    check = iris.check()
    assert check.returncode == 0, check.stdout + check.stderr


def in_mb(sizes: dict[str, int]) -> dict[str, float]:
    return {name: round(size / 1e6, 1) for name, size in sorted(sizes.items()) if size > 50_000}


@pytest.mark.accept
def test_full_volume_heals_itself_from_its_oldest_events(volume: Path) -> None:
    kept = filled(volume, 0.6)
    with CameraSim(SCENE) as camera, RunningIris(volume, **SETTINGS) as iris:
        camera_id = iris.add_camera(rtsp_url=camera.url, **CAMERA)["id"]
        wait_until(lambda: iris.status(camera_id)["state"] == "recording", 60, "the camera records")
        wait_until(lambda: metric(iris, "iris_store_used_share") > 0.5, 30, "the node looks at its disk")
        # Somebody else fills the volume to its last byte, in one blow.
        fill_up(volume / "somebody-elses.bin")
        full = time.monotonic()
        wait_until(lambda: used_share(volume) < 0.86, 60, f"room is made; {iris.log()[-3000:]}", 0.1)
        print(f"room after {time.monotonic() - full:.1f} s")
        wait_until(lambda: newest_age_s(iris, camera_id) < 5, 10, "footage is durable again")
        assert [gap for gap in gaps(volume, camera_id) if gap[1] is None] == []
        left = all_events(iris)
        assert kept.held_ids <= left.keys()
        gone = evictions(iris)
        assert {item["event_id"] for item in gone} == set(kept.event_ids) - left.keys()
        (volume / "somebody-elses.bin").unlink()
        end_events(iris, camera_id)
    check = iris.check()
    assert check.returncode == 0, check.stdout + check.stderr


@pytest.mark.accept
def test_recording_resumes_within_ten_seconds_when_a_volume_full_of_holds_gets_room(volume: Path) -> None:
    with CameraSim(SCENE) as camera, RunningIris(volume, **SETTINGS) as iris:
        camera_id = iris.add_camera(rtsp_url=camera.url, **CAMERA)["id"]
        wait_until(lambda: iris.status(camera_id)["state"] == "recording", 60, "the camera records")
        wait_until(lambda: newest_age_s(iris, camera_id) < 5, 30, "footage is durable")
        ballast = volume / "somebody-elses.bin"
        fill_up(ballast)
        wait_until(lambda: "recording interrupted" in iris.log(), 30, "the disk is full")
        wait_until(lambda: iris.health().get("storage") == "alarm", 30, "health says it")
        time.sleep(5)  # the disk stays full for a while: what is said every second would show
        ballast.unlink()
        back = time.monotonic()
        wait_until(lambda: "recording resumed" in iris.log(), 10, f"recording resumes; {iris.log()[-3000:]}")
        print(f"recording resumed {time.monotonic() - back:.1f} s after space came back")
        wait_until(lambda: iris.health().get("storage") == "ok", 30, "the alarm is over")
        full = [gap for gap in gaps(volume, camera_id) if gap[2] == "disk_full"]
        assert full
        assert iris.log().count("recording interrupted") == len(full)
        assert iris.log().count("drain_failed") <= 3
        end_events(iris, camera_id)
    check = iris.check()
    assert check.returncode == 0, check.stdout + check.stderr


def newest_age_s(iris: RunningIris, camera_id: str) -> float:
    age = iris.status(camera_id)["last_segment_age_seconds"]
    return 1e9 if age is None else float(age)
