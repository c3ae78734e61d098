"""A camera is deleted while it records: everything of it goes, and nothing of another one is touched."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.running_iris import RunningIris, wait_until
from tests.e2e.traces import traces
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

# Somebody is in view for 4 of every 8 s: events end, and one is open before long.
SCENE = SceneSpec(loop_s=8, walk_at_s=1, walk_s=4, fps=10, keyframe_interval_s=1)
CAMERA = {"trigger_cooldown": 1, "pre_seconds": 1, "post_seconds": 1, "detector_backend": "motion"}


def clips(iris: RunningIris, camera_id: str) -> dict[str, str]:
    """Hash of every clip of a camera."""
    folder = iris.data_dir / "recordings" / camera_id
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*"))}


def finished(iris: RunningIris, operation_id: str) -> dict[str, Any] | None:
    """The operation once it has ended."""
    body: dict[str, Any] = iris.call("GET", f"/api/operations/{operation_id}").json()
    return body if body["state"] in ("done", "failed") else None


def camera_pids(iris: RunningIris) -> set[int]:
    """Processes of cameras that run now."""
    assert iris.process is not None
    found = set()
    for child in psutil.Process(iris.process.pid).children(recursive=True):
        try:
            if "workers.camera" in " ".join(child.cmdline()):
                found.add(child.pid)
        except psutil.Error:  # it has just ended
            continue
    return found


def test_camera_is_deleted_with_everything_of_it_while_it_records_and_nothing_else_is(tmp_path: Path) -> None:
    with CameraSim(SCENE) as one, CameraSim(SCENE) as two, RunningIris(tmp_path / "data") as iris:
        doomed = iris.add_camera(rtsp_url=one.url, **CAMERA)["id"]
        other = iris.add_camera(rtsp_url=two.url, **CAMERA)["id"]
        for camera_id in (doomed, other):
            wait_until(partial(iris.terminal_events, camera_id=camera_id), 60, "an event of each camera ends")
        open_id = wait_until(lambda: iris.status(doomed).get("event_id"), 30, "an event of the camera is open")
        event_ids = {event["id"] for event in iris.events(camera_id=doomed)} | {open_id}
        pids, connected = camera_pids(iris), iris.status(other)["connected_since"]
        kept_clips, kept_events = clips(iris, other), iris.terminal_events(camera_id=other)

        answer = iris.call("DELETE", f"/api/cameras/{doomed}")
        assert answer.status_code == 202
        assert [camera["id"] for camera in iris.call("GET", "/api/cameras").json()["items"]] == [other]
        assert iris.events(camera_id=doomed) == []
        operation = wait_until(lambda: finished(iris, answer.json()["id"]), 60, f"deleted: {iris.log()[-4000:]}")
        certificate = operation["result"]
        assert (operation["state"], certificate["remaining"]) == ("done", 0), operation
        assert certificate["event_count"] >= len(event_ids)
        assert certificate["clip_files"] == certificate["clips"] >= 1
        assert certificate["segment_files"] >= 1
        assert iris.call("DELETE", f"/api/cameras/{doomed}").status_code == 200

        assert traces(iris.data_dir, doomed, event_ids) == []
        assert len(camera_pids(iris)) == 1
        assert camera_pids(iris) < pids
        assert iris.status(other)["connected_since"] == connected, "the other camera was not even reconnected"
        assert kept_clips.items() <= clips(iris, other).items()
        assert kept_events == iris.terminal_events(camera_id=other)[: len(kept_events)]
        check = iris.check()
        assert check.returncode == 0, check.stdout + check.stderr
        # Nothing comes afterwards either: no late message, no late clip, no mark.
        wait_until(lambda: len(iris.terminal_events(camera_id=other)) > len(kept_events), 60, "the other goes on")
        assert traces(iris.data_dir, doomed, event_ids) == []
