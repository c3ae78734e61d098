"""What the network sees in the films whose contents are known; kept between runs, as it costs 20 s."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from iris.domain.detection import Detections
from tests.assets import film, model
from tests.builders.tracking_scenes import PERSON

MODEL = "yolov8n_static_640x384.onnx"
LOOKS_PER_S = 5.0
# film: (from, to in seconds, people in view)
PRESENCES: dict[str, tuple[tuple[float, float, int], ...]] = {
    "one-by-one.mp4": (
        (6.5, 19.5, 1),
        (22.5, 44.5, 1),
        (50.5, 69.5, 1),
        (74.5, 86.5, 1),
        (92.5, 119.5, 1),
        (123.5, 135.5, 1),
    ),
    "two-faces.mp4": ((4.0, 24.0, 2),),
    "three-faces.mp4": ((4.0, 24.0, 3),),
}
Look = tuple[int, Detections]  # microseconds since the film's start, what is seen


def detections_of(name: str) -> list[Look]:
    """Five looks a second."""
    path, weights = film(name), model(MODEL)
    key = hashlib.sha256(f"{path.stat()[6:9]} {weights.stat()[6:9]} {LOOKS_PER_S} {name} 3".encode()).hexdigest()[:16]
    cache = Path(tempfile.gettempdir()) / f"iris-test-detections-{key}.npz"
    if not cache.is_file():
        looks = list(_detect(path, weights, name))
        rows = [
            (wall_us, *box, score)
            for wall_us, found in looks
            for box, score in zip(found.boxes_xyxy.tolist(), found.scores.tolist(), strict=True)
        ]
        temporary = cache.with_suffix(".part.npz")
        np.savez(temporary, times=np.array([wall_us for wall_us, _ in looks]), rows=np.array(rows).reshape(-1, 6))
        temporary.replace(cache)
    with np.load(cache) as kept:
        times, rows_array = kept["times"], kept["rows"]
    return [(int(at), _as_detections(rows_array[rows_array[:, 0] == at])) for at in times]


def _as_detections(rows: np.ndarray[Any, Any]) -> Detections:
    return Detections(
        rows[:, 1:5].astype(np.float32), rows[:, 5].astype(np.float32), np.zeros(len(rows), np.int32), PERSON
    )


def _detect(path: Path, weights: Path, name: str) -> Iterator[Look]:
    from iris.adapters.detector import YoloDetector
    from iris.adapters.onnx import OnnxSession

    detector = YoloDetector(OnnxSession(weights, device="cpu"), PERSON)
    next_s = 0.0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            at_s = float(frame.time or 0.0)
            if at_s < next_s:
                continue
            next_s = at_s + 1 / LOOKS_PER_S - 0.001
            yield (
                round(at_s * 1_000_000),
                detector.detect(frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)),
            )
