"""The head of a YOLOv8 network as detections. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iris.domain.detection import Detections
from iris.domain.frame import Float32Array
from iris.vision.boxes import box_areas, cxcywh_to_xyxy, suppress
from iris.vision.preprocess import Letterbox

# Two people side by side overlap less; two boxes of one person overlap more. Source: Ultralytics' default is 0.7
# for mAP; 0.45 is the value of the YOLO papers and leaves the tracker fewer doubles.
DEFAULT_IOU_MAX = 0.45
_CANDIDATES_MAX = 300


@dataclass(frozen=True, slots=True)
class YoloHead:
    """How to read the output of one network.

    Attributes:
        class_names: All classes of the network, index is the class id.
        wanted_ids: The class ids of interest; the rest is cut away before any arithmetic (0.04 against 0.75 ms).
        score_min: Weaker detections are dropped.
        iou_max: Overlap from which the weaker box of a class goes.
    """

    class_names: tuple[str, ...]
    wanted_ids: tuple[int, ...]
    score_min: float
    iou_max: float = DEFAULT_IOU_MAX

    def read(self, output: Float32Array, placement: Letterbox) -> Detections:
        """Detections in pixels of the picture that `placement` put into the input.

        Args:
            output: (1, 4 + C, N) float32: centre x and y, width, height in input pixels, C class scores in 0..1.
            placement: The letterbox of this picture.

        Raises:
            ValueError: The output has another shape than the class names ask for.
        """
        if output.ndim != 3 or output.shape[:2] != (1, 4 + len(self.class_names)):
            raise ValueError(f"expected an output of (1, {4 + len(self.class_names)}, N), got {output.shape}")
        if not self.wanted_ids:
            return Detections.empty(self.class_names)
        rows = output[0]
        ids: NDArray[np.int32] = np.array(self.wanted_ids, np.int32)
        wanted = rows[4 + ids]
        best = wanted.argmax(axis=0)
        scores = np.take_along_axis(wanted, best[None, :], axis=0)[0]
        kept = np.flatnonzero(scores >= self.score_min)  # a NaN is not kept
        boxes = placement.to_image(cxcywh_to_xyxy(rows[:4, kept].T))
        scores, class_ids = scores[kept], ids[best[kept]]
        usable = np.isfinite(boxes).all(axis=1) & (box_areas(boxes) > 0)
        boxes, scores, class_ids = boxes[usable], scores[usable], class_ids[usable]
        chosen = suppress(boxes, scores, class_ids, iou_max=self.iou_max, keep_max=_CANDIDATES_MAX)
        return Detections(
            boxes[chosen].astype(np.float32), scores[chosen].astype(np.float32), class_ids[chosen], self.class_names
        )
