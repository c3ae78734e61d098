import asyncio
import socket
import threading

import pytest

from iris.adapters.live_feed import (
    MOST_FRAME_BYTES,
    CameraFeed,
    CameraStart,
    encode_json,
    read_message,
    read_message_within,
    start_from_json,
    start_to_json,
    status_from_json,
    status_to_json,
)
from iris.base.errors import InputError
from iris.base.ids import CameraId, NodeId
from iris.domain.camera import CameraSpec, CameraState, CameraTuning, DetectorBackend
from iris.domain.status import CameraStatus

CAMERA = CameraId("0193b0a0-0000-7000-8000-000000000001")


async def node_end(sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    sock.setblocking(False)
    return await asyncio.open_unix_connection(sock=sock)


async def test_feed_carries_spec_to_the_camera_and_status_back() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await node_end(ours)
    feed = CameraFeed(theirs)
    spec = CameraSpec(CAMERA, "gate", "rtsp://u:p@h/1", None, trigger_classes=("person", "dog"))
    tuning = CameraTuning(segment_seconds=1.5)
    start = CameraStart(spec, tuning, NodeId("node"))
    writer.write(encode_json(start_to_json(start)))
    message = await asyncio.to_thread(feed.receive)
    assert message is not None
    assert start_from_json(message) == start
    assert start_from_json(message).spec.detector_backend is DetectorBackend.ONNX

    status = CameraStatus(
        CAMERA, CameraState.RECORDING, in_view=("person",), onnx_providers=("CPUExecutionProvider",), counters={"a": 3}
    )
    feed.send(status_to_json(status))
    received, _ = await read_message(reader)
    assert status_from_json(CAMERA, received) == status
    writer.close()
    feed.close()


async def test_feed_announces_bytes_and_nothing_comes_between() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await node_end(ours)
    feed = CameraFeed(theirs)

    def ring() -> None:
        for _ in range(200):
            feed.send({"type": "outbox"})

    def send_snapshots() -> None:
        for n in range(20):
            feed.send_bytes({"type": "snapshot", "id": n, "bytes": True}, bytes([n]) * 1000)

    others = [threading.Thread(target=ring) for _ in range(3)]
    for thread in others:
        thread.start()
    sender = threading.Thread(target=send_snapshots)
    sender.start()
    pictures = []
    for _ in range(620):
        message, payload = await read_message(reader)
        if message["type"] == "snapshot":
            pictures.append((message["id"], payload))
    assert pictures == [(n, bytes([n]) * 1000) for n in range(20)]
    for thread in [*others, sender]:
        await asyncio.to_thread(thread.join)
    writer.close()
    feed.close()


@pytest.mark.parametrize(
    "data",
    [
        b"X\x00\x00\x00\x02{}",  # unknown kind
        b"J" + (MOST_FRAME_BYTES + 1).to_bytes(4, "big"),  # longer than any picture
        b"B\x00\x00\x00\x01x",  # bytes that nothing announced
        b"J\x00\x00\x00\x02[]",  # not an object
    ],
)
async def test_node_refuses_what_is_not_acceptable(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await node_end(ours)
    theirs.sendall(data)
    with pytest.raises(InputError):
        await read_message(reader)
    writer.close()
    theirs.close()


def test_status_is_bound_to_the_socket_it_came_from() -> None:
    forged = status_to_json(CameraStatus(CameraId("someone-else"), CameraState.RECORDING))
    assert status_from_json(CAMERA, forged).camera_id == CAMERA


def test_status_with_a_missing_field_is_refused() -> None:
    message = status_to_json(CameraStatus(CAMERA, CameraState.RECORDING))
    del message["fps"]
    with pytest.raises(InputError):
        status_from_json(CAMERA, message)


async def test_receive_returns_none_when_the_node_is_gone() -> None:
    ours, theirs = socket.socketpair()
    feed = CameraFeed(theirs)
    ours.close()
    assert await asyncio.to_thread(feed.receive) is None
    feed.close()


async def test_message_that_waited_while_the_node_stood_still_is_read_first() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await node_end(ours)
    loop = asyncio.get_running_loop()
    reading = asyncio.ensure_future(read_message_within(reader, 0.05))
    await asyncio.sleep(0)
    theirs.sendall(encode_json({"type": "outbox"}))
    deadline_s = loop.time() + 0.2
    while loop.time() < deadline_s:  # the loop stands still past the end of its patience
        pass
    message, _ = await reading
    assert message == {"type": "outbox"}
    with pytest.raises(TimeoutError):
        await read_message_within(reader, 0.01)
    writer.close()
    theirs.close()
