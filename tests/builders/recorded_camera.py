"""Makes real footage on disk: an encoded film, cut into fragmented-MP4 segments with rows in the camera's file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from iris.adapters.av_segments import MuxTemplates, SegmentFile, read_contents
from iris.base.ids import CameraId, RunId
from iris.base.timebase import media_to_us
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from iris.domain.segment import Gap, Segment
from iris.media.parameter_sets import in_band_parameter_sets
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.reader import CameraDbReader

FPS = 15
GOP_FRAMES = 15
RATE_HZ = 48_000


def make_film(
    path: Path, *, seconds: int = 12, size_px: tuple[int, int] = (160, 120), b_frames: int = 0, sound: bool = False
) -> Path:
    """An MP4 film with a keyframe every second; every picture differs from the last."""
    width_px, height_px = size_px
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream(
            "libx264",
            rate=FPS,
            options={"bf": str(b_frames), "g": str(GOP_FRAMES), "sc_threshold": "0", "b_strategy": "0", "threads": "1"},
        )
        video.width, video.height, video.pix_fmt = width_px, height_px, "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono") if sound else None
        for number in range(seconds * FPS):
            rgb = np.full((height_px, width_px, 3), 40, np.uint8)
            for bit in range(10):  # its number in black and white, so that no two packets are equal
                rgb[20:60, bit * 16 : bit * 16 + 16] = 235 if number >> bit & 1 else 16
            rgb[60:, (number * 5) % (width_px - 40) :][:, :40] = (number * 7) % 200 + 50
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio is not None:
            for number in range(seconds * RATE_HZ // 1024):
                at = (np.arange(1024) + number * 1024) / RATE_HZ
                tone = (np.sin(2 * np.pi * (300 + number) * at) * 0.3).astype(np.float32).reshape(1, -1)
                sound_frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                sound_frame.sample_rate, sound_frame.pts = RATE_HZ, number * 1024
                container.mux(audio.encode(sound_frame))
            container.mux(audio.encode(None))
    return path


@dataclass(frozen=True)
class Packet:
    """One packet of a media file: when it is shown (microseconds since the first picture) and what it holds.

    Of H.264 `payload` is the picture alone: parameter sets and messages may be repeated on the way.
    """

    kind: str
    shown_us: int
    payload: bytes
    is_keyframe: bool


def _packets(container: Any) -> list[Any]:
    return [packet for packet in container.demux() if packet.size and packet.stream.type in ("video", "audio")]


def read_packets(path: Path) -> list[Packet]:
    """All packets of a media file in its order."""
    with av.open(str(path)) as container:
        packets = _packets(container)
        zero = min(p.pts * p.time_base for p in packets if p.stream.type == "video")
        return [
            Packet(
                p.stream.type,
                round((p.pts * p.time_base - zero) * 1_000_000),
                _slices(bytes(p)) if p.stream.type == "video" else bytes(p),
                p.is_keyframe,
            )
            for p in packets
        ]


def _slices(data: bytes) -> bytes:
    """The coded slices (NAL unit types 1 and 5) of an H.264 packet with four-byte lengths."""
    slices = b""
    while data:
        length = int.from_bytes(data[:4], "big")
        unit, data = data[4 : 4 + length], data[4 + length :]
        slices += unit if unit[0] & 0x1F in (1, 5) else b""
    return slices


def _as_sent(film: Path) -> tuple[CodecParams, CodecParams | None, list[EncodedPacket]]:
    """A film as a camera sends it: H.264 as Annex B, pictures and sound in the order of decoding."""
    with av.open(str(film)) as container:
        video = container.streams.video[0]
        filtered = av.BitStreamFilterContext("h264_mp4toannexb", video)
        packets = []
        for packet in _packets(container):
            kind = MediaKind(packet.stream.type)
            base, duration = Fraction(packet.time_base), packet.duration
            for part in filtered.filter(packet) if kind is MediaKind.VIDEO else [packet]:
                packets.append(  # noqa: PERF401 - a comprehension over two loops reads worse
                    EncodedPacket(kind, bytes(part), part.pts, part.dts, base, part.is_keyframe, duration)
                )
        first = next(packet for packet in packets if packet.kind is MediaKind.VIDEO)
        sets = in_band_parameter_sets("h264", first.payload)
        base = Fraction(video.time_base or 1)
        sent = CodecParams(MediaKind.VIDEO, "h264", base, sets, video.width, video.height)
        if not container.streams.audio:
            return sent, None, _in_order(packets)
        audio: Any = container.streams.audio[0]
        sound = CodecParams(
            MediaKind.AUDIO, "aac", Fraction(1, audio.rate), audio.codec_context.extradata,
            sample_rate_hz=audio.rate, channel_count=audio.channels,
        )  # fmt: skip
        return sent, sound, _in_order(packets)


def _in_order(packets: list[EncodedPacket]) -> list[EncodedPacket]:
    return sorted(packets, key=lambda packet: (packet.dts or 0) * packet.time_base)


class RecordedCamera:
    """A camera's files in a data directory, written the way the camera process does."""

    def __init__(self, data_dir: Path, camera_id: str = "01890000-0000-7000-8000-00000000000c") -> None:
        self.data_dir = data_dir
        self.camera_id = CameraId(camera_id)
        self.segments: list[Segment] = []
        self._db = CameraDb(camera_db_path(data_dir, camera_id))
        self.reader = CameraDbReader(data_dir)

    def close(self) -> None:
        self.reader.close()
        self._db.close()

    def path(self, segment: Segment) -> Path:
        return self.data_dir / segment.path

    def record(
        self, film: Path, start_us: int, *, run: str = "run-1", params: str = "p", seconds: float = 2.0
    ) -> list[Segment]:
        """Cut a film into segments of whole GOPs, the first picture at `start_us`; returns them."""
        with self._db.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, 'h264', 160, 120, '')", (run, start_us, params)
            )
        video, audio, packets = _as_sent(film)
        first = next(packet for packet in packets if packet.kind is MediaKind.VIDEO)
        templates = MuxTemplates(video, audio)
        try:
            return [self._write(part, templates, first, (start_us, run, params)) for part in _parts(packets, seconds)]
        finally:
            templates.close()

    def add_gap(self, gap: Gap) -> None:
        with self._db.transaction() as connection:
            connection.execute(
                "INSERT INTO gaps (start_us, end_us, reason) VALUES (?, ?, ?)", (gap.start_us, gap.end_us, gap.reason)
            )

    def _write(
        self, part: list[EncodedPacket], templates: MuxTemplates, first: EncodedPacket, of_run: tuple[int, str, str]
    ) -> Segment:
        run_start_us, run, params = of_run
        video = [packet for packet in part if packet.kind is MediaKind.VIDEO]
        start_us = run_start_us + media_to_us(_pts(video[0]) - _pts(first), first.time_base)
        name = f"segments/{self.camera_id}/seg_{start_us}.mp4"
        path = self.data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        file = SegmentFile(path, templates)
        for packet in part:
            file.write(packet)
        file.close()
        held = read_contents(path)
        end_us, max_gop_us = start_us + held.media_us, held.max_gop_us
        counts = (held.video_packet_count, held.audio_packet_count)
        data = path.read_bytes()
        with self._db.transaction() as connection:
            row = (run, name, start_us - run_start_us, start_us, end_us, len(data), *counts)
            cursor = connection.execute(
                "INSERT INTO segments (run_id, state, path, run_offset_us, start_us, end_us, size_bytes,"
                " video_packet_count, audio_packet_count, sha256, max_gop_us)"
                " VALUES (?, 'durable', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, hashlib.sha256(data).hexdigest(), max_gop_us),
            )
            number = cursor.lastrowid or 0
        segment = Segment(
            number, self.camera_id, RunId(run), name, start_us, end_us, len(data), *counts,
            hashlib.sha256(data).hexdigest(), params, max_gop_us,
        )  # fmt: skip
        self.segments.append(segment)
        return segment


def _pts(packet: EncodedPacket) -> int:
    assert packet.pts is not None
    return packet.pts


def _parts(packets: list[EncodedPacket], seconds: float) -> list[list[EncodedPacket]]:
    """Packets cut at the first keyframe after each `seconds`; sound from before the first one is dropped."""
    parts: list[list[EncodedPacket]] = []
    begun_s = Fraction(0)
    for packet in packets:
        if packet.kind is MediaKind.VIDEO and packet.is_keyframe:
            at_s = _pts(packet) * packet.time_base
            if not parts or at_s - begun_s >= Fraction(seconds):
                parts.append([])
                begun_s = at_s
        if parts:
            parts[-1].append(packet)
    return parts
