"""The Node workflow beside the node's own watch: both look after the same cameras, and they do not fight."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.service import RPCError

from iris.adapters.lock_holders import lock_holders
from iris.adapters.process import hold_lock
from iris.contracts.names import node_workflow_id
from tests.e2e.running_iris import RunningIris, wait_until
from tests.temporal_env import connect
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
KILLS = 4


class Writers(threading.Thread):
    """Watches from outside which processes hold the lock of a camera, one after the other."""

    def __init__(self, data_dir: Path, camera_id: str) -> None:
        super().__init__(daemon=True)
        self._own = data_dir / "run" / "test.lock"
        self._lock = data_dir / "node" / f"{camera_id}.lock"
        self._over = threading.Event()
        self.pids: list[int] = []

    def run(self) -> None:
        own = hold_lock(self._own, patience_s=0)
        while not self._over.wait(0.02):
            pid = lock_holders(self._own, [self._lock]).get(self._lock)
            if pid is not None and self.pids[-1:] != [pid]:
                self.pids.append(pid)
        os.close(own)

    def end(self) -> None:
        self._over.set()
        self.join(10)


def details(iris: RunningIris) -> str:
    """What Temporal's pages show of the Node workflow now."""

    async def ask() -> str:
        client = await connect(f"127.0.0.1:{iris.temporal_port}")
        handle = client.get_workflow_handle(node_workflow_id((iris.data_dir / "node" / "id").read_text().strip()))
        try:
            metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        except RPCError:
            return ""
        return str(metadata.current_details)

    return asyncio.run(ask())


def restarted(iris: RunningIris, camera_id: str, times: int) -> bool:
    status = iris.status(camera_id)
    return bool(status["restart_count"] == times and status["state"] == "recording")


def overlapping(data_dir: Path, camera_id: str) -> list[tuple[int, int]]:
    """Segments of different runs that cover the same time: what two writers would leave."""
    with closing(sqlite3.connect(data_dir / "node" / f"{camera_id}.db")) as connection:
        return connection.execute(
            "SELECT a.segment_id, b.segment_id FROM segments a JOIN segments b ON a.run_id <> b.run_id"
            " WHERE a.state = 'durable' AND b.state = 'durable' AND a.start_us < b.start_us AND a.end_us > b.start_us"
        ).fetchall()


def test_audit_and_node_do_not_fight_over_a_camera_that_is_killed(tmp_path: Path) -> None:
    settings = {"WORKER_RECONCILE_SECONDS": "1", "DETECTOR_BACKEND": "none", "SEGMENT_RETENTION_SECONDS": "600"}
    with CameraSim(SceneSpec(fps=10)) as camera, RunningIris(tmp_path / "data", **settings) as iris:
        camera_id = iris.add_camera(rtsp_url=camera.url)["id"]
        wait_until(lambda: iris.status(camera_id)["state"] == "recording", 30, "recording")
        wait_until(lambda: "1 camera(s) should run, 1 do" in details(iris), 30, "the workflow sees the camera")
        writers = Writers(iris.data_dir, camera_id)
        writers.start()
        wait_until(lambda: writers.pids, 10, "the writer is seen")
        for number in range(1, KILLS + 1):
            iris.kill("camera")
            wait_until(partial(restarted, iris, camera_id, number), 40, "it records again")
        writers.end()
        assert len(writers.pids) == KILLS + 1 == len(set(writers.pids)), "each process wrote once, one after the other"
        assert "restarts_signal" in iris.status(camera_id)["counters"]
        assert "repair(s)" not in details(iris), "the node had done it before the audit looked"
        assert overlapping(iris.data_dir, camera_id) == []
        node = iris.part("node")
        assert node is not None
        node.suspend()  # killed, it may be back before anybody could miss it
        wait_until(lambda: "takes no work" in details(iris) or "node is gone" in details(iris), 60, "it is missed")
        iris.kill("node")
        wait_until(lambda: "The node answers again" in details(iris), 60, "the workflow sees that the node is back")
        wait_until(lambda: iris.health().get("status") == "ok", 30, "health")
        [shown] = iris.call("GET", "/api/system").json()["nodes"]
        assert (shown["state"], shown["cameras"]) == ("up", 1)
        assert overlapping(iris.data_dir, camera_id) == []
