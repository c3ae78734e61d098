"""Which detection continues which track: similarity matrices and their best one-to-one assignment.

Pure functions on (N, 4) and (M, 4) boxes in pixels; similarities are 0 (impossible) to 1.
"""

from __future__ import annotations

import lap
import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

# A person does not halve or double in height between two looks; what does is somebody else, or half of somebody.
_MIN_SIZE_RATIO = 0.5


def iou(boxes_a: Float64Array, boxes_b: Float64Array) -> Float64Array:
    """Intersection over union, (N, M).

    >>> iou(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 0.0, 3.0, 2.0]])).round(3).tolist()
    [[0.333]]
    """
    low = np.maximum(boxes_a[:, None, :2], boxes_b[None, :, :2])
    high = np.minimum(boxes_a[:, None, 2:], boxes_b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    union = _areas(boxes_a)[:, None] + _areas(boxes_b)[None, :] - shared
    overlap: Float64Array = shared / np.maximum(union, 1e-9)
    return overlap


def nearness(boxes_a: Float64Array, boxes_b: Float64Array, reach: Float64Array) -> Float64Array:
    """How near centres are, 1 at the same place and 0 at `reach` or beyond, (N, M).

    Args:
        boxes_a: (N, 4) where tracks are believed to be.
        boxes_b: (M, 4) detections.
        reach: (N,) how far from there each track may be, pixels.

    Pairs whose larger sides differ more than twofold are 0.
    """
    size_a, size_b = boxes_a[:, 2:] - boxes_a[:, :2], boxes_b[:, 2:] - boxes_b[:, :2]
    centre_a, centre_b = boxes_a[:, :2] + size_a / 2, boxes_b[:, :2] + size_b / 2
    distance = np.linalg.norm(centre_a[:, None] - centre_b[None], axis=2)
    near = np.clip(1 - distance / np.maximum(reach, 1e-9)[:, None], 0, 1)
    # The larger side alone: the smaller one of somebody who comes out from behind something is still cut off.
    side_a, side_b = size_a.max(axis=1)[:, None], size_b.max(axis=1)[None]
    ratio = np.minimum(side_a, side_b) / np.maximum(np.maximum(side_a, side_b), 1e-9)
    return np.where(ratio >= _MIN_SIZE_RATIO, near, 0.0)


def assign(similarity: Float64Array, minimum: float) -> list[tuple[int, int]]:
    """The one-to-one pairs of the greatest total similarity, each at least `minimum`; (row, column), by row.

    Source: Jonker and Volgenant (1987), as built in lapx.

    >>> assign(np.array([[0.9, 0.8], [0.8, 0.1]]), 0.2)
    [(0, 1), (1, 0)]
    """
    if similarity.size == 0:
        return []
    _, columns, _ = lap.lapjv(1.0 - similarity, extend_cost=True, cost_limit=1.0 - minimum)
    return [
        (row, int(column))
        for row, column in enumerate(columns)
        if column >= 0 and similarity[row, int(column)] >= minimum
    ]


def _areas(boxes: Float64Array) -> Float64Array:
    areas: Float64Array = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    return areas
