"""Detections of one frame, columnar, validated once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iris.domain.frame import Float32Array


@dataclass(frozen=True, slots=True)
class Detections:
    """What a detector saw in one frame.

    Attributes:
        boxes_xyxy: (N, 4) float32, pixels of the source frame, far edge exclusive.
        scores: (N,) float32 in 0..1.
        class_ids: (N,) int32, index into `class_names`.
        class_names: Names of the classes of this detector, index is the class id.
    """

    boxes_xyxy: Float32Array
    scores: Float32Array
    class_ids: NDArray[np.int32]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes_xyxy.shape != (n, 4) or self.class_ids.shape != (n,):
            raise ValueError(
                f"expected boxes ({n}, 4), scores ({n},), class ids ({n},); got {self.boxes_xyxy.shape}, "
                f"{self.scores.shape}, {self.class_ids.shape}"
            )

    def __len__(self) -> int:
        return len(self.scores)

    @staticmethod
    def empty(class_names: tuple[str, ...] = ()) -> Detections:
        """No detection at all, as (0, 4)."""
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int32), class_names)


@dataclass(frozen=True, slots=True)
class DetectorReport:
    """What looks at the frames now, as the log, /health and /api/system say it.

    Attributes:
        backend: onnx, cpu, motion or none: what runs, which may differ from what was asked for.
        device: cuda or cpu; empty for `none`.
        onnx_providers: Providers of the session as it reports them itself; empty without a session.
        sentence: What a person should know (a fallback, an unknown class, a failure); empty when all is as asked.
    """

    backend: str
    device: str = ""
    onnx_providers: tuple[str, ...] = ()
    sentence: str = ""
