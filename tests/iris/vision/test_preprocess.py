import numpy as np
import pytest

from iris.vision.preprocess import PAD_VALUE, Letterbox, fit_size, scale_boxes


@pytest.mark.parametrize(
    ("source", "into", "expected"),
    [
        ((1920, 1080), (640, 384), (640, 360)),  # bars above and below
        ((768, 432), (640, 640), (640, 360)),
        ((480, 640), (640, 384), (288, 384)),  # a portrait camera: bars left and right
        ((320, 180), (640, 384), (640, 360)),  # a substream is enlarged
        ((4000, 2), (640, 384), (640, 2)),  # never less than two pixels
        ((641, 359), (320, 180), (320, 180)),  # rounding never exceeds the input
    ],
)
def test_fit_size_is_even_and_inside(source: tuple[int, int], into: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit_size(source, into) == expected


def test_letterbox_fills_the_middle_and_leaves_the_bars() -> None:
    box = Letterbox((4, 2), (4, 6))
    tensor = box.new_tensor()
    rgb = np.zeros((2, 4, 3), np.uint8)
    rgb[..., 0], rgb[..., 2] = 255, 51
    box.fill(rgb, tensor)
    assert tensor.shape == (1, 3, 6, 4)
    assert tensor[0, 0, 2:4] == pytest.approx(1.0)
    assert tensor[0, 1, 2:4] == pytest.approx(0.0)
    assert tensor[0, 2, 2:4] == pytest.approx(0.2)
    bars = np.concatenate([tensor[0, :, :2], tensor[0, :, 4:]])
    assert bars == pytest.approx(PAD_VALUE / 255)


def test_boxes_come_back_to_the_source_when_letterboxed_and_scaled() -> None:
    source, network = (1920, 1080), (640, 384)
    small = fit_size(source, network)
    box = Letterbox(small, network)
    original = np.array([[300, 150, 600, 1050]], np.float32)
    x, y = box.offset_px
    inside = scale_boxes(original, source, small) + np.array([x, y, x, y], np.float32)
    back = scale_boxes(box.to_image(inside), small, source)
    assert back == pytest.approx(original, abs=1e-3)


def test_boxes_are_cut_at_the_picture_when_they_reach_into_the_bars() -> None:
    box = Letterbox((640, 360), (640, 384))
    assert box.to_image(np.array([[-3, 0, 700, 384]], np.float32)).tolist() == [[0, 0, 640, 360]]


def test_boxes_keep_their_shape_when_there_is_none() -> None:
    empty = np.zeros((0, 4), np.float32)
    assert Letterbox((640, 360), (640, 384)).to_image(empty).shape == (0, 4)
    assert scale_boxes(empty, (640, 360), (1920, 1080)).shape == (0, 4)


def test_letterbox_refuses_a_picture_larger_than_the_input() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        Letterbox((642, 360), (640, 384))
