"""Somebody ends workflows of events in Temporal's pages while Iris runs: each event still ends once, with a clip."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from temporalio.client import WorkflowExecutionStatus

from iris.contracts.names import event_workflow_id
from tests.e2e.running_iris import RunningIris, wait_until
from tests.temporal_env import connect
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]
CAMERA = {"trigger_cooldown": 3, "pre_seconds": 1, "post_seconds": 1, "detector_backend": "motion"}


async def end(iris: RunningIris, event_id: str, *, cancel: bool) -> bool:
    """End the workflow of an event; false where it had completed before."""
    client = await connect(f"127.0.0.1:{iris.temporal_port}")
    handle = client.get_workflow_handle(event_workflow_id(event_id))
    if (await handle.describe()).status != WorkflowExecutionStatus.RUNNING:
        return False
    await (handle.cancel() if cancel else handle.terminate("by hand"))
    return True


def open_event(iris: RunningIris, camera_id: str, known: set[str]) -> str | None:
    """An event that is open now, in the database, and not known yet."""
    event_id = iris.status(camera_id).get("event_id")
    return event_id if event_id not in known and any(e["id"] == event_id for e in iris.events()) else None


@pytest.mark.accept
def test_events_become_ready_once_when_their_workflows_were_ended(tmp_path: Path) -> None:
    scene = SceneSpec(loop_s=20, walk_at_s=2, walk_s=10, fps=10)
    with CameraSim(scene) as camera, RunningIris(tmp_path / "data") as iris:
        camera_id = iris.add_camera(rtsp_url=camera.url, **CAMERA)["id"]
        ended: set[str] = set()
        for cancel in (False, True):
            event_id = wait_until(lambda: open_event(iris, camera_id, ended), 60, "an open event")
            assert asyncio.run(end(iris, event_id, cancel=cancel))
            ended.add(event_id)
        # A relay that hears nothing more of an event looks after it once a minute.
        wait_until(lambda: ended <= {e["id"] for e in iris.terminal_events()}, 150, "both ended")
        done = [e for e in iris.terminal_events() if e["id"] in ended]
        # Somebody may be in view when the camera connects: then a part of the first pre-roll was never recorded.
        assert {gap["reason"] for e in done for gap in e["gaps"]} <= {"not_started"}
        assert all(e["clip_url"] for e in done)
        ids = [e["id"] for e in iris.events()]
        assert len(ids) == len(set(ids))
        iris.call("POST", f"/api/cameras/{camera_id}/disable")
        wait_until(lambda: all(e["state"] in ("ready", "partial") for e in iris.events()), 90, "all events ended")
        checked = iris.check()
        assert checked.returncode == 0, checked.stdout + checked.stderr
