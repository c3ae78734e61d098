"""Video packets of a film, or of a scene made for the test, as the ingest thread would hand them over."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from iris.base.timebase import media_to_us
from iris.domain.frame import UInt8Array
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from iris.pipeline.decode import TimedPacket

EPOCH_US = 1_700_000_000_000_000


def film_packets(source: Path | io.BytesIO) -> tuple[CodecParams, list[TimedPacket]]:
    """Parameters and packets of a file's video, its start at `EPOCH_US`."""
    with av.open(source if isinstance(source, io.BytesIO) else str(source), "r") as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        video = CodecParams(
            kind=MediaKind.VIDEO,
            codec=stream.codec_context.name,
            time_base=stream.time_base,
            extradata=stream.codec_context.extradata or b"",
            width_px=stream.width,
            height_px=stream.height,
        )
        packets = []
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None and packet.time_base is not None:
                encoded = EncodedPacket(
                    MediaKind.VIDEO, bytes(packet), packet.pts, packet.dts, packet.time_base, packet.is_keyframe
                )
                packets.append(TimedPacket(encoded, EPOCH_US + media_to_us(packet.pts, packet.time_base)))
    return video, packets


def scene_packets(
    draw: Callable[[float], UInt8Array], *, seconds: float, fps: int = 10, gop: int = 10, b_frames: int = 0
) -> tuple[CodecParams, list[TimedPacket]]:
    """H.264 of pictures drawn by time in seconds, (H, W, 3) uint8 RGB."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps)
        first = draw(0.0)
        stream.width, stream.height = first.shape[1], first.shape[0]
        stream.pix_fmt = "yuv420p"
        stream.gop_size, stream.max_b_frames = gop, b_frames
        stream.options = {"preset": "ultrafast", "bf": str(b_frames), "keyint_min": str(gop), "sc_threshold": "0"}
        for index in range(round(seconds * fps)):
            picture = av.VideoFrame.from_ndarray(draw(index / fps), format="rgb24")
            picture.pts, picture.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    file.seek(0)
    return film_packets(file)


def grey_with_box(box_xyxy: tuple[int, int, int, int] | None, size_px: tuple[int, int] = (320, 180)) -> UInt8Array:
    """A grey picture, with a bright box where one is asked for."""
    rgb = np.full((size_px[1], size_px[0], 3), 90, np.uint8)
    if box_xyxy is not None:
        x1, y1, x2, y2 = box_xyxy
        rgb[y1:y2, x1:x2] = 220
    return rgb
