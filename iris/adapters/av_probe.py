"""Measures a published clip without trusting what was recorded about it; the eye of `iris check`.

Cost, 20 s of 1080p: milliseconds to count packets, tens of milliseconds for the two ends, a second for all frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.packet import Packet
from av.video.stream import VideoStream

from iris.adapters.av_clip import open_without_decoding
from iris.base.errors import CorruptMediaError
from iris.base.timebase import media_to_us


@dataclass(frozen=True, slots=True)
class ClipFacts:
    """What a clip file holds; durations in microseconds of media time. `decoded_count` counts pictures."""

    video_packet_count: int
    audio_packet_count: int
    duration_us: int
    longest_gop_us: int
    decoded_count: int


def probe_clip(path: Path, *, full: bool) -> ClipFacts:
    """Read all packets; decode the first and the last GOP, or with `full` every frame.

    Raises:
        CorruptMediaError: It cannot be read, holds no video, or does not decode.
    """
    try:
        with open_without_decoding(path) as container:
            probe = _Probe(container.streams.video[0], full=full)
            for packet in container.demux(*container.streams.video, *container.streams.audio):
                if packet.size:  # an empty one is the demuxer's own mark of the end
                    probe.add(packet)
            return probe.facts()
    except (av.FFmpegError, OSError) as error:
        # FFmpeg's own text names the file by its whole path; the caller says which clip it is.
        raise CorruptMediaError(f"it cannot be read or decoded ({type(error).__name__})") from error
    except IndexError as error:
        raise CorruptMediaError("it holds no video") from error


class _Probe:
    """Counts packets as they come and holds no more than one GOP of them."""

    def __init__(self, stream: VideoStream, *, full: bool) -> None:
        context = av.CodecContext.create(stream.codec_context.name, "r")
        assert isinstance(context, av.VideoCodecContext)
        context.extradata = stream.codec_context.extradata
        context.thread_count = 1
        self._context = context
        self._full = full
        self._gop: list[Packet[Any]] = []
        self._keyframes: list[int] = []
        self._video_count = self._audio_count = self._sent_count = self._decoded_count = 0
        self._first: int | None = None
        self._end = 0
        self._base = Fraction(1)

    def add(self, packet: Packet[Any]) -> None:
        if packet.stream.type != "video":
            self._audio_count += 1
            return
        pts = packet.pts or 0
        self._base = packet.time_base or self._base
        self._video_count += 1
        self._first = pts if self._first is None else min(pts, self._first)
        self._end = max(self._end, pts + (packet.duration or 0))
        if packet.is_keyframe:
            if self._full or len(self._keyframes) == 1:
                self._decode()
            self._gop = []
            self._keyframes.append(pts)
        self._gop.append(packet)

    def facts(self) -> ClipFacts:
        if self._first is None or not self._keyframes:
            raise CorruptMediaError("it holds no picture to begin with")
        self._decode()
        self._decoded_count += len(self._context.decode(None))
        # Interlaced streams may bring two packets for a picture.
        if self._decoded_count * 2 < self._sent_count:
            raise CorruptMediaError(f"of {self._sent_count} packets only {self._decoded_count} decode")
        spans = zip(self._keyframes, [*self._keyframes[1:], self._end], strict=True)
        return ClipFacts(
            video_packet_count=self._video_count,
            audio_packet_count=self._audio_count,
            duration_us=media_to_us(self._end - self._first, self._base),
            longest_gop_us=media_to_us(max(after - before for before, after in spans), self._base),
            decoded_count=self._decoded_count,
        )

    def _decode(self) -> None:
        self._sent_count += len(self._gop)
        self._decoded_count += sum(len(self._context.decode(packet)) for packet in self._gop)
