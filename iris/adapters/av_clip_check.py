"""Reads a finished clip back, and takes a picture out of it.

A file that was written without an error may still be short (full disk, failing disk) or hold what no decoder takes,
so a clip counts only after this. Cost, 20 s of 1080p: 4 ms to count packets, about 25 ms for each keyframe.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from iris.adapters.av_clip import MuxedClip, UnusableSegmentError, open_without_decoding
from iris.adapters.jpeg import encode_jpeg
from iris.adapters.media_files import storage_error
from iris.base.errors import StorageError
from iris.base.timebase import media_to_us
from iris.domain.segment import GapReason, Segment
from iris.ports import ProgressSink

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# The container's duration is that of its longest stream, and sound may end up to one packet after the last picture.
_DURATION_SLACK_US = 200_000


def verify_clip(path: Path, muxed: MuxedClip, progress: ProgressSink) -> None:
    """Compare a clip with what was put into it, and decode every keyframe and the last GOP.

    Args:
        path: The file.
        muxed: What `mux_clip` says it wrote.
        progress: Called with each keyframe.

    Raises:
        UnusableSegmentError: A decoder refuses pictures of this segment, as they came from the camera.
        StorageError: The file does not hold what was written.
    """
    try:
        with open_without_decoding(path) as container:
            _verify(container, muxed, progress)
    except (av.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error


def keyframe_jpeg(path: Path, after_us: int) -> bytes | None:
    """The first keyframe of a media file shown at or after a time, as JPEG.

    Args:
        path: A segment or clip.
        after_us: Time since its first picture.

    Returns:
        None where there is none so late, or where it does not decode.
    """
    try:
        with open_without_decoding(path) as container:
            stream = container.streams.video[0]
            decoder = _Decoder(stream)
            first: int | None = None
            for packet in container.demux(stream):
                if packet.pts is None or packet.time_base is None:
                    continue
                first = packet.pts if first is None else first
                if packet.is_keyframe and media_to_us(packet.pts - first, packet.time_base) >= after_us:
                    for picture in decoder.pictures([packet]):
                        return encode_jpeg(np.asarray(picture.to_ndarray(format="rgb24", threads=1), np.uint8))
    except (av.FFmpegError, OSError, IndexError):
        return None  # a thumbnail is a courtesy
    return None


def _unreadable(path: Path, error: Exception) -> StorageError:
    if isinstance(error, OSError) and error.errno:
        return storage_error(error, f"read the clip {path.name}")
    return StorageError(f"the clip {path.name} cannot be read back")


def _verify(container: InputContainer, muxed: MuxedClip, progress: ProgressSink) -> None:
    stream = container.streams.video[0]
    decoder = _Decoder(stream)
    counts = {"video": 0, "keyframe": 0, "audio": 0}
    gop: list[Packet[Any]] = []
    for packet in container.demux(*container.streams.video, *container.streams.audio):
        if packet.size == 0:  # the demuxer's own mark of the end
            continue
        kind = packet.stream.type
        if kind == "video":
            if packet.is_keyframe:
                gop = []
                counts["keyframe"] += 1  # a damaged one loses its mark in the demuxer's parser
                _expect_pictures(decoder, [packet], _segment_at(muxed, counts["video"]))
                progress("verify", counts["video"], muxed.video_packet_count)
            gop.append(packet)
        counts[kind] += 1
    _expect_pictures(decoder, gop, muxed.pieces[-1][0])
    written = {
        "video": muxed.video_packet_count,
        "keyframe": muxed.keyframe_count,
        "audio": muxed.audio_packet_count,
    }
    if counts != written:
        raise StorageError(f"a clip reads back as {counts} packets where {written} were written")
    duration_us = container.duration or 0
    if abs(duration_us - muxed.duration_us) > _DURATION_SLACK_US:
        raise StorageError(f"a clip reads back as {duration_us} us long where {muxed.duration_us} us were written")


def _expect_pictures(decoder: _Decoder, packets: list[Packet[Any]], segment: Segment) -> None:
    try:
        count = sum(1 for _ in decoder.pictures(packets))
    except av.FFmpegError as error:
        raise UnusableSegmentError(segment, GapReason.CORRUPT_SEGMENT, "it does not decode") from error
    # Interlaced streams may bring two packets for a picture.
    if count * 2 < len(packets):
        what = f"of {len(packets)} packets {count} decode"
        raise UnusableSegmentError(segment, GapReason.CORRUPT_SEGMENT, what)


def _segment_at(muxed: MuxedClip, packet: int) -> Segment:
    for segment, count in muxed.pieces:
        if packet < count:
            return segment
        packet -= count
    return muxed.pieces[-1][0]


class _Decoder:
    """A decoder of its own for the pictures of one stream."""

    def __init__(self, stream: VideoStream) -> None:
        context = av.CodecContext.create(stream.codec_context.name, "r")
        assert isinstance(context, av.VideoCodecContext)
        context.extradata = stream.codec_context.extradata
        context.thread_type = "NONE"
        context.thread_count = 1
        self._context = context

    def pictures(self, packets: Sequence[Packet[Any]]) -> Iterator[av.VideoFrame]:
        """All pictures of packets that begin with a keyframe; whatever was decoded before is forgotten."""
        self._context.flush_buffers()
        for packet in packets:
            yield from self._context.decode(packet)
        yield from self._context.decode(None)
