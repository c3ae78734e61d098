"""Packet sequences for ingest: stamps made to order, and real streams encoded for the test."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from iris.media.parameter_sets import in_band_parameter_sets

VIDEO_BASE = Fraction(1, 90_000)
AUDIO_BASE = Fraction(1, 48_000)
AAC_48K_STEREO = b"\x11\x90"


def packet_sequence(
    *, n: int = 60, gop: int = 12, fps: int = 15, start: int = 0, pts_order: Iterable[int] | None = None
) -> list[EncodedPacket]:
    """Video packets with a keyframe every `gop`; `pts_order` gives display positions in order of decoding.

    The payload names the packet's number; it is no picture.
    """
    order = list(pts_order) if pts_order is not None else list(range(n))
    step = 90_000 // fps
    return [
        EncodedPacket(
            MediaKind.VIDEO, f"video {i}".encode(), start + position * step, None, VIDEO_BASE, i % gop == 0, step
        )
        for i, position in enumerate(order)
    ]


def sound_sequence(*, n: int, start: int = 0) -> list[EncodedPacket]:
    """AAC packets of 1024 samples at 48 kHz; the payload is no sound."""
    return [
        EncodedPacket(
            MediaKind.AUDIO, f"audio {i}".encode(), start + i * 1024, None, AUDIO_BASE, is_keyframe=True, duration=1024
        )
        for i in range(n)
    ]


def sound_params() -> CodecParams:
    """AAC-LC, 48 kHz, stereo."""
    return CodecParams(MediaKind.AUDIO, "aac", AUDIO_BASE, AAC_48K_STEREO, sample_rate_hz=48_000, channel_count=2)


@lru_cache(maxsize=8)
def encoded_stream(
    *,
    codec: str = "h264",
    n: int = 60,
    gop: int = 15,
    fps: int = 15,
    b_frames: int = 0,
    size: tuple[int, int] = (160, 96),
) -> tuple[CodecParams, tuple[EncodedPacket, ...]]:
    """A moving picture as a camera sends it: Annex B, in order of decoding, stamps at 90 kHz, no DTS."""
    context: Any = av.CodecContext.create("libx264" if codec == "h264" else "libx265", "w")
    context.width, context.height = size
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, fps), Fraction(fps)
    context.gop_size, context.max_b_frames = gop, b_frames
    tuning = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:b-adapt=0"
    context.options = {"preset": "ultrafast", ("x264-params" if codec == "h264" else "x265-params"): tuning}
    if codec == "hevc":
        context.options = {**context.options, "x265-params": f"{tuning}:log-level=none:open-gop=0:repeat-headers=1"}
    encoded = []
    for index in range(n):
        picture = np.full((size[1], size[0], 3), 40, np.uint8)
        left = (index * 4) % (size[0] - 24)
        picture[20:60, left : left + 24] = (250, 200, 10)
        frame: Any = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = index, Fraction(1, fps)
        encoded += context.encode(frame)
    encoded += context.encode(None)
    step = 90_000 // fps
    packets = tuple(
        EncodedPacket(MediaKind.VIDEO, bytes(p), p.pts * step, None, VIDEO_BASE, p.is_keyframe, step) for p in encoded
    )
    sets = in_band_parameter_sets(codec, packets[0].payload)
    return CodecParams(MediaKind.VIDEO, codec, VIDEO_BASE, sets, size[0], size[1]), packets


def shifted(packets: Iterable[EncodedPacket], ticks: int) -> list[EncodedPacket]:
    """The same packets later by so many ticks."""
    return [replace(p, pts=None if p.pts is None else p.pts + ticks) for p in packets]


def interleaved(video: Iterable[EncodedPacket], audio: Iterable[EncodedPacket]) -> list[EncodedPacket]:
    """Pictures and sound in the order of their times; of equal times the picture first."""

    def key(packet: EncodedPacket) -> Fraction:
        return (packet.pts or 0) * packet.time_base

    return sorted([*video, *audio], key=key)


def decoded_count(path: Path) -> int:
    """Pictures that decode from a file."""
    with av.open(str(path)) as container:
        return len(list(container.decode(video=0)))
