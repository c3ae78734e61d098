"""A film in memory, cut into what RTP sends: access units with their times. Reads MP4 files; draws nothing.

Everything is kept as it was encoded, so that a camera costs no more than the copying of its packets.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.video.stream import VideoStream

from workers.camera_sim.nal import is_access_unit_delimiter, is_parameter_set, split_annex_b

VIDEO_CLOCK_HZ = 90_000
_TO_ANNEX_B = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
AUDIO_CODECS = frozenset({"aac", "pcm_mulaw"})


@dataclass(frozen=True, slots=True)
class MediaStream:
    """One media stream of a film; `config` is the AudioSpecificConfig of AAC, `parameter_sets` those of video."""

    codec: str
    clock_hz: int
    parameter_sets: tuple[bytes, ...] = ()
    config: bytes = b""
    channel_count: int = 1

    @property
    def is_video(self) -> bool:
        """Whether it carries pictures."""
        return self.codec in _TO_ANNEX_B


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One picture or one audio frame.

    `send_us` counts from the start of the film, `rtp_ticks` (presentation) likewise in the stream's clock; `number`
    is the place of a picture in display order. `parts` are NAL units, or the one audio frame.
    """

    stream_index: int
    send_us: int
    rtp_ticks: int
    parts: tuple[bytes, ...] = field(repr=False)
    is_keyframe: bool = True
    number: int = 0


@dataclass(frozen=True, slots=True)
class Film:
    """Media streams and their access units, by the time of sending."""

    streams: tuple[MediaStream, ...]
    units: tuple[AccessUnit, ...]
    duration_us: int

    @property
    def picture_count(self) -> int:
        """Pictures in one run of the film."""
        return sum(1 for unit in self.units if self.streams[unit.stream_index].is_video)


@dataclass(frozen=True, slots=True)
class RawPacket:
    """A packet as a demuxer or an encoder gives it; video payloads in Annex B."""

    pts: int
    dts: int
    time_base: Fraction
    payload: bytes = field(repr=False)
    is_keyframe: bool = True


def video_units(stream_index: int, codec: str, packets: list[RawPacket]) -> list[AccessUnit]:
    """Access units of a video stream; the first picture shown has time zero."""
    first_pts = min(packet.pts for packet in packets)
    first_dts = packets[0].dts
    rank = {pts: place for place, pts in enumerate(sorted(packet.pts for packet in packets))}
    units = []
    for packet in packets:
        seconds = (packet.pts - first_pts) * packet.time_base
        parts = tuple(u for u in split_annex_b(packet.payload) if not is_access_unit_delimiter(codec, u))
        units.append(
            AccessUnit(
                stream_index=stream_index,
                # A camera sends in decoding order, when the encoder lets the picture go.
                send_us=round((packet.dts - first_dts) * packet.time_base * 1_000_000),
                rtp_ticks=round(seconds * VIDEO_CLOCK_HZ),
                parts=parts,
                is_keyframe=packet.is_keyframe,
                number=rank[packet.pts],
            )
        )
    return units


def audio_units(stream_index: int, clock_hz: int, packets: list[RawPacket], start_s: Fraction) -> list[AccessUnit]:
    """Access units of a sound stream; `start_s` is the film's time zero in the packets' time."""
    units = []
    for packet in packets:
        seconds = packet.pts * packet.time_base - start_s
        if seconds < 0:
            continue
        units.append(AccessUnit(stream_index, round(seconds * 1_000_000), round(seconds * clock_hz), (packet.payload,)))
    return units


def parameter_sets_of(codec: str, units: list[AccessUnit]) -> tuple[bytes, ...]:
    """VPS, SPS and PPS that stand before the first keyframe."""
    return tuple(part for part in units[0].parts if is_parameter_set(codec, part))


def assemble(streams: list[MediaStream], units: list[AccessUnit], duration_us: int) -> Film:
    """A film from its streams; what is sent after its end is left out, so that it can be looped."""
    kept = [unit for unit in units if unit.send_us < duration_us]
    return Film(tuple(streams), tuple(sorted(kept, key=lambda unit: unit.send_us)), duration_us)


def read_film(path: Path) -> Film:
    """Read an MP4 (or any file FFmpeg demuxes) with H.264 or H.265, and AAC if there is sound.

    Raises:
        ValueError: There is no such video in it.
    """
    with av.open(str(path)) as container:
        video = next(iter(container.streams.video), None)
        if video is None or video.codec_context.name not in _TO_ANNEX_B:
            raise ValueError(f"{path.name} has no H.264 or H.265 video.")
        streams = [MediaStream(video.codec_context.name, VIDEO_CLOCK_HZ)]
        audio = next((s for s in container.streams.audio if s.codec_context.name == "aac"), None)
        if audio is not None:
            config = audio.codec_context.extradata or b""
            streams.append(MediaStream("aac", audio.sample_rate, (), config, audio.codec_context.channels))
        # Streams are read while the file is open: PyAV hands out rubbish afterwards.
        period_us = round(1_000_000 / _rate(video))
        pictures, sounds = _demux(container, video, audio)
    units = video_units(0, streams[0].codec, pictures)
    streams[0] = replace(streams[0], parameter_sets=parameter_sets_of(streams[0].codec, units))
    duration_us = max(round(unit.rtp_ticks * 1_000_000 / VIDEO_CLOCK_HZ) for unit in units) + period_us
    if audio is not None:
        # Media time of both streams starts with the first picture: they stay in sync.
        start_s = min(packet.pts for packet in pictures) * pictures[0].time_base
        units += audio_units(1, streams[1].clock_hz, sounds, start_s)
    return assemble(streams, units, duration_us)


def _rate(video: VideoStream) -> Fraction:
    return video.average_rate or video.guessed_rate or Fraction(25)


def _demux(
    container: av.container.InputContainer, video: VideoStream, audio: AudioStream | None
) -> tuple[list[RawPacket], list[RawPacket]]:
    to_annex_b = BitStreamFilterContext(_TO_ANNEX_B[video.codec_context.name], video)
    pictures: list[RawPacket] = []
    sounds: list[RawPacket] = []
    for packet in container.demux([video, audio] if audio is not None else [video]):
        if packet.dts is None or packet.pts is None:
            continue  # The empty packet that ends a stream.
        time_base = packet.time_base
        if packet.stream is not video:
            sounds.append(RawPacket(packet.pts, packet.dts, time_base, bytes(packet)))
            continue
        keyframe = packet.is_keyframe
        pts, dts = packet.pts, packet.dts
        payload = b"".join(bytes(filtered) for filtered in to_annex_b.filter(packet))
        pictures.append(RawPacket(pts, dts, time_base, payload, keyframe))
    return pictures, sounds
