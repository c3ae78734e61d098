"""Temporal is away across the end of an event: recording goes on, nothing is lost, the clip comes after its return."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.e2e.films import decode_errors
from tests.e2e.footage import AcceptedEvents, Watcher
from tests.e2e.running_iris import RunningIris, wait_until
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.mark.parametrize("outage_s", [15, pytest.param(60, marks=pytest.mark.accept)])
def test_clip_is_ready_after_temporal_was_away_across_the_end_of_the_event(tmp_path: Path, outage_s: int) -> None:
    scene = SceneSpec(loop_s=90, walk_at_s=25, walk_s=8, fps=10)
    settings = {"detector_backend": "motion", "trigger_cooldown": 3, "pre_seconds": 2, "post_seconds": 2}
    # A buffer shorter than the outage: only the pins keep the event's footage.
    short = {"SEGMENT_RETENTION_SECONDS": "20"}
    # The scene begins when Iris runs: its pre-roll is recorded however long a start takes.
    with RunningIris(tmp_path / "data", **short) as iris, CameraSim(scene) as camera:
        camera_id = iris.add_camera(rtsp_url=camera.url, **settings)["id"]
        wait_until(lambda: iris.status(camera_id)["state"] == "recording", 60, "the camera records")
        with AcceptedEvents(iris.data_dir, camera_id) as accepted, Watcher(iris.data_dir, camera_id) as watcher:
            wait_until(lambda: iris.status(camera_id).get("event_id"), 60, "an event is open")
            temporal = wait_until(lambda: iris.part("temporal"), 5, "temporal runs")
            temporal.send_signal(signal.SIGSTOP)
            try:
                began = time.monotonic()
                wait_until(lambda: iris.health().get("status") == "degraded", 30, "health says degraded")
                assert iris.health()["temporal"] != "up"
                wait_until(lambda: not iris.status(camera_id).get("event_id"), 30, "the event is over")
                wait_until(lambda: time.monotonic() - began > outage_s, outage_s + 5, "the outage's length", 0.5)
                assert iris.status(camera_id)["state"] == "recording"
                depth = iris.call("GET", "/api/system").json()["outbox"]["depth"]
                assert depth >= 1, "the closing row waits"
            finally:
                temporal.send_signal(signal.SIGCONT)
            back = time.monotonic()
            wait_until(iris.terminal_events, 60, "the event ends")
            print(f"clip {time.monotonic() - back:.1f} s after Temporal's return")
            (event,) = iris.terminal_events()
            assert event["state"] == "ready", event
            assert {event["id"]} == accepted.ids
        clip = tmp_path / "clip.mp4"
        clip.write_bytes(iris.call("GET", event["clip_url"]).content)
        assert decode_errors(clip) == ""
        # What is older than the buffer and in no event is gone by now: it was looked at while it was there.
        if watcher.error is not None:
            raise watcher.error
        numbers = sorted(watcher.numbers)
        assert len(numbers) > outage_s * scene.fps
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), "recording went on without a hole"
        check = iris.check()
        assert check.returncode == 0, check.stdout + check.stderr
