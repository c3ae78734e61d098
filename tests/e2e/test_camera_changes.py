"""What a change of a camera does to what runs: a name nothing, tuning a short restart, an address a purge."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.footage import recorded_marks
from tests.e2e.running_iris import RunningIris, wait_until
from tests.e2e.test_camera_deletion import camera_pids, finished
from tests.e2e.traces import traces
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

# Somebody is in view for 9 of every 12 s.
SCENE = SceneSpec(loop_s=12, walk_at_s=1, walk_s=9, fps=15, keyframe_interval_s=1)
CAMERA = {"trigger_cooldown": 20, "pre_seconds": 1, "post_seconds": 1, "detector_backend": "motion"}


@dataclass
class Scenery:
    """A running Iris with one camera that has an open event."""

    iris: RunningIris
    camera: CameraSim
    camera_id: str

    def open_event(self) -> str | None:
        """The event that is open now and in the database."""
        event_id = self.iris.status(self.camera_id).get("event_id")
        return event_id if event_id and any(e["id"] == event_id for e in self.iris.events()) else None

    def recording(self) -> bool:
        return bool(self.iris.status(self.camera_id).get("state") == "recording")

    def patch(self, **changes: Any) -> dict[str, Any]:
        answer = self.iris.call("PATCH", f"/api/cameras/{self.camera_id}", json=changes)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def restarted(self, pids: set[int]) -> bool:
        """Whether other processes than these run, and record."""
        return bool(camera_pids(self.iris)) and not camera_pids(self.iris) & pids and self.recording()

    def recorded_after(self, moment_us: int) -> bool:
        return any(mark.sent_wall_us > moment_us for mark in recorded_marks(self.iris.data_dir, self.camera_id))


@pytest.fixture
def scenery(tmp_path: Path) -> Iterator[Scenery]:
    with CameraSim(SCENE) as camera, RunningIris(tmp_path / "data", SEGMENT_RETENTION_SECONDS="600") as iris:
        scenery = Scenery(iris, camera, iris.add_camera(rtsp_url=camera.url, **CAMERA)["id"])
        wait_until(scenery.open_event, 60, f"an event is open: {iris.log()[-3000:]}")
        yield scenery


def test_name_changes_nothing_running_and_tuning_goes_on_with_the_open_event(scenery: Scenery) -> None:
    iris, camera_id = scenery.iris, scenery.camera_id
    event_id, sessions = scenery.open_event(), len(scenery.camera.play_wall_us)
    gaps = []
    for restarts, changes in enumerate(({"detect_fps": 3}, {"pre_seconds": 2}), 1):
        pids = camera_pids(iris)
        scenery.patch(name=f"Name {restarts}")
        moment_us = time.time_ns() // 1000
        scenery.patch(**changes)
        wait_until(partial(scenery.restarted, pids), 30, "restarted")
        assert len(scenery.camera.play_wall_us) == sessions + restarts, "the name alone restarted nothing"
        again_us = time.time_ns() // 1000
        wait_until(partial(scenery.recorded_after, again_us + 1_000_000), 30, "a durable segment of the new process")
        gaps.append(longest_gap_s(scenery, moment_us))
    print(f"not recorded at a change of tuning: {gaps} s")
    assert max(gaps) <= 10, "two seconds on a machine at rest"
    pids = camera_pids(iris)
    scenery.patch(detect_url=scenery.camera.url)
    wait_until(partial(scenery.restarted, pids), 30, "restarted with a substream")
    assert iris.status(camera_id)["event_id"] == event_id, "the event goes on as the same one"

    assert iris.call("POST", f"/api/cameras/{camera_id}/disable").status_code == 200
    wait_until(lambda: not camera_pids(iris), 20, "the process has ended")
    (event,) = wait_until(iris.terminal_events, 40, "its clip arrives although the camera is off")
    assert (event["id"], event["end_reason"], event["state"]) == (event_id, "stopped", "partial")
    # Somebody may have been there before the camera's first picture.
    assert {gap["reason"] for gap in event["gaps"]} - {"not_started"} == {"stopped"}
    assert iris.status(camera_id)["state"] == "disabled"
    assert iris.call("POST", f"/api/cameras/{camera_id}/enable").status_code == 200
    wait_until(scenery.recording, 30, "it records again")
    check = iris.check()
    assert check.returncode == 0, check.stdout + check.stderr


def test_other_address_removes_what_the_old_one_showed_and_records_the_new_one(scenery: Scenery) -> None:
    iris, camera_id = scenery.iris, scenery.camera_id
    iris.call("POST", f"/api/cameras/{camera_id}/disable")
    wait_until(iris.terminal_events, 40, "an event has ended")
    iris.call("POST", f"/api/cameras/{camera_id}/enable")
    wait_until(scenery.open_event, 60, "another event is open")
    event_ids = {event["id"] for event in iris.events()}
    assert len(event_ids) == 2
    with CameraSim(SCENE) as other, CameraSim(SCENE) as newest:
        moment_us = time.time_ns() // 1000
        answers = [scenery.patch(rtsp_url=camera.url) for camera in (other, newest)]
        assert iris.events() == []
        operations = [
            wait_until(partial(finished, iris, answer["operation_id"]), 60, f"purged: {iris.log()[-4000:]}")
            for answer in answers
        ]
        assert [operation["state"] for operation in operations] == ["done", "done"]
        assert sum(operation["result"]["event_count"] for operation in operations) == 2
        assert [operation["result"]["remaining"] for operation in operations] == [0, 0]
        wait_until(scenery.recording, 30, "it records again")
        assert other.play_wall_us == [], "it went straight to the newest address"
        assert newest.play_wall_us
        wait_until(scenery.open_event, 60, "an event of the new address")
        assert iris.call("GET", f"/api/cameras/{camera_id}").json()["operation_id"] is None
        assert not event_ids & {event["id"] for event in iris.events()}
        left = [trace for trace in traces(iris.data_dir, camera_id, event_ids) if "tombstones" not in trace]
        assert not any(event_id in trace for trace in left for event_id in event_ids), left
        assert all(mark.sent_wall_us > moment_us for mark in recorded_marks(iris.data_dir, camera_id))
        check = iris.check()
        assert check.returncode == 0, check.stdout + check.stderr


def longest_gap_s(scenery: Scenery, since_us: int) -> float:
    """The longest time between two pictures that were recorded one after the other."""
    sent = sorted(mark.sent_wall_us for mark in recorded_marks(scenery.iris.data_dir, scenery.camera_id))
    return max(b - a for a, b in itertools.pairwise(sent) if b > since_us) / 1e6
