"""Deleting events in a whole Iris: while a clip is played, with kill -9 in the middle, and at each durable step."""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from iris.store.engine import Store, open_store, sqlite_url
from tests.builders.events import finalise_request, uuid_of
from tests.e2e.running_iris import RunningIris, wait_until
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(400)]

# Large pictures, so that a clip does not fit into the buffers between the api and a viewer.
SCENE = SceneSpec(width_px=1280, height_px=720, fps=10, loop_s=8, walk_at_s=1, walk_s=3, noise_luma=6)
CAMERA = {"detector_backend": "motion", "trigger_cooldown": 1, "pre_seconds": 2, "post_seconds": 2}


@contextmanager
def database(iris: RunningIris) -> Iterator[Store]:
    store = open_store(sqlite_url(iris.data_dir / "vms.db"))
    try:
        yield store
    finally:
        store.close()


def make_events(iris: RunningIris, count: int) -> None:
    """Finished events of this node with files that nobody will play."""
    node_id = (iris.data_dir / "node" / "id").read_text().strip()
    requests = [finalise_request(number, node_id=node_id) for number in range(1, count + 1)]
    for request in requests:
        event_id = request.message.event_id
        clips = [file.path for file in request.clip.files]
        for name in (*clips, f"thumbnails/{event_id}.jpg", f"pending/{event_id}/seg_1.mp4"):
            path = iris.data_dir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * 1000)
    with database(iris) as store, store.writing() as work:
        for request in requests:
            work.events.finalise(request, 1)


def files(iris: RunningIris) -> set[str]:
    """Names of all files of events."""
    folders = ("recordings", "thumbnails", "pending")
    found = (path for folder in folders for path in (iris.data_dir / folder).rglob("*"))
    return {path.relative_to(iris.data_dir).as_posix() for path in found if path.is_file() and path.name[0] != "."}


def operation(iris: RunningIris, url: str) -> dict[str, Any]:
    try:
        body: dict[str, Any] = iris.call("GET", url).json()
    except (httpx.HTTPError, ValueError):
        return {}
    return body


def until_done(iris: RunningIris, url: str, seconds: float = 90.0) -> dict[str, Any]:
    wait_until(
        lambda: operation(iris, url).get("state") in ("done", "failed"), seconds,
        f"the operation ends: {operation(iris, url)}; log: {iris.log()[-2000:]}",
    )  # fmt: skip
    body = operation(iris, url)
    assert body["state"] == "done", body
    return body


