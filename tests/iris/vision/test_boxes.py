import numpy as np
import pytest

from iris.vision.boxes import box_areas, clip_boxes, cxcywh_to_xyxy, iou_matrix, suppress

EMPTY = np.zeros((0, 4), np.float32)


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_every_box_function_keeps_shape_when_there_is_no_box() -> None:
    assert cxcywh_to_xyxy(EMPTY).shape == (0, 4)
    assert clip_boxes(EMPTY, (10, 10)).shape == (0, 4)
    assert box_areas(EMPTY).shape == (0,)
    assert iou_matrix(EMPTY, boxes((0, 0, 1, 1))).shape == (0, 1)
    assert iou_matrix(boxes((0, 0, 1, 1)), EMPTY).shape == (1, 0)
    kept = suppress(EMPTY, np.zeros(0, np.float32), np.zeros(0, np.int32), iou_max=0.5, keep_max=9)
    assert kept.shape == (0,)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 0, 10, 10), 1.0),  # itself
        ((5, 0, 15, 10), 1 / 3),  # half of each
        ((10, 0, 20, 10), 0.0),  # they touch: the far edge is exclusive
        ((2, 2, 4, 4), 0.04),  # inside
        ((8, 8, 3, 3), 0.0),  # reversed
    ],
)
def test_iou_is_exact_for_known_pairs(other: tuple[float, float, float, float], expected: float) -> None:
    assert iou_matrix(boxes((0, 0, 10, 10)), boxes(other))[0, 0] == pytest.approx(expected)


def test_clip_cuts_at_the_far_edge() -> None:
    assert clip_boxes(boxes((-5, 2, 30, 99)), (20, 10)).tolist() == [[0, 2, 20, 10]]


def test_suppress_drops_the_weaker_of_a_class_and_keeps_other_classes() -> None:
    overlapping = boxes((0, 0, 10, 10), (1, 0, 11, 10), (1, 0, 11, 10), (50, 50, 60, 60))
    scores = np.array([0.6, 0.9, 0.5, 0.7], np.float32)
    classes = np.array([0, 0, 1, 0], np.int32)
    assert suppress(overlapping, scores, classes, iou_max=0.45, keep_max=9).tolist() == [1, 3, 2]


def test_suppress_looks_at_the_best_only_when_there_are_more_than_the_bound() -> None:
    apart = boxes(*((20 * i, 0, 20 * i + 10, 10) for i in range(5)))
    scores = np.array([0.1, 0.5, 0.3, 0.9, 0.2], np.float32)
    assert suppress(apart, scores, np.zeros(5, np.int32), iou_max=0.45, keep_max=3).tolist() == [3, 1, 2]


def test_suppress_does_not_chain_when_a_suppressed_box_overlaps_a_third() -> None:
    # b overlaps a, c overlaps b and not a: c stays, since b is gone.
    chain = boxes((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10))
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    assert suppress(chain, scores, np.zeros(3, np.int32), iou_max=0.3, keep_max=9).tolist() == [0, 2]
