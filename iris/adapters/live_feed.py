"""The socket between a node and one camera process, both ends.

A frame on the wire: 1 byte kind (`J` JSON object, `B` bytes), 4 bytes length (big endian), payload. The node does
not trust what a camera process sends: kinds, lengths and fields are checked, a violation ends the process.

The camera's end is used from several threads (a lock around each send); the node's end is an asyncio stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import select
import socket
import struct
import threading
from dataclasses import asdict, dataclass, fields
from typing import cast

from iris.base.errors import InputError, StorageError
from iris.base.ids import CameraId, NodeId, parse_id
from iris.domain.camera import CameraSpec, CameraState, CameraTuning, DetectorBackend
from iris.domain.recording import ManualAnswer, ManualRecording
from iris.domain.status import CameraStatus

_HEADER = struct.Struct(">cI")
KIND_JSON = b"J"
KIND_BYTES = b"B"
# What has arrived while the node itself stood still is read within this.
_LATE_S = 1.0
# The largest frame is a JPEG of one picture; 16 MiB is far above any camera's.
MOST_FRAME_BYTES = 16 * 1024 * 1024

JsonObject = dict[str, object]


def encode_json(message: JsonObject) -> bytes:
    """One JSON frame."""
    payload = json.dumps(message, separators=(",", ":")).encode()
    return _HEADER.pack(KIND_JSON, len(payload)) + payload


def encode_bytes(payload: bytes) -> bytes:
    """One frame of bytes."""
    return _HEADER.pack(KIND_BYTES, len(payload)) + payload


def _check_header(header: bytes) -> tuple[bytes, int]:
    kind, length = cast("tuple[bytes, int]", _HEADER.unpack(header))
    if kind not in (KIND_JSON, KIND_BYTES) or length > MOST_FRAME_BYTES:
        raise InputError(f"a live feed frame of kind {kind!r} and {length} bytes is not acceptable")
    return kind, length


def _parse(payload: bytes) -> JsonObject:
    message = json.loads(payload)
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise InputError("a live feed message must be an object with a type")
    return cast("JsonObject", message)


class CameraFeed:
    """The camera process's end: blocking, many threads may send, one reads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._send_lock = threading.Lock()

    def send(self, message: JsonObject) -> None:
        """Send one JSON message.

        Raises:
            OSError: The node is gone.
        """
        data = encode_json(message)
        with self._send_lock:
            self._sock.sendall(data)

    def send_bytes(self, header: JsonObject, payload: bytes) -> None:
        """Send a JSON message that announces bytes, and the bytes, with nothing between."""
        data = encode_json(header) + encode_bytes(payload)
        with self._send_lock:
            self._sock.sendall(data)

    def receive(self) -> JsonObject | None:
        """The next message of the node; None when it is gone."""
        header = self._exactly(_HEADER.size)
        if header is None:
            return None
        _, length = _check_header(header)
        payload = self._exactly(length)
        return None if payload is None else _parse(payload)

    def waits(self, seconds: float) -> bool:
        """Whether a message, or the end of the feed, is there within so many seconds."""
        return bool(select.select([self._sock], [], [], seconds)[0])

    def _exactly(self, count: int) -> bytes | None:
        data = bytearray()
        while len(data) < count:
            chunk = self._sock.recv(count - len(data))
            if not chunk:
                return None
            data += chunk
        return bytes(data)

    def close(self) -> None:
        """Close the socket; a blocked `receive` in another thread returns None."""
        with contextlib.suppress(OSError):  # already gone
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


async def read_message(reader: asyncio.StreamReader) -> tuple[JsonObject, bytes]:
    """The node's end: the next message, with the bytes it announces by a true `bytes` field.

    Raises:
        asyncio.IncompleteReadError: The camera process is gone.
        InputError: It sent what is not acceptable.
    """
    message = _parse(await _read_frame(reader, KIND_JSON))
    payload = await _read_frame(reader, KIND_BYTES) if message.get("bytes") is True else b""
    return message, payload


