"""Boxes as `xyxy` float32 pixels: intersection over union and non-maximum suppression. Pure numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from iris.domain.frame import Float32Array


def cxcywh_to_xyxy(boxes_cxcywh: Float32Array) -> Float32Array:
    """Corners of boxes given by centre and size.

    Args:
        boxes_cxcywh: (N, 4) float32 pixels.

    Returns:
        (N, 4) float32 pixels, far edge exclusive.

    >>> cxcywh_to_xyxy(np.array([[5, 5, 4, 2]], np.float32)).tolist()
    [[3.0, 4.0, 7.0, 6.0]]
    """
    half = boxes_cxcywh[:, 2:] * np.float32(0.5)
    return np.concatenate([boxes_cxcywh[:, :2] - half, boxes_cxcywh[:, :2] + half], axis=1)


def clip_boxes(boxes_xyxy: Float32Array, size_px: tuple[int, int]) -> Float32Array:
    """Boxes cut at the edges of a picture of (width, height); (N, 4) float32."""
    width, height = size_px
    limit = np.array([width, height, width, height], np.float32)
    return np.clip(boxes_xyxy, np.float32(0), limit).astype(np.float32, copy=False)


def box_areas(boxes_xyxy: Float32Array) -> Float32Array:
    """(N,) areas in square pixels; 0 for a reversed box."""
    sides = np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1], np.float32)


def iou_matrix(a_xyxy: Float32Array, b_xyxy: Float32Array) -> Float32Array:
    """Intersection over union of each of N boxes with each of M boxes.

    Returns:
        (N, M) float32 in 0..1; 0 where both are empty.

    >>> one = np.array([[0, 0, 2, 2]], np.float32)
    >>> iou_matrix(one, np.array([[1, 0, 3, 2], [0, 0, 2, 2], [5, 5, 6, 6]], np.float32)).round(3).tolist()
    [[0.3330000042915344, 1.0, 0.0]]
    """
    top_left = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    bottom_right = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    sides = np.maximum(bottom_right - top_left, 0)
    overlap = sides[..., 0] * sides[..., 1]
    union = box_areas(a_xyxy)[:, None] + box_areas(b_xyxy)[None, :] - overlap
    return np.asarray(np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0), np.float32)


def suppress(
    boxes_xyxy: Float32Array, scores: Float32Array, class_ids: NDArray[np.int32], *, iou_max: float, keep_max: int
) -> NDArray[np.intp]:
    """Greedy non-maximum suppression within each class.

    Args:
        boxes_xyxy: (N, 4) float32.
        scores: (N,) float32.
        class_ids: (N,) int32; boxes of different classes never suppress one another.
        iou_max: A box that overlaps a better one of its class by more goes.
        keep_max: At most so many are looked at, best first: the bound of the cost, N^2 in the worst case.

    Returns:
        (K,) indices of what stays, best first.
    """
    order = np.argsort(-scores, kind="stable")[:keep_max]
    overlap = iou_matrix(boxes_xyxy[order], boxes_xyxy[order])
    rivals = (overlap > iou_max) & (class_ids[order][:, None] == class_ids[order][None, :])
    alive = np.ones(len(order), np.bool_)
    for i in range(len(order)):
        if alive[i]:
            alive[i + 1 :] &= ~rivals[i, i + 1 :]
    return order[alive]
