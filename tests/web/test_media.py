"""Clips and thumbnails as bytes: ranges, conditions, and files that are not what they should be."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from iris.contracts.events import FinaliseEvent
from tests.builders.events import CAMERA_ID, clip_of, event_message, uuid_of
from tests.web.conftest import API_KEY, World
from tests.web.serving import DEADLINE_S, on_a_port, until
from web.api.media import PIECE_BYTES

CLIP = f"/api/events/{uuid_of(1)}/clip"
THUMBNAIL = f"/api/events/{uuid_of(1)}/thumbnail"
BODY = os.urandom(PIECE_BYTES * 2 + 12_345)
ETAG = f'"{hashlib.sha256(BODY).hexdigest()}"'


def _publish(world: World, *, body: bytes = BODY, path: str | None = None, thumbnail: str | None = None) -> Path:
    """Event 1 with two clip files and a thumbnail; answers the first file's path."""
    message = event_message(1, "closed")
    clip = clip_of(message)
    first = replace(
        clip.files[0], path=path or clip.files[0].path, size_bytes=len(body), sha256=hashlib.sha256(body).hexdigest()
    )
    second = replace(first, path=f"recordings/{CAMERA_ID}/{uuid_of(1)}.1.mp4", size_bytes=3, sha256="cd" * 32)
    for name, content in ((first.path, body), (second.path, b"two")):
        target = world.data_dir / name
        if not name.startswith("/") and ".." not in name:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    picture = world.data_dir / "thumbnails" / f"{uuid_of(1)}.jpg"
    picture.parent.mkdir(exist_ok=True)
    picture.write_bytes(b"\xff\xd8jpeg")
    finished = FinaliseEvent(message, replace(clip, files=(first, second)), thumbnail or f"thumbnails/{uuid_of(1)}.jpg")
    with world.store.writing() as repositories:
        repositories.events.finalise(finished, 1)
    return world.data_dir / first.path


async def test_clip_is_whole_when_no_range_is_asked_for(client: httpx.AsyncClient, world: World) -> None:
    _publish(world)
    response = await client.get(CLIP)
    assert (response.status_code, response.content == BODY) == (200, True)
    headers = response.headers
    assert (headers["content-type"], headers["accept-ranges"], headers["etag"]) == ("video/mp4", "bytes", ETAG)
    assert headers["content-length"] == str(len(BODY))
    assert headers["content-disposition"] == f'inline; filename="{uuid_of(1)}.mp4"'
    assert headers["cache-control"] == "no-store, private"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        (f"bytes={PIECE_BYTES - 1}-{PIECE_BYTES}", PIECE_BYTES - 1, PIECE_BYTES),  # over the border of two pieces
        ("bytes=100-", 100, len(BODY) - 1),
        ("bytes=-100", len(BODY) - 100, len(BODY) - 1),
        (f"bytes=10-{len(BODY) * 2}", 10, len(BODY) - 1),
    ],
)
async def test_clip_is_one_span_when_a_range_is_asked_for(
    client: httpx.AsyncClient, world: World, asked: str, first: int, last: int
) -> None:
    _publish(world)
    response = await client.get(CLIP, headers={"Range": asked})
    assert response.status_code == 206
    assert response.headers["content-range"] == f"bytes {first}-{last}/{len(BODY)}"
    assert response.headers["content-length"] == str(last - first + 1)
    assert response.content == BODY[first : last + 1]


async def test_range_outside_is_416(client: httpx.AsyncClient, world: World) -> None:
    _publish(world)
    response = await client.get(CLIP, headers={"Range": f"bytes={len(BODY)}-"})
    assert (response.status_code, response.headers["content-range"]) == (416, f"bytes */{len(BODY)}")
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": "bytes=0-9", "If-Range": ETAG}, 206),
        ({"Range": "bytes=0-9", "If-Range": '"other"'}, 200),
        ({"Range": "bytes=0-9", "If-Range": "Wed, 21 Oct 2015 07:28:00 GMT"}, 200),
        ({"Range": "bytes=0-9,20-29"}, 200),
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": f"W/{ETAG}"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-Match": ETAG}, 200),
        ({"If-Match": '"other"'}, 412),
    ],
)
async def test_conditions_decide(client: httpx.AsyncClient, world: World, headers: dict[str, str], status: int) -> None:
    _publish(world)
    response = await client.get(CLIP, headers=headers)
    assert response.status_code == status
    assert response.headers["etag"] == ETAG
    if status == 200:
        assert response.content == BODY


async def test_head_answers_the_same_headers_without_the_body(client: httpx.AsyncClient, world: World) -> None:
    _publish(world)
    for headers, status in (({}, 200), ({"Range": "bytes=5-9"}, 206)):
        get, head = await client.get(CLIP, headers=headers), await client.head(CLIP, headers=headers)
        assert (head.status_code, head.content) == (status, b"")
        assert dict(head.headers) == dict(get.headers)


