"""CPU of the analysis against a naive loop, in one run: 1080p15, 5 detections a second, one thread each.

Both work on the same file as fast as they can, so only the ratio means something. Receiving, recording and the
process around them are not in it; the bench of whole processes is another one.
"""

import io
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from iris.domain.camera import DetectorBackend
from tests.assets import model
from tests.bench.figures import Figures
from tests.bench.scenes import BUSY, FPS, STILL, Scene, make_1080p
from tests.builders.film_packets import film_packets
from tests.iris.pipeline.test_analysis import Camera

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
SECONDS = 12


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


def analysis_cpu(path: Path) -> tuple[float, dict[str, int]]:
    """CPU per second of video of the analysis with the static int8 file, and what it did."""
    video, packets = film_packets(io.BytesIO(path.read_bytes()))
    camera = Camera(DetectorBackend.ONNX, model("yolov8n_static_640x384.onnx"))
    camera.analysis.handle([])
    begun = time.process_time()
    camera.play(video, packets)
    used = time.process_time() - begun
    return used / (len(packets) / FPS), camera.analysis.status().counters


@pytest.mark.parametrize(("scene", "most"), [(BUSY, 0.45), (STILL, 0.10)], ids=["busy", "still"])
def test_analysis_costs_a_part_of_the_naive_loop(scene: Scene, most: float, tmp_path: Path, figures: Figures) -> None:
    path = make_1080p(tmp_path / "1080p.mp4", scene, seconds=SECONDS)
    naive, (ours, counts) = naive_cpu(path), analysis_cpu(path)
    ratio = figures.add(
        f"analysis alone / naive loop, {scene.name}", ours / naive, "x", most=most, naive_cores=round(naive, 3),
        ours_cores=round(ours, 3), frames_decoded=counts["frames_decoded"], detector_calls=counts["detector_calls"],
    )  # fmt: skip
    assert ratio.value <= most