async def read_message_within(reader: asyncio.StreamReader, patience_s: float) -> tuple[JsonObject, bytes]:
    """As `read_message`, bounded in time.

    Raises:
        TimeoutError: Nothing came. A node that itself stood still finds its time over and messages waiting, so what
            has arrived is read first.
    """
    reading = asyncio.ensure_future(read_message(reader))
    try:
        for seconds in (patience_s, _LATE_S):
            await asyncio.wait((reading,), timeout=seconds)
            if reading.done():
                return reading.result()
    finally:
        reading.cancel()
    raise TimeoutError


async def _read_frame(reader: asyncio.StreamReader, expected: bytes) -> bytes:
    kind, length = _check_header(await reader.readexactly(_HEADER.size))
    if kind != expected:
        raise InputError("a live feed frame of another kind was expected")
    return await reader.readexactly(length)


@dataclass(frozen=True, slots=True)
class CameraStart:
    """What a camera process is told first."""

    spec: CameraSpec
    tuning: CameraTuning
    node_id: NodeId


def start_to_json(start: CameraStart) -> JsonObject:
    """The first message to a camera process; holds its password, goes over the socket only."""
    return {
        "type": "start", "spec": asdict(start.spec), "tuning": asdict(start.tuning), "node_id": start.node_id,
    }  # fmt: skip


def start_from_json(message: JsonObject) -> CameraStart:
    """Inverse of `start_to_json`."""
    spec = cast("dict[str, object]", message["spec"])
    spec["detector_backend"] = DetectorBackend(cast("str", spec["detector_backend"]))
    spec["trigger_classes"] = tuple(cast("list[str]", spec["trigger_classes"]))
    tuning = cast("dict[str, object]", message["tuning"])
    return CameraStart(
        CameraSpec(**spec),  # type: ignore[arg-type]  # field by field from asdict
        CameraTuning(**tuning),  # type: ignore[arg-type]  # field by field from asdict
        NodeId(str(message["node_id"])),
    )


def recording_to_json(number: object, answer: ManualAnswer) -> JsonObject:
    """A camera's answer to the request `number` about a manual recording."""
    event = answer.event
    return {
        "type": "recording", "id": number, "fresh": answer.fresh, "failure": answer.failure,
        "event": None if event is None else [event.event_id, event.started_us, event.last_seen_us, event.stops_us],
    }  # fmt: skip


def recording_from_json(message: JsonObject, action: str) -> ManualRecording | None:
    """The recording in an answer; None where there was nothing to stop.

    Raises:
        StorageError: The camera's disk refused it.
        InputError: The answer is malformed.
    """
    if message.get("failure"):
        raise StorageError(str(message["failure"]))
    event = message.get("event")
    if event is None:
        return None
    if not isinstance(event, list) or len(event) != 4:
        raise InputError("an answer about a recording is malformed")
    event_id, started_us, last_seen_us, stops_us = event
    ended_us = int(last_seen_us) if action == "stop" else None
    return ManualRecording(
        parse_id(str(event_id)), int(started_us), int(stops_us), ended_us, message.get("fresh") is True
    )


_STATUS_FIELDS = tuple(field.name for field in fields(CameraStatus))


def status_to_json(status: CameraStatus) -> JsonObject:
    """A heartbeat."""
    # Not `asdict`, which copies every value in depth; this is sent every second by every camera.
    return {"type": "status", **{name: getattr(status, name) for name in _STATUS_FIELDS}}


def status_from_json(camera_id: CameraId, message: JsonObject) -> CameraStatus:
    """A heartbeat as the node takes it: bound to the camera whose socket it came from.

    Raises:
        InputError: Fields are missing or of the wrong type.
    """
    try:
        values = {name: message[name] for name in _STATUS_FIELDS}
        values["camera_id"] = camera_id
        values["state"] = CameraState(cast("str", values["state"]))
        for name in ("onnx_providers", "in_view"):
            values[name] = tuple(str(item) for item in cast("list[object]", values[name]))
        values["counters"] = {str(k): int(v) for k, v in cast("dict[str, int]", values["counters"]).items()}
        return CameraStatus(**values)  # type: ignore[arg-type]  # names checked above, values are the sender's own
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("a heartbeat is malformed") from error
