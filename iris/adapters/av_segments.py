"""Writes and reads back segment files: fragmented MP4 by PyAV, packets copied as they are.

A fragment goes to the operating system every 0.4 s, so that a killed process loses little more. Inside a file the first
picture's DTS is 0, or `AUDIO_LEAD_US` where there is sound, as sound that belongs to the pictures before the cut may
still come; there is no edit list, so stamps mean the same to every reader: the first video packet is shown at the
segment's `start_us`, all else relative to it.

Concurrency: one thread per file. Cost: about 10 microseconds a packet; making the streams of a run once 3 ms.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from iris.adapters.media_files import WholeFile, storage_error, translated
from iris.base.errors import CorruptMediaError, StorageError
from iris.base.timebase import media_to_us, us_to_media
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

# Half a second is promised; the frame that libavformat holds back and the one that ends a fragment come on top of it.
FRAGMENT_US = 400_000
# The writer gets packets whenever there is a fragment's worth; rounding of their times must not cost another one.
_ROUNDING_US = 10_000
AUDIO_LEAD_US = 500_000
# Sound that stays away may hold pictures back in the muxer for so long and no longer.
_MOST_INTERLEAVE_US = 200_000
_OPTIONS = {
    # frag_discont: else the muxer moves each stream's first packet to 0, and sound runs away from the pictures.
    "movflags": "empty_moov+default_base_moof+frag_discont",
    "frag_duration": str(FRAGMENT_US - _ROUNDING_US),
    "flush_packets": "1",
    "max_interleave_delta": str(_MOST_INTERLEAVE_US),
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}
_NO_DECODING: list[Any] = [{"skip_frame": "all", "threads": "1"}] * 2
# Any frame will do: the stream's real parameters are set from its description.
_ADTS_FRAME = bytes([0xFF, 0xF1, 0x4C, 0x80, 0x01, 0xFF, 0xFC]) + bytes(8)
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}


class MuxTemplates:
    """Streams of one run to copy into each of its files; holds two tiny containers in memory until closed."""

    def __init__(self, video: CodecParams, audio: CodecParams | None) -> None:
        self.video = video
        self.audio = audio
        # PyAV makes streams for copying only from streams that it opened.
        with _media_errors("use the parameters of the camera's stream"):
            self._video_container = av.open(io.BytesIO(video.extradata), format=video.codec)
            self._audio_container = av.open(io.BytesIO(_ADTS_FRAME), format="aac") if audio is not None else None

    def add_to(self, output: OutputContainer) -> dict[MediaKind, Stream]:
        """Streams in a new file, by kind."""
        video: Any = output.add_stream_from_template(self._video_container.streams.video[0], opaque=True)
        context = video.codec_context
        context.width, context.height = self.video.width_px, self.video.height_px
        context.extradata = self.video.extradata
        video.time_base = self.video.time_base
        streams: dict[MediaKind, Stream] = {MediaKind.VIDEO: video}
        if self.audio is not None and self._audio_container is not None:
            audio: Any = output.add_stream_from_template(self._audio_container.streams.audio[0], opaque=True)
            audio.codec_context.extradata = self.audio.extradata
            audio.codec_context.sample_rate = self.audio.sample_rate_hz
            audio.codec_context.layout = _LAYOUTS.get(self.audio.channel_count, "stereo")
            audio.time_base = Fraction(1, self.audio.sample_rate_hz)
            streams[MediaKind.AUDIO] = audio
        return streams

    def close(self) -> None:
        """Free both containers."""
        self._video_container.close()
        if self._audio_container is not None:
            self._audio_container.close()


class SegmentFile:
    """One segment being written; not durable before `iris.adapters.media_files.publish`."""

    def __init__(self, path: Path, templates: MuxTemplates) -> None:
        """Make the file; it must not exist.

        Raises:
            StorageError: It exists or cannot be made (`DiskFullError` where there is no space).
        """
        self.path = path
        with translated(f"make the segment {path.name}"):
            self._file = WholeFile(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))
        self._lead_us = AUDIO_LEAD_US if templates.audio is not None else 0
        self._shift: dict[MediaKind, int] = {}
        with _media_errors(f"make the segment {path.name}"):
            self._output: OutputContainer = av.open(self._file, "w", format="mp4", options=_OPTIONS)
            try:
                self._streams = templates.add_to(self._output)
            except BaseException:
                self._discard()
                raise

    def write(self, packet: EncodedPacket) -> bool:
        """Append one placed packet; the first one is a video keyframe.

        Returns:
            Whether it was taken; false for sound from before the file's beginning.

        Raises:
            StorageError: The file must be closed and not trusted further than its last whole fragment.
        """
        stream = self._streams.get(packet.kind)
        if stream is None or packet.pts is None or packet.dts is None:
            return False
        if not self._shift:
            self._begin(packet, packet.dts)
        shift = self._shift[packet.kind]
        if packet.dts + shift < 0:
            return False
        copy = av.Packet(packet.payload)
        copy.pts, copy.dts, copy.duration = packet.pts + shift, packet.dts + shift, packet.duration
        copy.time_base, copy.is_keyframe, copy.stream = packet.time_base, packet.is_keyframe, stream
        with _media_errors(f"write the segment {self.path.name}"):
            self._output.mux_one(copy)
        return True

    def close(self) -> None:
        """Write what the muxer still holds and close the file.

        Raises:
            StorageError: The last fragment may be missing.
        """
        with _media_errors(f"finish the segment {self.path.name}"), self._file:
            self._output.close()

    def abandon(self) -> None:
        """Close after a failure; what whole fragments it holds stays."""
        self._discard()

    def _discard(self) -> None:
        with contextlib.suppress(av.FFmpegError, OSError, ValueError), self._file:
            self._output.close()

    def _begin(self, first: EncodedPacket, first_dts: int) -> None:
        lead = us_to_media(self._lead_us, first.time_base)
        self._shift[MediaKind.VIDEO] = lead - first_dts
        zero_us = media_to_us(first_dts - lead, first.time_base)
        audio = self._streams.get(MediaKind.AUDIO)
        if audio is not None and audio.time_base is not None:
            self._shift[MediaKind.AUDIO] = -us_to_media(zero_us, audio.time_base)


@dataclass(frozen=True, slots=True)
class SegmentContents:
    """What a segment file holds; `media_us` from the first picture to the end of the last one shown."""

    video_packet_count: int
    audio_packet_count: int
    media_us: int
    max_gop_us: int


def cut_to_whole_fragments(path: Path) -> int:
    """Cut an unfinished segment behind its last whole fragment.

    Returns:
        Bytes left; 0 where there is no whole fragment (the file is then left as it is).

    Raises:
        StorageError: It cannot be read or cut.
    """
    with translated(f"adopt the segment {path.name}"), path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        whole = _whole_fragments_end(file, size)
        if 0 < whole < size:
            file.truncate(whole)
    return whole


def read_contents(path: Path) -> SegmentContents:
    """Count the packets of a segment file without decoding.

    Raises:
        CorruptMediaError: It cannot be read as a segment or holds no picture.
    """
    counts = {"video": 0, "audio": 0}
    start = end = keyframe = gop = 0
    base = Fraction(1, 90_000)
    try:
        with _opened(path) as container:
            for packet in container.demux():
                if packet.size == 0 or packet.pts is None:
                    continue
                kind = packet.stream.type
                counts[kind] = counts.get(kind, 0) + 1
                if kind != "video":
                    continue
                if counts["video"] == 1:
                    base = packet.time_base
                    start = keyframe = end = packet.pts
                elif packet.is_keyframe:
                    gop, keyframe = max(gop, packet.pts - keyframe), packet.pts
                end = max(end, packet.pts + (packet.duration or 0))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise CorruptMediaError(f"{path.name} cannot be read as a segment") from error
    if counts["video"] == 0 or end <= start:
        raise CorruptMediaError(f"{path.name} holds no picture")
    return SegmentContents(
        counts["video"], counts["audio"], media_to_us(end - start, base), media_to_us(max(gop, end - keyframe), base)
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    with av.open(str(path), format="mp4", stream_options=_NO_DECODING) as container:
        yield container


def _whole_fragments_end(file: io.BufferedRandom, size: int) -> int:
    """End of the last `mdat` that is whole and has its `moof` before it."""
    position = end = 0
    kind = before = b""
    while position + 8 <= size:
        file.seek(position)
        header = file.read(8)
        length, before, kind = int.from_bytes(header[:4], "big"), kind, header[4:]
        # A fragment of half a second never needs a 64-bit length; zeros are what a power cut leaves.
        if length < 8 or position + length > size or not kind.isalpha():
            break
        position += length
        if kind == b"mdat" and before == b"moof":
            end = position
    return end


@contextlib.contextmanager
def _media_errors(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # FFmpeg's errors with a number of the system are OSErrors, too
        raise storage_error(error, what) from error
    except (av.FFmpegError, ValueError) as error:
        raise StorageError(f"could not {what}: the media library refused it") from error