class SlowViewer:
    """Asks for a clip and reads a little; the rest only when told."""

    def __init__(self, iris: RunningIris, path: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(30)
        self._socket.connect(("127.0.0.1", iris.port))
        lines = (f"GET {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {iris.key}", "Connection: close")
        self._socket.sendall("\r\n".join((*lines, "", "")).encode())
        self._received = b""
        while b"\r\n\r\n" not in self._received:
            self._received += self._socket.recv(1024)

    def rest(self) -> bytes:
        """The whole body."""
        while piece := self._socket.recv(65536):
            self._received += piece
        self._socket.close()
        head, _, body = self._received.partition(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0]
        length = re.search(rb"content-length: (\d+)", head.lower())
        assert length is not None
        assert len(body) == int(length[1]), "the clip was cut off"
        return body


def is_open(iris: RunningIris, path: str) -> bool:
    api = iris.part("api")
    assert api is not None
    return any(file.path.endswith(path) for file in api.open_files())


def test_clip_that_is_played_is_sent_to_its_end_and_all_else_goes_whatever_is_killed(tmp_path: Path) -> None:
    with CameraSim(SCENE) as camera, RunningIris(tmp_path / "data") as iris:
        camera_id = iris.add_camera(rtsp_url=camera.url, **CAMERA)["id"]
        wait_until(lambda: len(iris.terminal_events()) >= 3, 90, "three events end", 0.5)
        iris.call("POST", f"/api/cameras/{camera_id}/disable")
        wait_until(lambda: len(iris.terminal_events()) == len(iris.events()), 60, "the last event ends", 0.5)
        played, *_, held = iris.terminal_events()
        delete_while_played(iris, played)
        delete_all_with_kills(iris, held["id"])
        assert iris.call("DELETE", f"/api/events/{held['id']}").status_code == 409
        assert iris.call("DELETE", f"/api/events/{held['id']}/hold").status_code == 200
        until_done(iris, iris.call("DELETE", f"/api/events/{held['id']}").json()["progress_url"])
        assert files(iris) == set()
        assert iris.events() == []
        check = iris.check()
        assert check.returncode == 0, check.stdout + check.stderr


def delete_while_played(iris: RunningIris, event: dict[str, Any]) -> None:
    path = f"recordings/{event['camera_id']}/{event['id']}.mp4"
    viewer = SlowViewer(iris, event["clip_url"])
    assert is_open(iris, path), f"the clip of {event['clip_files'][0]['size_bytes']} bytes fits into buffers"
    answer = iris.call("DELETE", f"/api/events/{event['id']}")
    assert answer.status_code == 202, answer.text
    for method, url in (("GET", ""), ("GET", "/clip"), ("GET", "/thumbnail"), ("DELETE", "")):
        assert iris.call(method, f"/api/events/{event['id']}{url}").status_code == 404
    body = until_done(iris, answer.headers["location"])
    assert body["result"]["events"] == 1
    assert not any(event["id"] in name for name in files(iris))
    assert hashlib.sha256(viewer.rest()).hexdigest() == event["clip_files"][0]["sha256"]


def delete_all_with_kills(iris: RunningIris, held_id: str) -> None:
    assert iris.call("PUT", f"/api/events/{held_id}/hold", json={"note": "kept"}).status_code == 200
    make_events(iris, 700)
    expected = iris.call("POST", "/api/events/delete", json={"all": True, "dry_run": True}).json()
    assert (expected["events"] > 700, expected["left_held"], expected["left_open"]) == (True, 1, 0)
    url = iris.call("DELETE", "/api/events", params={"all": "true"}).headers["location"]
    for part in ("node", "worker", "node"):
        shown = operation(iris, url)
        iris.kill(part)
        print(f"killed {part} at {shown.get('state')} {shown.get('progress')}")
    result = until_done(iris, url)["result"]
    assert result == expected
    assert {event["id"] for event in iris.events()} == {held_id}
    assert all(held_id in name for name in files(iris))
    assert len(files(iris)) >= 2


@pytest.mark.parametrize(
    ("failpoint", "one", "rows"),
    [
        pytest.param("event_delete.after_tombstone", True, 2, marks=pytest.mark.accept),
        pytest.param("event_delete.after_tombstone", False, 0, marks=pytest.mark.accept),
        ("event_delete.after_unlink:2", False, 0),
        pytest.param("event_delete.before_bury", False, 0, marks=pytest.mark.accept),
    ],
)
def test_event_is_wholly_gone_when_iris_died_between_two_steps(
    tmp_path: Path, failpoint: str, one: bool, rows: int
) -> None:
    iris = RunningIris(tmp_path / "data", IRIS_FAILPOINT=failpoint)
    try:
        iris.start()
        make_events(iris, 3)
        if one:
            with pytest.raises(httpx.HTTPError):  # the api dies before it answers
                iris.call("DELETE", f"/api/events/{uuid_of(1)}")
        else:
            assert iris.call("DELETE", "/api/events?all=true").status_code == 202
        wait_until(lambda: "code=-9" in iris.log(), 30, f"{failpoint} is reached")
    finally:
        iris.kill_everything()
    with database(iris) as store, store.reading() as work:
        [asked], _ = work.operations.page()
        stones = work.tombstones.page()[0]
        assert len(work.events.some([uuid_of(1), uuid_of(2), uuid_of(3)])) == rows
    assert len(stones) == 3 - rows
    assert [stone for stone in stones if stone.buried_us is not None] == []
    assert (len(files(iris)) == 9) == ("tombstone" in failpoint)
    del iris.environment["IRIS_FAILPOINT"]
    with iris:
        until_done(iris, f"/api/operations/{asked.operation_id}")
        assert len(files(iris)) == 3 * rows
        if rows:
            until_done(iris, iris.call("DELETE", "/api/events?all=true").headers["location"])
        assert files(iris) == set()
        check = iris.check()
        assert check.returncode == 0, check.stdout + check.stderr
