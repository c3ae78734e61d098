"""Acceptance: a camera with thousands of events is deleted while what does it is killed again and again."""

from __future__ import annotations

import hashlib
import time
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from iris.base.timebase import parse_rfc3339
from tests.builders.past_events import PastEvent, PastEvents
from tests.e2e.running_iris import RunningIris, wait_until
from tests.e2e.traces import traces
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = [pytest.mark.e2e]

SCENE = SceneSpec(loop_s=8, walk_at_s=1, walk_s=5, fps=10, keyframe_interval_s=1)
CAMERA = {"trigger_cooldown": 1, "pre_seconds": 1, "post_seconds": 1, "detector_backend": "motion"}
OTHERS = 20


def hashes(iris: RunningIris, camera_id: str) -> dict[str, str]:
    """Hash of each clip of a camera by its event."""
    folder = iris.data_dir / "recordings" / camera_id
    return {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.mp4")}


def operation(iris: RunningIris, operation_id: str) -> dict[str, Any]:
    body: dict[str, Any] = iris.call("GET", f"/api/operations/{operation_id}").json()
    return body


def ended(iris: RunningIris, operation_id: str) -> dict[str, Any] | None:
    try:
        body = operation(iris, operation_id)
    except httpx.HTTPError:
        return None
    return body if body["state"] == "done" else None


def kill_if_there(iris: RunningIris, part: str) -> None:
    process = iris.part(part)
    if process is not None:
        process.kill()
        process.wait(10)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("events", "kills"),
    [pytest.param(60, 2, marks=pytest.mark.accept), pytest.param(2000, 5, marks=pytest.mark.accept)],
    ids=["short", "accept"],
)
def test_camera_is_deleted_completely_while_its_process_and_the_worker_are_killed(
    tmp_path: Path, events: int, kills: int
) -> None:
    with CameraSim(SCENE) as one, CameraSim(SCENE) as two, RunningIris(tmp_path / "data") as iris:
        doomed = iris.add_camera(rtsp_url=one.url, **CAMERA)["id"]
        other = iris.add_camera(rtsp_url=two.url, **CAMERA)["id"]
        past = PastEvents(iris.data_dir, time.time_ns() // 1000)
        gone, kept = past.put(doomed, events), past.put(other, OTHERS)
        wait_until(lambda: iris.status(doomed).get("event_id"), 60, "an event of the camera is open")
        live = {event["id"] for event in iris.events(camera_id=doomed)} - {event.event_id for event in gone}

        asked = iris.call("DELETE", f"/api/cameras/{doomed}")
        assert asked.status_code == 202, asked.text
        killed = strike(iris, asked.json()["id"], kills, events)
        done = wait_until(
            partial(ended, iris, asked.json()["id"]), 300,
            f"deleted: {iris.log()[-4000:]}",
        )  # fmt: skip
        print(f"n = {events} events, killed {killed}, took {took_s(done):.1f} s")
        judge_certificate(done["result"], gone, live)
        assert traces(iris.data_dir, doomed, {event.event_id for event in gone} | live) == []
        judge_other(iris, other, kept)
        check = iris.check()
        assert check.returncode == 0, check.stdout + check.stderr


# Who dies beside the worker, strike by strike: the camera's process while it is being stopped, then its host, the api.
VICTIMS = ("camera", "node", "api", "node", "camera")


def strike(iris: RunningIris, operation_id: str, kills: int, total: int) -> list[str]:
    """kill -9 of the worker and another part, `kills` times, spread over the rows and files of `total` events."""
    killed: list[str] = []
    for number, victim in enumerate(VICTIMS[:kills]):
        wait_until(
            partial(has_done, iris, operation_id, 2 * total * number // kills), 120, f"it goes on: {iris.log()[-3000:]}"
        )
        before = operation(iris, operation_id)
        assert before["state"] != "done", f"it was over before it was struck {kills} times: {killed}"
        for part in (victim, "worker"):
            kill_if_there(iris, part)
        killed.append(f"worker and {victim} after {done_so_far(before)} of {2 * total}")
    return killed


def done_so_far(body: dict[str, Any]) -> int:
    """Rows that went and events whose files went."""
    return int(body["progress"].get("removed", {}).get("ready", 0) + body["progress"].get("buried", 0))


def has_done(iris: RunningIris, operation_id: str, wanted: int) -> bool:
    try:
        return done_so_far(operation(iris, operation_id)) >= wanted
    except httpx.HTTPError:
        return False  # the api was killed


def took_s(done: dict[str, Any]) -> float:
    return (parse_rfc3339(done["finished_at"]) - parse_rfc3339(done["created_at"])) / 1e6


def judge_certificate(certificate: dict[str, Any], gone: list[PastEvent], live: set[str]) -> None:
    assert certificate["remaining"] == 0
    assert certificate["events"]["ready"] >= len(gone)
    # The camera went on until it was stopped, so an event more may have come after the last look at its lists.
    assert len(gone) + len(live) <= certificate["event_count"] <= len(gone) + len(live) + 2
    assert (
        certificate["clips"]
        == certificate["thumbnails"]
        == certificate["events"]["ready"] + certificate["events"]["partial"]
    )
    assert certificate["clip_files"] >= certificate["clips"]
    assert certificate["segment_files"] > 0


def judge_other(iris: RunningIris, camera_id: str, kept: list[PastEvent]) -> None:
    """Nothing of the other camera was touched: rows, bytes of files, its recording."""
    wait_until(lambda: iris.status(camera_id).get("state") == "recording", 30, "the other camera records")
    there = {event["id"]: event["clip_files"][0]["sha256"] for event in iris.terminal_events(camera_id=camera_id)}
    expected = {event.event_id: event.clip for event in kept}
    assert expected.items() <= there.items()
    found = hashes(iris, camera_id)
    assert expected.items() <= found.items()
