"""Decode video packets with PyAV: one thread, pictures converted only on demand.

Each decoder belongs to one run and one thread; its pictures may be converted from another thread too (a snapshot),
one at a time. The wall time of a packet travels through the decoder as its PTS in microseconds, so that
reordered (B) frames come out with their own time whatever the camera's DTS are.
Cost at 1080p: decode 2 to 6 ms a frame by bitrate, scaling to 640 wide 0.5 ms, full RGB 2 ms.
Source of every option: the measured traps in this project's performance notes, section 3.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import av
import av.video.reformatter as swscale
import cv2
import numpy as np

from iris.base.errors import CameraStreamError
from iris.domain.frame import Frame, UInt8Array
from iris.domain.packet import CodecParams, EncodedPacket

_MICROSECONDS = Fraction(1, 1_000_000)
# Their first plane is eight-bit brightness at full size; all others are converted.
_PLANAR_LUMA = frozenset({"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "nv12", "gray"})


class AvPicture:
    """Implements `iris.ports.Picture` over a decoded frame."""

    __slots__ = ("_converter", "_decoded", "_wall_us")

    def __init__(self, decoded: av.VideoFrame, wall_us: int, converter: _Converter) -> None:
        self._decoded = decoded
        self._wall_us = wall_us
        self._converter = converter

    @property
    def wall_us(self) -> int:
        """When it was taken, wall time in microseconds."""
        return self._wall_us

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of the source."""
        return self._decoded.width, self._decoded.height

    def frame(self) -> Frame:
        """The picture at full size as RGB."""
        rgb = self._converter.full_rgb(self._decoded)
        return Frame(rgb=rgb, pts=self._wall_us, time_base=_MICROSECONDS, wall_us=self._wall_us)

    def scaled_rgb(self, size_px: tuple[int, int]) -> UInt8Array:
        """The whole picture scaled to (width, height), both even, as (H, W, 3) uint8 RGB."""
        return self._converter.scaled_rgb(self._decoded, size_px)

    def luma(self, size_px: tuple[int, int]) -> UInt8Array:
        """Brightness scaled to (width, height), as (H, W) uint8."""
        return self._converter.luma(self._decoded, size_px)


class _Converter:
    """Scaling contexts of one decoder; one per purpose, since each keeps the tables of one size."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._scaler = swscale.VideoReformatter()
        self._full = swscale.VideoReformatter()
        self._odd = swscale.VideoReformatter()

    def full_rgb(self, decoded: av.VideoFrame) -> UInt8Array:
        with self._lock:
            rgb = self._full.reformat(decoded, format="rgb24", interpolation="FAST_BILINEAR", threads=1)
        return np.asarray(rgb.to_ndarray(), np.uint8)

    def scaled_rgb(self, decoded: av.VideoFrame, size_px: tuple[int, int]) -> UInt8Array:
        # Scaling to yuv420p and converting after it costs half of scaling to rgb24.
        with self._lock:
            small = self._scaler.reformat(
                decoded, size_px[0], size_px[1], "yuv420p", interpolation="BILINEAR", dst_color_range="MPEG", threads=1
            )
        return np.asarray(cv2.cvtColor(small.to_ndarray(), cv2.COLOR_YUV2RGB_I420), np.uint8)

    def luma(self, decoded: av.VideoFrame, size_px: tuple[int, int]) -> UInt8Array:
        if decoded.format.name not in _PLANAR_LUMA:
            with self._lock:
                grey = self._odd.reformat(decoded, size_px[0], size_px[1], "gray", threads=1)
            return np.asarray(grey.to_ndarray(), np.uint8)
        plane = decoded.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        view = rows[: decoded.height, : decoded.width]
        return np.asarray(cv2.resize(view, size_px, interpolation=cv2.INTER_LINEAR), np.uint8)


class AvDecoder:
    """Implements `iris.ports.FrameDecoder`."""

    def __init__(self, video: CodecParams) -> None:
        try:
            context = av.CodecContext.create(video.codec, "r")
        except (av.error.FFmpegError, ValueError) as error:
            raise CameraStreamError(f"no decoder for the video codec {video.codec!r}") from error
        if not isinstance(context, av.VideoCodecContext):
            raise CameraStreamError(f"{video.codec!r} is no video codec")
        cv2.setNumThreads(1)  # its pool would spread a 0.1 ms job over all cores
        if video.extradata:
            context.extradata = video.extradata
        # All of it before the first packet: set later it has no effect. Frame threads would add a frame of delay.
        context.thread_count = 1
        context.thread_type = "NONE"
        context.options = {"skip_loop_filter": "all"}
        self._context = context
        self._converter = _Converter()
        self._damaged_count = 0

    @property
    def damaged_count(self) -> int:
        """Packets that could not be decoded."""
        return self._damaged_count

    def decode(self, packet: EncodedPacket, wall_us: int) -> Sequence[AvPicture]:
        """Feed a packet; pictures that came out, in the order of presentation. Damaged data gives none."""
        if not packet.payload:  # an empty packet would end the stream
            return ()
        return self._feed(_to_av(packet, wall_us), wall_us)

    def decode_keyframe(self, packet: EncodedPacket, wall_us: int) -> AvPicture | None:
        """Decode a keyframe by itself; the next packet fed must be a keyframe.

        A stream with B frames gives a keyframe away only when the next packets came: draining gets it at once.
        """
        pictures = [*self.decode(packet, wall_us), *self._feed(None, wall_us)]
        self.flush()
        return pictures[-1] if pictures else None

    def flush(self) -> None:
        """Forget references after dropped packets; the next packet fed must be a keyframe."""
        self._context.flush_buffers()

    def _feed(self, packet: av.Packet[Any] | None, wall_us: int) -> list[AvPicture]:
        try:
            frames = self._context.decode(packet)
        except (av.error.FFmpegError, ValueError):
            self._damaged_count += 1
            return []
        return [
            AvPicture(frame, wall_us if frame.pts is None else frame.pts, self._converter)
            for frame in frames
            if isinstance(frame, av.VideoFrame)
        ]


class AvDecoderOpener:
    """Implements `iris.ports.FrameDecoderOpener`."""

    def open(self, video: CodecParams) -> AvDecoder:
        """A decoder for one run.

        Raises:
            CameraStreamError: No decoder for this codec.
        """
        return AvDecoder(video)


def _to_av(packet: EncodedPacket, wall_us: int) -> av.Packet[Any]:
    encoded = av.Packet(packet.payload)
    encoded.time_base = _MICROSECONDS
    encoded.pts = wall_us
    encoded.is_keyframe = packet.is_keyframe
    return encoded
