"""The node's internal door over a real Unix socket: application, client, and paths that are too long."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from iris.adapters.node_link import UnixNodeLink
from iris.base.errors import ConflictError, NotFoundError, UnavailableError
from iris.base.ids import CameraId
from iris.domain.dead_letter import DeadLetter
from tests.fakes.node import FACTS, FakeNodeHub, recording
from tests.web.serving import DEADLINE_S, until
from web.api.node_app import NodeHub, create_node_app
from web.api.serving import serve_unix

CAMERA_ID = CameraId("018bcfe5-6800-7000-800c-000000000001")


@contextlib.asynccontextmanager
async def served(hub: NodeHub, path: Path) -> AsyncIterator[UnixNodeLink]:
    """The door at `path` while the block runs."""
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_unix(create_node_app(hub), path, stop))
    link = UnixNodeLink(path)
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not serving.done():
                with contextlib.suppress(UnavailableError):
                    await link.facts()
                    break
                await asyncio.sleep(0.01)
        if serving.done():
            serving.result()
        yield link
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(serving, return_exceptions=True), DEADLINE_S)


@pytest.mark.parametrize("folder", ["run", "x" * 60 + "/" + "y" * 60 + "/run"])
async def test_link_gets_what_the_hub_has_whatever_the_length_of_the_path(tmp_path: Path, folder: str) -> None:
    hub = FakeNodeHub()
    status = recording(CAMERA_ID, connected_since_us=5, event_id=CAMERA_ID, restart_count=3)
    hub.link.statuses = [status]
    hub.link.pictures[CAMERA_ID] = b"\xff\xd8" + bytes(3_000_000)
    path = tmp_path / folder / "node.sock"
    async with served(hub, path) as link:
        assert list(await link.camera_status()) == [status]
        assert await link.facts() == FACTS
        assert await link.snapshot(CAMERA_ID) == hub.link.pictures[CAMERA_ID]
        await link.changed()
        assert hub.link.changed_count == 1
        hub.link.refused = [DeadLetter(CAMERA_ID, 2, CAMERA_ID, "too large", 5)]
        assert list(await link.dead_letters()) == [DeadLetter(CAMERA_ID, 2, CAMERA_ID, "too large", 5)]
        assert await link.retry_dead_letters() == 1
        assert list(await link.dead_letters()) == []
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()


async def test_link_raises_what_the_hub_raised(tmp_path: Path) -> None:
    hub = FakeNodeHub()
    async with served(hub, tmp_path / "node.sock") as link:
        with pytest.raises(NotFoundError, match="there is no picture of this camera yet"):
            await link.snapshot(CAMERA_ID)
        with pytest.raises(UnavailableError):
            await link.snapshot(CameraId("no-id"))
        hub.link.up = False
        with pytest.raises(UnavailableError, match="the node does not answer"):
            await link.snapshot(CAMERA_ID)


async def test_link_is_unavailable_when_nobody_listens(tmp_path: Path) -> None:
    for path in (tmp_path / "none.sock", tmp_path / "missing" / ("x" * 120) / "node.sock", _dead_socket(tmp_path)):
        link = UnixNodeLink(path)
        with pytest.raises(UnavailableError):
            await link.camera_status()
        await link.changed()  # best effort


async def test_link_is_unavailable_when_the_answer_is_nonsense(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        body = b'{"cameras": [{}]}' if b"/status" in request else b"[1]"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body)
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / "node.sock"):
        link = UnixNodeLink(tmp_path / "node.sock")
        with pytest.raises(UnavailableError, match="does not understand"):
            await link.camera_status()
        with pytest.raises(UnavailableError, match="does not understand"):
            await link.facts()


async def test_door_opens_again_when_a_killed_node_left_its_socket(tmp_path: Path) -> None:
    path = _dead_socket(tmp_path)
    async with served(FakeNodeHub(), path) as link:
        assert await link.facts() == FACTS


async def test_second_node_is_refused_when_one_serves(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    async with served(FakeNodeHub(), path) as link:
        with pytest.raises(ConflictError, match="another process serves"):
            await serve_unix(create_node_app(FakeNodeHub()), path, asyncio.Event())
        assert await link.facts() == FACTS


async def test_door_closes_when_its_task_is_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "node.sock"
    serving = asyncio.create_task(serve_unix(create_node_app(FakeNodeHub()), path, asyncio.Event()))
    await until(path.exists)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(serving, DEADLINE_S)
    assert not path.exists()


def _dead_socket(folder: Path) -> Path:
    path = folder / "dead.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    return path
