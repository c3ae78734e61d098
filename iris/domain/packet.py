"""Encoded packets and the parameters that decide whether two of them may share a file."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction


class MediaKind(StrEnum):
    """Kind of a media stream."""

    VIDEO = "video"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class CodecParams:
    """Parameters of one media stream; a change of any field starts a new run.

    `codec` is named as FFmpeg names it. `extradata` is what the container stores (avcC, or Annex B SPS/PPS).
    """

    kind: MediaKind
    codec: str
    time_base: Fraction
    extradata: bytes = field(default=b"", repr=False)
    width_px: int = 0
    height_px: int = 0
    sample_rate_hz: int = 0
    channel_count: int = 0


@dataclass(frozen=True, slots=True)
class EncodedPacket:
    """One packet of one media stream, in that stream's time base; never shared with a muxer.

    `pts` and `dts` are None where the camera gave none (the first packets of an RTSP session).
    """

    kind: MediaKind
    payload: bytes = field(repr=False)
    pts: int | None
    dts: int | None
    time_base: Fraction
    is_keyframe: bool
    duration: int = 0
