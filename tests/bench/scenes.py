"""Films that the benches watch: 1080p15, a keyframe every 2 s, no B frames, with the noise of a sensor."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.assets import film

FPS = 15
WIDTH_PX, HEIGHT_PX = 1920, 1080
KEYFRAME_INTERVAL_S = 2


@dataclass(frozen=True, slots=True)
class Scene:
    """A part of `one-by-one.mp4` and how it is encoded; a still one shows its first picture only."""

    name: str
    from_s: float
    kbits: int
    still: bool = False


# People are in view from 22.5 s to 44.5 s, nobody before 6.5 s.
BUSY = Scene("busy", from_s=24, kbits=4000)
STILL = Scene("still", from_s=0, kbits=1000, still=True)


def make_1080p(path: Path, scene: Scene, *, seconds: int) -> Path:
    """Encode `seconds` of a scene; a multiple of the keyframe interval can be looped."""
    generator = np.random.default_rng(1)  # noqa: TID251 - seeded, of the bench
    noise = [generator.integers(-4, 5, (HEIGHT_PX, WIDTH_PX), dtype=np.int16) for _ in range(6)]
    rate = f"{scene.kbits}k"
    with av.open(str(film("one-by-one.mp4")), "r") as source, av.open(str(path), "w") as out:
        pictures = (frame for frame in source.decode(video=0) if (frame.time or 0) >= scene.from_s)
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        stream.bit_rate, stream.gop_size, stream.max_b_frames = scene.kbits * 1000, KEYFRAME_INTERVAL_S * FPS, 0
        stream.options = {"preset": "ultrafast", "sc_threshold": "0", "maxrate": rate, "bufsize": rate}
        current = next(pictures)
        for index in range(FPS * seconds):
            while not scene.still and (current.time or 0) < scene.from_s + index / FPS:
                current = next(pictures)
            planes = current.reformat(WIDTH_PX, HEIGHT_PX, "yuv420p").to_ndarray()
            luma = planes[:HEIGHT_PX].astype(np.int16) + noise[index % len(noise)]
            planes[:HEIGHT_PX] = np.clip(luma, 0, 255).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(planes, "yuv420p")
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    return path