async def test_part_names_further_files(client: httpx.AsyncClient, world: World) -> None:
    _publish(world)
    response = await client.get(f"{CLIP}?part=1")
    assert (response.content, response.headers["etag"]) == (b"two", f'"{"cd" * 32}"')
    event = (await client.get(f"/api/events/{uuid_of(1)}")).json()
    assert [item["url"] for item in event["clip_files"]] == [CLIP, f"{CLIP}?part=1"]
    assert (await client.get(f"{CLIP}?part=2")).status_code == 404
    assert (await client.get(f"{CLIP}?part=-1")).status_code == 422


async def test_thumbnail_is_jpeg(client: httpx.AsyncClient, world: World) -> None:
    _publish(world)
    response = await client.get(THUMBNAIL)
    assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg")
    assert response.content == b"\xff\xd8jpeg"


async def test_clip_is_404_with_a_sentence_when_the_file_is_gone(client: httpx.AsyncClient, world: World) -> None:
    _publish(world).unlink()
    response = await client.get(CLIP)
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert "not there any more" in response.json()["detail"]


async def test_clip_is_500_when_the_file_has_another_size(client: httpx.AsyncClient, world: World) -> None:
    _publish(world).write_bytes(BODY[:-1])
    response = await client.get(CLIP)
    assert (response.status_code, response.json()["code"]) == (500, "corrupt_media")


async def test_clip_is_404_when_there_is_none_yet(client: httpx.AsyncClient, world: World) -> None:
    with world.store.writing() as repositories:
        repositories.events.record(event_message(1), 1)
    response = await client.get(CLIP)
    assert (response.status_code, response.json()["detail"]) == (404, "the event has no clip: it is open")
    assert (await client.get(THUMBNAIL)).status_code == 404


@pytest.mark.parametrize("path", ["/etc/passwd", "recordings/../vms.db", "../outside.mp4", "recordings-evil/a.mp4"])
async def test_clip_is_404_when_the_row_points_outside(client: httpx.AsyncClient, world: World, path: str) -> None:
    (world.data_dir / "recordings-evil").mkdir()
    (world.data_dir / "recordings-evil" / "a.mp4").write_bytes(BODY)
    _publish(world, path=path, thumbnail=path)
    for url in (CLIP, THUMBNAIL):
        response = await client.get(url)
        assert response.status_code == 404
        assert "root:" not in response.text


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
async def test_clip_is_not_served_when_it_is_no_plain_file(client: httpx.AsyncClient, world: World, kind: str) -> None:
    path = _publish(world)
    path.unlink()
    if kind == "link":
        path.symlink_to(world.data_dir / "vms.db")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    response = await asyncio.wait_for(client.get(CLIP), DEADLINE_S)
    assert response.status_code in (404, 500)
    assert "etag" not in response.headers


async def test_clip_goes_on_when_it_is_deleted_while_it_is_served(world: World) -> None:
    body = os.urandom(32 * PIECE_BYTES)  # more than the sockets' buffers hold
    path = _publish(world, body=body)
    received = bytearray()
    async with _streaming(world) as response:
        async for piece in response.aiter_raw():
            if not received:
                path.unlink()
            received += piece
    assert hashlib.sha256(received).digest() == hashlib.sha256(body).digest()


async def test_connection_breaks_when_the_file_shrinks_while_it_is_served(world: World) -> None:
    path = _publish(world, body=os.urandom(32 * PIECE_BYTES))
    async with _streaming(world) as response:
        pieces = response.aiter_raw()
        await anext(pieces)
        os.truncate(path, PIECE_BYTES)
        with pytest.raises(httpx.RemoteProtocolError):
            await _drain(pieces)


async def test_descriptor_is_closed_when_the_viewer_goes_away(world: World) -> None:
    path = _publish(world, body=os.urandom(32 * PIECE_BYTES))
    async with on_a_port(world.app) as port:
        async with _stream(port) as response:
            await anext(response.aiter_raw(1))
            assert _is_open(path)
        await until(lambda: not _is_open(path))


@contextlib.asynccontextmanager
async def _streaming(world: World) -> AsyncIterator[httpx.Response]:
    async with on_a_port(world.app) as port, _stream(port) as response:
        yield response


@contextlib.asynccontextmanager
async def _stream(port: int) -> AsyncIterator[httpx.Response]:
    headers = {"Authorization": f"Bearer {API_KEY}"}
    url = f"http://127.0.0.1:{port}{CLIP}"
    async with httpx.AsyncClient(headers=headers, timeout=DEADLINE_S) as client, client.stream("GET", url) as response:
        yield response


async def _drain(pieces: AsyncIterator[bytes]) -> None:
    async for _ in pieces:
        pass


def _is_open(path: Path) -> bool:
    targets = []
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            targets.append(entry.readlink())
    return path in targets
