"""CPU of the analysis against a naive loop, in one run: 1080p15, 5 detections a second, one thread each.

Both work on the same file as fast as they can, so only the ratio means something. Receiving, recording and the
process around them are not in it; the bench of whole processes is another one.
"""

import io
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from iris.domain.camera import DetectorBackend
from tests.assets import film, model
from tests.builders.film_packets import film_packets
from tests.iris.pipeline.test_analysis import Camera

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
FPS, SECONDS = 15, 12


def make_1080p(path: Path, *, from_s: float, kbits: int, still: bool) -> None:
    """A part of the film at 1080p15 with sensor noise, keyframe every 2 s, no B frames."""
    generator = np.random.default_rng(1)  # noqa: TID251 - seeded, of the bench
    noise = [generator.integers(-4, 5, (1080, 1920), dtype=np.int16) for _ in range(6)]
    with av.open(str(film("one-by-one.mp4")), "r") as source, av.open(str(path), "w") as out:
        pictures = (frame for frame in source.decode(video=0) if (frame.time or 0) >= from_s)
        stream = out.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 1920, 1080, "yuv420p"
        stream.bit_rate, stream.gop_size, stream.max_b_frames = kbits * 1000, 2 * FPS, 0
        stream.options = {"preset": "ultrafast", "sc_threshold": "0", "maxrate": f"{kbits}k", "bufsize": f"{kbits}k"}
        current = next(pictures)
        for index in range(FPS * SECONDS):
            while not still and (current.time or 0) < from_s + index / FPS:
                current = next(pictures)
            planes = current.reformat(1920, 1080, "yuv420p").to_ndarray()
            planes[:1080] = np.clip(planes[:1080].astype(np.int16) + noise[index % 6], 0, 255).astype(np.uint8)
            picture = av.VideoFrame.from_ndarray(planes, "yuv420p")
            picture.pts, picture.time_base = index, Fraction(1, FPS)
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


def naive_cpu(path: Path) -> float:
    """CPU per second of video: full decode to BGR, motion on it, letterbox to 640x640 float32, dynamic int8."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(model("yolov8n_int8.onnx")), options, providers=["CPUExecutionProvider"])
    motion = cv2.createBackgroundSubtractorMOG2()
    capture = cv2.VideoCapture(str(path))
    begun, count = time.process_time(), 0
    while True:
        more, bgr = capture.read()
        if not more:
            break
        small = cv2.resize(bgr, (640, 360))
        motion.apply(small)
        boxed = np.full((640, 640, 3), 114, np.uint8)
        boxed[140:500] = small
        tensor = np.ascontiguousarray((boxed[..., ::-1].astype(np.float32) / 255).transpose(2, 0, 1))[None]
        if count % 3 == 0:
            session.run(None, {"images": tensor})
        count += 1
    return (time.process_time() - begun) / (count / FPS)


def analysis_cpu(path: Path) -> float:
    """CPU per second of video of the analysis with the static int8 file."""
    video, packets = film_packets(io.BytesIO(path.read_bytes()))
    camera = Camera(DetectorBackend.ONNX, model("yolov8n_static_640x384.onnx"))
    camera.analysis.handle([])
    begun = time.process_time()
    camera.play(video, packets)
    used = time.process_time() - begun
    print("   ", camera.analysis.status().counters)
    return used / (len(packets) / FPS)


@pytest.mark.parametrize(("scene", "from_s", "kbits", "most"), [("busy", 24, 4000, 0.45), ("still", 0, 1000, 0.10)])
def test_analysis_costs_a_part_of_the_naive_loop(
    scene: str, from_s: float, kbits: int, most: float, tmp_path: Path
) -> None:
    path = tmp_path / "1080p.mp4"
    make_1080p(path, from_s=from_s, kbits=kbits, still=scene == "still")
    naive, ours = naive_cpu(path), analysis_cpu(path)
    print(f"{scene}: {ours:.3f} of a core against {naive:.3f}, ratio {ours / naive:.2f} (limit {most})")
    assert ours / naive <= most
