"""Messages of one event as a camera process would write them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iris.contracts.events import EventMessage

US = 1_000_000
EVENT = "0192f0a0-0000-7000-8000-00000000000e"
CAMERA = "0192f0a0-0000-7000-8000-00000000000c"
NODE = "0192f0a0-0000-7000-8000-00000000000d"


def opened(started_us: int, *, event_id: str = EVENT, camera_id: str = CAMERA, **other: Any) -> EventMessage:
    """The first message; pre-roll of 2 s."""
    message = EventMessage(
        kind="opened",
        event_id=event_id,
        camera_id=camera_id,
        node_id=NODE,
        seq=1,
        started_us=started_us,
        last_seen_us=started_us,
        window_start_us=started_us - 2 * US,
        labels=("person",),
        backend="onnx",
    )
    return replace(message, **other)


def updated(message: EventMessage, *, seen_after_s: float = 1.0, **other: Any) -> EventMessage:
    """The next message, still open."""
    last_seen_us = message.last_seen_us + round(seen_after_s * US)
    return replace(message, **{"kind": "updated", "seq": message.seq + 1, "last_seen_us": last_seen_us, **other})


def closed(message: EventMessage, *, post_s: float = 0.2, **other: Any) -> EventMessage:
    """The last message; the window ends `post_s` after the last sight."""
    window_end_us = message.last_seen_us + round(post_s * US)
    fields = {"kind": "closed", "seq": message.seq + 1, "window_end_us": window_end_us, "end_reason": "left"}
    return replace(message, **{**fields, **other})
