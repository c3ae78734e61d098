"""A 20-second clip from 2-second segments against `cp` of the same bytes, in one run; checks and read-back apart.

The page cache is warm and nothing is synced, so that it is the copying that is compared, not the disk. The best of
the rounds counts: the two differ in how much they suffer from a busy machine. Sound adds three small packets to each
picture, of about 10 us each.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from iris.adapters.av_clip import ClipSource, SourceChain, mux_clip
from iris.adapters.av_clip_check import verify_clip
from iris.adapters.media_files import sha256_of
from iris.media.clip_plan import Span
from tests.bench.figures import Figures
from tests.builders.recorded_camera import RecordedCamera, make_film, read_packets

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
FPS, SECONDS, ROUNDS = 15, 20, 25


def quiet(step: str, done: int, total: int) -> None:
    """Nobody listens."""


def make_1080p(path: Path, *, sound: Path | None) -> None:
    """20 s of 1080p15 at 4 Mbit/s, a keyframe every second; with the sound of another film where one is given."""
    generator = np.random.default_rng(1)  # noqa: TID251 - seeded, of the bench
    noise = generator.integers(0, 40, (1080 * 3 // 2, 1920), dtype=np.uint8)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.bit_rate, stream.gop_size, stream.max_b_frames = 4_000_000, FPS, 0
        stream.options = {"preset": "ultrafast", "sc_threshold": "0", "maxrate": "4M", "bufsize": "4M"}
        source: Any = av.open(str(sound)) if sound is not None else None
        audio = out.add_stream_from_template(source.streams.audio[0]) if source is not None else None
        for index in range(FPS * SECONDS):
            picture = av.VideoFrame.from_ndarray(np.roll(noise, index * 31, axis=1) + 90, "yuv420p")
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
        if audio is not None:
            for packet in source.demux(source.streams.audio[0]):
                if packet.size:
                    packet.stream = audio
                    out.mux(packet)
            source.close()


@pytest.mark.parametrize(("with_sound", "bound"), [(False, 3.0), (True, 4.5)], ids=["pictures", "pictures and sound"])
def test_clip_costs_at_most_a_few_copies(tmp_path: Path, bound: float, figures: Figures, *, with_sound: bool) -> None:
    film = tmp_path / "film.mp4"
    make_1080p(film, sound=make_film(tmp_path / "s.mp4", seconds=SECONDS, sound=True) if with_sound else None)
    camera = RecordedCamera(tmp_path / "data")
    segments = camera.record(film, 0)
    camera.close()
    sources = tuple(ClipSource(segment, camera.path(segment)) for segment in segments)
    paths = [source.path for source in sources]
    joined, copy, clip = tmp_path / "joined", tmp_path / "copy", tmp_path / "clip.mp4"
    joined.write_bytes(b"".join(path.read_bytes() for path in paths))
    chains = [SourceChain(sources, Span(0, SECONDS * 1_000_000))]
    times_ms: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], object]) -> None:
        begun = time.perf_counter()
        work()
        times_ms.setdefault(name, []).append((time.perf_counter() - begun) * 1000)

    for number in range(ROUNDS):
        copy.unlink(missing_ok=True)
        clip.unlink(missing_ok=True)
        timed("copyfile", lambda: shutil.copyfile(joined, copy))
        copy.unlink()
        timed("cp", lambda: subprocess.run(["cp", joined, copy], check=True))
        timed("mux", lambda: mux_clip(chains, clip, quiet))
        timed("check segments", lambda: list(map(sha256_of, paths)))
        if number < 3:
            muxed = mux_clip(chains, clip, quiet)
            timed("read back", lambda: verify_clip(clip, muxed, quiet))  # noqa: B023 - called at once
    ratio = min(times_ms["mux"]) / min(times_ms["cp"])
    figures.add(
        f"20 s clip, {'pictures and sound' if with_sound else 'pictures'}: mux / cp", ratio, "x", most=bound,
        segments=len(segments), megabytes=round(joined.stat().st_size / 1e6, 1),
        **{f"{name}_ms": round(statistics.median(values), 1) for name, values in times_ms.items()},
    )  # fmt: skip
    assert len(read_packets(clip)) == sum(s.video_packet_count + s.audio_packet_count for s in segments)
    assert ratio <= bound
