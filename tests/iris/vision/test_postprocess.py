import numpy as np
import pytest

from iris.vision.postprocess import YoloHead
from iris.vision.preprocess import Letterbox

NAMES = ("person", "bicycle", "car")
PLACE = Letterbox((640, 360), (640, 384))  # 12 pixels of bar above


def head(*wanted: int, score_min: float = 0.25) -> YoloHead:
    return YoloHead(class_names=NAMES, wanted_ids=wanted, score_min=score_min)


def output(*columns: tuple[float, ...]) -> np.ndarray:
    """Columns of cx, cy, w, h, person, bicycle, car."""
    return np.array(columns, np.float32).reshape(-1, 7).T[None]


def test_head_gives_boxes_of_the_picture_best_first() -> None:
    found = head(0, 2).read(output((100, 112, 40, 80, 0.4, 0, 0), (300, 212, 20, 20, 0.1, 0, 0.8)), PLACE)
    assert found.class_ids.tolist() == [2, 0]
    assert found.scores == pytest.approx([0.8, 0.4])
    assert found.boxes_xyxy.tolist() == [[290, 190, 310, 210], [80, 60, 120, 140]]
    assert found.boxes_xyxy.dtype == np.float32
    assert found.class_ids.dtype == np.int32


def test_head_ignores_a_better_class_that_nobody_wants() -> None:
    found = head(0).read(output((100, 112, 40, 80, 0.5, 0.9, 0.9)), PLACE)
    assert found.class_ids.tolist() == [0]
    assert found.scores == pytest.approx([0.5])


@pytest.mark.parametrize(
    "column",
    [
        (100, 112, 40, 80, 0.2, 0, 0),  # too weak
        (100, 112, 40, 80, float("nan"), 0, 0),  # a NaN score
        (float("nan"), 112, 40, 80, 0.9, 0, 0),  # a NaN box
        (100, 112, 0, 80, 0.9, 0, 0),  # no width
        (100, 4, 40, 8, 0.9, 0, 0),  # wholly in the bar
    ],
)
def test_head_gives_an_empty_result_when_nothing_is_usable(column: tuple[float, ...]) -> None:
    found = head(0).read(output(column), PLACE)
    assert found.boxes_xyxy.shape == (0, 4)
    assert found.class_names == NAMES


def test_head_gives_an_empty_result_when_no_class_is_wanted() -> None:
    assert len(head().read(output((100, 112, 40, 80, 0.9, 0.9, 0.9)), PLACE)) == 0


def test_head_joins_two_boxes_of_one_person() -> None:
    found = head(0).read(output((100, 112, 40, 80, 0.7, 0, 0), (102, 112, 40, 80, 0.9, 0, 0)), PLACE)
    assert found.scores == pytest.approx([0.9])


@pytest.mark.parametrize("shape", [(1, 8, 10), (1, 10, 7), (7, 10), (2, 7, 10)])
def test_head_refuses_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected an output"):
        head(0).read(np.zeros(shape, np.float32), PLACE)
