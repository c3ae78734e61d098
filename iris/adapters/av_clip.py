"""Muxes and verifies clips with PyAV: packets are copied, never decoded to be written.

Owns the bytes of one clip file. Which segments go in is decided by `iris.media.clip_plan`; names and durability are
the business of `iris.pipeline.clip_workshop`. Any thread may call it; two calls must not share a target.

A cut-off or overwritten segment copies without any error (measured), so its size, hash and packet counts are held
against the index, and what was written is read back. Cost, 20 s of 1080p in ten segments: two to three times `cp`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from iris.adapters.media_files import WholeFile, sha256_of, storage_error
from iris.base.errors import CorruptMediaError, StorageError
from iris.base.timebase import US_PER_S, format_rfc3339, media_to_us
from iris.domain.segment import GapReason, Segment
from iris.media.clip_plan import Span, wanted_packets
from iris.media.timeline import SLEW_PER_S
from iris.ports import ProgressSink

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

# The file's own header says all that a copy needs, so libavformat may open no decoder (by default it decodes a
# keyframe of each file, 31-64 ms at 1080p) and reads nothing ahead: 0.2 ms a file (measured; 0.9
# with `skip_frame=all`).
_NO_ANALYSIS = {"codec_whitelist": "none", "analyzeduration": "1", "fpsprobesize": "0"}
# Place for the clip's index in front of its media: 44 bytes a packet at most in the tables of an MP4 (time, order,
# size, place, chunk, keyframe), and the rest. Written once that way; `faststart` would copy the whole file again.
_INDEX_BYTES = 8_192
# A write is a call back into Python: few of them for a large file.
_BUFFER_BYTES = 1 << 20
_INDEX_BYTES_PER_PACKET = 48
_LONG_AGO_S = Fraction(-1_000_000)
# Wall time of a run is slewed by this much of it at most, and rounded to microseconds and ticks.
SLEW_MOST = Fraction(SLEW_PER_S, US_PER_S)
_ROUNDING_S = Fraction(1, 2000)


class UnusableSegmentError(CorruptMediaError):
    """A segment is not what the index recorded; the clip has to do without it."""

    def __init__(self, segment: Segment, reason: GapReason, what: str) -> None:
        super().__init__(f"segment {segment.path}: {what}")
        self.segment_id = segment.segment_id
        self.reason = reason


@dataclass(frozen=True, slots=True)
class ClipSource:
    """A segment and the file to read it from (its pin, or the one in `segments/`)."""

    segment: Segment
    path: Path


@dataclass(frozen=True, slots=True)
class SourceChain:
    """Segments of one run without a hole; `wanted` is what should be visible of them."""

    sources: tuple[ClipSource, ...]
    wanted: Span


@dataclass(frozen=True, slots=True)
class MuxedClip:
    """What went into a clip file.

    `start_us` and `end_us` are wall time of the first picture and of the end of the last; `duration_us` is shorter
    than their difference where holes were closed up. `pieces` are the segments in order with the number of video
    packets taken from each.
    """

    pieces: tuple[tuple[Segment, int], ...]
    video_packet_count: int
    keyframe_count: int
    audio_packet_count: int
    start_us: int
    end_us: int
    duration_us: int
    video_codec: str
    width_px: int
    height_px: int


def check_segment(source: ClipSource) -> None:
    """Hold a file against the index: size, then hash.

    Raises:
        UnusableSegmentError: It is missing, or its bytes differ.
        StorageError: It cannot be read now.
    """
    segment = source.segment
    try:
        size_bytes = source.path.stat().st_size
    except FileNotFoundError:
        raise UnusableSegmentError(segment, GapReason.MISSING_SEGMENT, "the file is missing") from None
    except OSError as error:
        raise storage_error(error, f"read {source.path.name}") from error
    if size_bytes != segment.size_bytes:
        what = f"{size_bytes} bytes, recorded were {segment.size_bytes}"
        raise UnusableSegmentError(segment, GapReason.CORRUPT_SEGMENT, what)
    if sha256_of(source.path) != segment.sha256:
        raise UnusableSegmentError(segment, GapReason.CORRUPT_SEGMENT, "its bytes have changed")


def mux_clip(chains: Sequence[SourceChain], target: Path, progress: ProgressSink) -> MuxedClip:
    """Write one clip file; holes between chains are closed up.

    The clip starts at the last keyframe at or before what is wanted of the first chain, and ends once every picture
    shown before the wanted end is in. The file is not yet durable; it is removed where this raises.

    Args:
        chains: At least one, all of one parameter set.
        target: Written anew; any name.
        progress: Called after each segment.

    Raises:
        UnusableSegmentError: A segment does not hold what the index says.
        DiskFullError: No space is left.
        StorageError: The file could not be written.
    """
    sources = [source for chain in chains for source in chain.sources]
    try:
        with _writing(target, sources) as output:
            writer = _ClipWriter(output, sources)
            for chain in chains:
                for source in chain.sources:
                    writer.append(source, chain)
                    progress("copy segments", len(writer.pieces), len(sources))
    except (av.FFmpegError, OSError) as error:
        target.unlink(missing_ok=True)
        raise _storage_error(error, f"write the clip {target.name}") from error
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return writer.result()


def _storage_error(error: Exception, what: str) -> StorageError:
    number = getattr(error, "errno", None)
    return storage_error(error if isinstance(error, OSError) else OSError(number, str(error)), what)


@contextlib.contextmanager
def _writing(target: Path, sources: Sequence[ClipSource]) -> Iterator[OutputContainer]:
    packets = sum(source.segment.video_packet_count + source.segment.audio_packet_count for source in sources)
    index_bytes = _INDEX_BYTES + _INDEX_BYTES_PER_PACKET * packets
    with WholeFile(target, "wb") as file:
        # By itself libavformat hands over each packet at once to a file that it did not open.
        options = {"moov_size": str(index_bytes), "flush_packets": "0"}
        output = av.open(file, "w", format="mp4", options=options, buffer_size=_BUFFER_BYTES)
        try:
            yield output
        except BaseException:
            with contextlib.suppress(av.FFmpegError, OSError):  # the first failure is the one to tell
                output.close()
            raise
        output.close()


@dataclass(slots=True)
class _Lane:
    """One stream of the output; `last_dts_s` is exact, as time bases of two segments may differ."""

    stream: VideoStream | AudioStream
    count: int = 0
    last_dts_s: Fraction = _LONG_AGO_S

    def write(self, output: OutputContainer, packets: Sequence[Packet[Any]], shift: int) -> None:
        """Mux packets of one segment, moved by `shift` ticks."""
        if not packets:
            return
        self.last_dts_s = (_dts(packets[-1]) + shift) * _base(packets[-1])
        self.count += len(packets)
        stream, mux = self.stream, output.mux_one
        for packet in packets:
            packet.pts, packet.dts = _pts(packet) + shift, _dts(packet) + shift
            packet.stream = stream
            mux(packet)


class _ClipWriter:
    """Appends segments to an open container and keeps the running positions."""

    def __init__(self, output: OutputContainer, sources: Sequence[ClipSource]) -> None:
        self._output = output
        # A run may begin without sound, so the parameters come from a segment that has some.
        self._sound_donor = next((source for source in sources if source.segment.audio_packet_count), None)
        self._video: _Lane | None = None
        self._audio: _Lane | None = None
        self._chain: SourceChain | None = None
        self._zero_s = Fraction(0)  # clip time at which the first segment of the chain (uncut) begins
        self._end_s = Fraction(0)  # clip time at which the pictures so far end
        self._at_s = Fraction(0)  # clip time at which the newest segment (uncut) begins
        self._media_s = Fraction(0)  # how long it is by its own time stamps
        self._start_us = self._end_us = 0
        self._keyframe_count = 0
        self._codec = ""
        self.pieces: list[tuple[Segment, int]] = []

    def append(self, source: ClipSource, chain: SourceChain) -> None:
        """Copy what is wanted of one segment."""
        starts_chain, self._chain = chain is not self._chain, chain
        with opened(source) as container:
            video, audio = _read_all(container, source)
            if self._video is None:
                self._begin(container.streams.video[0])
            self._write(source.segment, video, audio, starts_chain=starts_chain)

    def result(self) -> MuxedClip:
        """What was written."""
        assert self._video is not None
        parameters = self._video.stream.codec_context
        assert isinstance(parameters, av.VideoCodecContext)
        return MuxedClip(
            pieces=tuple(self.pieces),
            video_packet_count=self._video.count,
            keyframe_count=self._keyframe_count,
            audio_packet_count=self._audio.count if self._audio is not None else 0,
            start_us=self._start_us,
            end_us=self._end_us,
            duration_us=int(self._end_s * US_PER_S),
            video_codec=self._codec,
            width_px=parameters.width,
            height_px=parameters.height,
        )

    def _begin(self, video: VideoStream) -> None:
        self._video = self._lane(video)
        self._codec = video.codec_context.name  # the output's own name would be that of an encoder
        if self._sound_donor is not None:
            with opened(self._sound_donor) as donor:
                if not donor.streams.audio:
                    raise UnusableSegmentError(
                        self._sound_donor.segment, GapReason.CORRUPT_SEGMENT, "its sound is missing"
                    )
                self._audio = self._lane(donor.streams.audio[0])

    def _lane(self, template: VideoStream | AudioStream) -> _Lane:
        stream = self._output.add_stream_from_template(template)
        stream.time_base = template.time_base
        return _Lane(stream)

    def _write(
        self, segment: Segment, video: list[Packet[Any]], audio: list[Packet[Any]], *, starts_chain: bool
    ) -> None:
        assert self._video is not None
        assert self._chain is not None
        base, zero = _base(video[0]), _pts(video[0])  # `zero` is shown at segment.start_us
        ends_chain = segment is self._chain.sources[-1].segment
        kept = self._kept(segment, video, starts_chain=starts_chain, ends_chain=ends_chain)
        first, end = _pts(kept[0]), max(_pts(packet) + (packet.duration or 0) for packet in kept)
        if starts_chain:
            self._zero_s = self._end_s - (first - zero) * base
            if not self.pieces:
                self._start_us = segment.start_us + media_to_us(first - zero, base)
                self._output.metadata["creation_time"] = format_rfc3339(self._start_us)
            self._at_s = self._zero_s
        else:
            self._at_s += self._step_s(segment)
        shift = round(self._at_s / base) - zero
        # At a border the next run may reorder deeper, or rounding may put two packets on one tick: all of it moves on.
        late = math.floor(self._video.last_dts_s / base) + 1 - (_dts(kept[0]) + shift)
        if late > 0:
            shift += late
            self._at_s += late * base
        self._media_s = (end - zero) * base
        self._video.write(self._output, kept, shift)
        self._end_s = max(self._end_s, (end + shift) * base)
        self._end_us = segment.start_us + media_to_us(end - zero, base)
        self._keyframe_count += sum(1 for packet in kept if packet.is_keyframe)
        self.pieces.append((segment, len(kept)))
        if self._audio is not None and audio:
            span = (first * base if starts_chain else None, end * base if ends_chain else None)
            self._write_sound(audio, span, shift * base)

    def _step_s(self, segment: Segment) -> Fraction:
        """From the beginning of the segment before to that of this one, in clip time.

        Wall time is slewed after the camera's clock, so within a run the camera's own time stamps are the smoother
        measure: nobody sees a millisecond too little every two seconds, but a player that counts pictures stumbles.
        """
        before, _ = self.pieces[-1]
        wall_s = Fraction(segment.start_us - before.start_us, US_PER_S)
        smooth = segment.run_id == before.run_id and abs(wall_s - self._media_s) <= wall_s * SLEW_MOST + _ROUNDING_S
        return self._media_s if smooth else wall_s

    def _kept(
        self, segment: Segment, video: list[Packet[Any]], *, starts_chain: bool, ends_chain: bool
    ) -> list[Packet[Any]]:
        assert self._chain is not None
        base, zero, wanted = _base(video[0]), _pts(video[0]), self._chain.wanted
        start = zero + Fraction(wanted.start_us - segment.start_us, US_PER_S) / base if starts_chain else None
        cut_short = ends_chain and wanted.end_us < segment.end_us
        end = zero + Fraction(wanted.end_us - segment.start_us, US_PER_S) / base if cut_short else None
        stamps = [(_pts(packet), packet.is_keyframe) for packet in video]
        return [video[i] for i in wanted_packets(stamps, start, end)]

    def _write_sound(
        self, audio: list[Packet[Any]], span_s: tuple[Fraction | None, Fraction | None], shift_s: Fraction
    ) -> None:
        """Sound of one segment; at the ends of a chain only what lies beside its pictures."""
        assert self._audio is not None
        base = _base(audio[0])
        shift = round(shift_s / base)
        # Where a segment border would play sound twice (its wall time was refined), the second one is left out.
        low = math.floor(self._audio.last_dts_s / base) + 1 - shift
        if span_s[0] is not None:
            low = max(low, math.ceil(span_s[0] / base))
        high = math.ceil(span_s[1] / base) if span_s[1] is not None else None
        kept = [packet for packet in audio if _dts(packet) >= low and (high is None or _pts(packet) < high)]
        self._audio.write(self._output, kept, shift)


def open_without_decoding(path: Path) -> InputContainer:
    """An MP4 file opened in under a millisecond; decoding it still works afterwards.

    Raises:
        OSError, av.FFmpegError: It cannot be opened.
    """
    return av.open(str(path), format="mp4", options=_NO_ANALYSIS)


@contextlib.contextmanager
def opened(source: ClipSource) -> Iterator[InputContainer]:
    """A segment's container, opened without decoding anything.

    Raises:
        UnusableSegmentError: It is no media file.
    """
    try:
        container = open_without_decoding(source.path)
    except FileNotFoundError:
        raise UnusableSegmentError(source.segment, GapReason.MISSING_SEGMENT, "the file is missing") from None
    except (av.FFmpegError, OSError) as error:
        raise UnusableSegmentError(source.segment, GapReason.CORRUPT_SEGMENT, "it cannot be opened") from error
    with container:
        yield container


def _read_all(container: InputContainer, source: ClipSource) -> tuple[list[Packet[Any]], list[Packet[Any]]]:
    """Video and sound packets in the order of the file, counted against the index."""
    segment = source.segment
    video: list[Packet[Any]] = []
    audio: list[Packet[Any]] = []
    try:
        streams = (*container.streams.video[:1], *container.streams.audio[:1])
        pictures = streams[0].index if streams else None
        for packet in container.demux(streams):
            if packet.size:  # an empty one is the demuxer's own mark of the end
                (video if packet.stream_index == pictures else audio).append(packet)
    except (av.FFmpegError, OSError) as error:
        raise UnusableSegmentError(segment, GapReason.CORRUPT_SEGMENT, "it cannot be read") from error
    found, recorded = (len(video), len(audio)), (segment.video_packet_count, segment.audio_packet_count)
    if found != recorded:
        what = f"it holds {found[0]} + {found[1]} packets, recorded were {recorded[0]} + {recorded[1]}"
        raise UnusableSegmentError(segment, GapReason.CORRUPT_SEGMENT, what)
    if any(packet.pts is None or packet.dts is None for packet in (*video, *audio)):
        raise UnusableSegmentError(segment, GapReason.CORRUPT_SEGMENT, "a packet has no time")
    if not video or not video[0].is_keyframe:
        raise UnusableSegmentError(segment, GapReason.CORRUPT_SEGMENT, "it does not begin with a keyframe")
    return video, audio


def _pts(packet: Packet[Any]) -> int:
    return packet.pts or 0  # never None after `_read_all`


def _dts(packet: Packet[Any]) -> int:
    return packet.dts or 0


def _base(packet: Packet[Any]) -> Fraction:
    return Fraction(packet.time_base)
