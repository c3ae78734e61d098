"""Webhooks from outside: a real event reaches a receiver, a killed worker sends again, the documented one works."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from iris.adapters.clock import SystemClock
from iris.adapters.webhook import DELIVERY_HEADER, SIGNATURE_HEADER, signature
from iris.store.engine import open_store, sqlite_url
from iris.store.event_records import StoreEventRecords
from iris.store.migrate import migrate
from iris.store.notifications import NotificationState
from tests.builders.events import finalise_request, uuid_of
from tests.builders.receiver import Receiver, running_receiver
from tests.e2e.running_iris import RunningIris, free_port, wait_until
from tests.tree import ROOT
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = pytest.mark.e2e

SECRET = "CANARY-webhook-secret"
SCENE = SceneSpec(loop_s=20, walk_at_s=3, walk_s=5, fps=15, keyframe_interval_s=1)


def is_signed(receiver: Receiver) -> bool:
    return all(
        got.headers[SIGNATURE_HEADER.lower()]
        == signature(SECRET, int(got.headers[SIGNATURE_HEADER.lower()][2:].split(",")[0]), got.body)
        for got in receiver.received
    )


@pytest.mark.timeout(300)
def test_event_is_posted_with_its_clip_there_when_it_is_finished(tmp_path: Path) -> None:
    with (
        running_receiver(503, 200) as receiver,
        CameraSim(SCENE) as camera,
        RunningIris(tmp_path / "data", WEBHOOK_URL=receiver.url, WEBHOOK_SECRET=SECRET) as iris,
    ):
        camera_id = iris.add_camera(
            name="Front gate", rtsp_url=camera.url, detector_backend="motion", trigger_cooldown=2, pre_seconds=2,
            post_seconds=2,
        )["id"]  # fmt: skip
        wait_until(lambda: receiver.received, 90, f"the receiver is asked; log: {iris.log()[-3000:]}")
        body = json.loads(receiver.received[0].body)
        assert (body["camera_id"], body["camera_name"]) == (camera_id, "Front gate")
        # It never comes before what it tells of.
        assert iris.call("GET", body["event_url"]).json()["state"] == body["state"]
        assert iris.call("GET", body["thumbnail_url"]).status_code == 200
        assert iris.call("GET", body["clip_url"]).status_code == 200
        wait_until(lambda: len(receiver.received) > 1, 60, "it is tried again")
        delivered = {"state": "delivered", "event_id": body["event_id"]}
        wait_until(lambda: delivered.items() <= newest(iris, body["event_id"]).items(), 30, "it is delivered")
        assert receiver.ids().count(str(newest(iris, body["event_id"])["id"])) == 2
        assert is_signed(receiver)
    assert "CANARY" not in iris.log()
    assert "Front gate" not in iris.log()


def newest(iris: RunningIris, event_id: str) -> dict[str, object]:
    items: list[dict[str, object]] = iris.call("GET", "/api/notifications").json()["items"]
    return next(item for item in items if item["event_id"] == event_id)


@contextmanager
def worker(data_dir: Path, url: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`iris worker` without a Temporal server, which notifications do not need."""
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    settings = {"DATA_DIR": str(data_dir), "WEBHOOK_URL": url, "WEBHOOK_SECRET": SECRET}
    address = {"TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}"}
    with data_dir.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", "worker"], env={**known, **settings, **address, **environment},
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.timeout(180)
def test_worker_sends_again_with_the_same_id_when_it_was_killed_after_sending(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    url = sqlite_url(data_dir / "vms.db")
    migrate(url)
    store = open_store(url)

    class Ids:
        def new_id(self) -> str:
            return uuid_of(1, "f")

    from iris.adapters.id_source import Uuid7Source
    from workers.wiring.pairing import pair_store

    pair_store(store, data_dir, Uuid7Source())
    StoreEventRecords(store, SystemClock(), Ids()).finalise(finalise_request(1))
    with running_receiver(200) as receiver:
        with worker(data_dir, receiver.url, IRIS_FAILPOINT="notification.sent") as killed:
            assert killed.wait(60) == -9
        with worker(data_dir, receiver.url):
            wait_until(lambda: len(receiver.received) == 2, 60, "it is sent again once the claim has run out")

            def state() -> NotificationState:
                with store.reading() as work:
                    return work.notifications.get(uuid_of(1, "f")).state

            wait_until(lambda: state() is NotificationState.DELIVERED, 20, "it is written down")
        assert receiver.ids() == [uuid_of(1, "f")] * 2
        assert is_signed(receiver)
    store.close()
    assert "CANARY" not in data_dir.with_suffix(".log").read_text()


def test_documented_receiver_takes_what_is_signed_and_refuses_the_rest(tmp_path: Path) -> None:
    text = (ROOT / "docs/guide/webhooks.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 15
    port, body = free_port(), '{"state":"ready"}'
    environment = {"PATH": os.environ["PATH"], "WEBHOOK_SECRET": SECRET, "RECEIVER_PORT": str(port)}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
    now_s = SystemClock().wall_us() // 1_000_000

    def post(signed: str) -> int:
        headers = {DELIVERY_HEADER: "id-1", SIGNATURE_HEADER: signed}
        try:
            return httpx.post(f"http://127.0.0.1:{port}/", content=body, headers=headers, timeout=5).status_code
        except httpx.ConnectError:
            return 0

    try:
        wait_until(lambda: post(signature(SECRET, now_s, body)) == 200, 20, "the receiver answers")
        assert post(signature("another secret", now_s, body)) == 401
        assert post(signature(SECRET, now_s - 301, body)) == 401
        assert post(signature(SECRET, now_s, body + " ")) == 401
    finally:
        process.kill()
        out, _ = process.communicate()
    assert out == "id-1 ready\n"
