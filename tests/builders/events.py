"""Events as they cross Temporal, with values that a test overrides by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iris.contracts.events import ClipFile, ClipResult, EventMessage, FinaliseEvent, TimeRange

S = 1_000_000
START_US = 1_700_000_000 * S


def uuid_of(number: int, kind: str = "e") -> str:
    """A well-formed id that sorts by its number; `kind` is one hexadecimal digit."""
    return f"018bcfe5-6800-7000-800{kind}-{number:012x}"


CAMERA_ID = uuid_of(1, "c")
NODE_ID = uuid_of(1, "d")


def event_message(number: int = 1, kind: str = "opened", **values: Any) -> EventMessage:
    """Event `number`: seen for 10 s, window from 5 s before to 10 s after; `closed` is complete."""
    message = EventMessage(
        kind=kind,
        event_id=uuid_of(number),
        camera_id=CAMERA_ID,
        node_id=NODE_ID,
        seq={"opened": 1, "updated": 2, "closed": 3}[kind],
        started_us=START_US + number * 100 * S,
        last_seen_us=START_US + (number * 100 + 10) * S,
        window_start_us=START_US + (number * 100 - 5) * S,
        labels=("person",),
        backend="motion",
    )
    if kind == "closed":
        message = replace(message, window_end_us=message.last_seen_us + 10 * S, end_reason="left")
    return replace(message, **values)


def clip_of(message: EventMessage, *, missing_s: int = 0) -> ClipResult:
    """A clip of the message's window whose last `missing_s` seconds are missing."""
    start, end = message.window_start_us, message.window_end_us
    assert end is not None
    covered_to = end - missing_s * S
    return ClipResult(
        state="partial" if missing_s else "ready",
        files=(
            ClipFile(
                path=f"recordings/{message.camera_id}/{message.event_id}.mp4",
                size_bytes=1000, sha256="ab" * 32, start_us=start, end_us=covered_to, duration_us=covered_to - start,
                video_packet_count=375, audio_packet_count=0, video_codec="h264", width_px=1920, height_px=1080,
            ),
        ),
        covered=(TimeRange(start, covered_to),),
        missing=(TimeRange(covered_to, end, "camera_offline"),) if missing_s else (),
    )  # fmt: skip


def finalise_request(number: int = 1, *, missing_s: int = 0, **values: Any) -> FinaliseEvent:
    """What finishes event `number`."""
    message = event_message(number, "closed", **values)
    return FinaliseEvent(message, clip_of(message, missing_s=missing_s), f"thumbnails/{message.event_id}.jpg")
