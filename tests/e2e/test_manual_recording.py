"""A person starts and stops a recording: one event, the clip they asked for, also over a crash in the middle."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from tests.e2e.films import decode_errors
from tests.e2e.running_iris import RunningIris, wait_until
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


def seconds_between(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


def test_manual_recording_makes_one_clip_with_its_preroll_over_a_crash(tmp_path: Path) -> None:
    still = SceneSpec(loop_s=600, walk_at_s=500, walk_s=2, fps=10)
    with CameraSim(still) as camera, RunningIris(tmp_path / "data") as iris:
        camera_id = iris.add_camera(rtsp_url=camera.url, pre_seconds=3, detector_backend="none")["id"]
        path = f"/api/cameras/{camera_id}/record"
        wait_until(lambda: iris.status(camera_id)["counters"].get("segments", 0) >= 3, 60, "enough for the pre-roll")
        begun = wait_until(lambda: (a := iris.call("POST", f"{path}/start")).status_code == 201 and a, 20, "started")
        recording = begun.json()
        assert iris.call("POST", f"{path}/start").json()["id"] == recording["id"]
        wait_until(lambda: (iris.status(camera_id).get("recording") or {}).get("id") == recording["id"], 10, "shown")

        iris.kill("camera")
        wait_until(lambda: iris.status(camera_id)["state"] == "recording", 30, "recording again")
        assert iris.status(camera_id)["recording"]["id"] == recording["id"]
        ended = wait_until(lambda: (a := iris.call("POST", f"{path}/stop")).status_code == 200 and a.json(), 20, "stop")
        assert not ended["running"]
        assert iris.call("POST", f"{path}/stop").status_code == 409

        event = wait_until(iris.terminal_events, 60, "the clip")[0]
        assert (event["id"], event["labels"], event["end_reason"]) == (recording["id"], ["manual"], "stopped")
        assert event["state"] == "partial", "the killed process left a gap"
        assert {gap["reason"] for gap in event["gaps"]} == {"process_died"}
        assert seconds_between(event["window"]["start"], event["started_at"]) == 3
        assert seconds_between(event["window"]["end"], ended["ended_at"]) == 0
        assert event["thumbnail_url"]
        clip = tmp_path / "clip.mp4"
        clip.write_bytes(iris.call("GET", event["clip_url"]).content)
        assert decode_errors(clip) == ""

        wait_until(lambda: iris.status(camera_id)["counters"].get("segments", 0) >= 4, 60, "a pre-roll without the gap")
        short = iris.call("POST", f"{path}/start", json={"max_seconds": 2}).json()
        wait_until(lambda: len(iris.terminal_events()) == 2, 60, "it ends by itself")
        event = iris.terminal_events()[-1]
        assert (event["id"], event["end_reason"], event["state"]) == (short["id"], "max_length", "ready")
        check = iris.check()
        assert check.returncode == 0, check.stdout + check.stderr
