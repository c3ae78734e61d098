"""Letterbox: where a picture goes inside a network's input, and the way back for boxes.

Pure. The picture comes already scaled to `fit_size` (the decoder scales while converting), so that filling the
tensor is one pass over the pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from iris.domain.frame import Float32Array, UInt8Array

# Grey of the bars that YOLO was trained with. Source: Ultralytics LetterBox, 114 of 255.
PAD_VALUE = 114


def fit_size(source_px: tuple[int, int], into_px: tuple[int, int]) -> tuple[int, int]:
    """Largest even (width, height) with the shape of `source_px` that fits into `into_px`.

    Even, since pictures with halved colour planes are scaled to it. Never enlarges beyond `into_px`.

    >>> fit_size((1920, 1080), (640, 384)), fit_size((480, 640), (640, 384)), fit_size((4000, 2), (640, 384))
    ((640, 360), (288, 384), (640, 2))
    """
    scale = min(into_px[0] / source_px[0], into_px[1] / source_px[1])
    width = min(into_px[0], max(2, 2 * round(source_px[0] * scale / 2)))
    height = min(into_px[1], max(2, 2 * round(source_px[1] * scale / 2)))
    return width, height


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A picture of `image_px` placed in the middle of an input of `input_px`, both (width, height).

    The picture is no larger than the input; bars of `PAD_VALUE` fill the rest.
    """

    image_px: tuple[int, int]
    input_px: tuple[int, int]

    def __post_init__(self) -> None:
        if self.image_px[0] > self.input_px[0] or self.image_px[1] > self.input_px[1]:
            raise ValueError(f"a picture of {self.image_px} does not fit into an input of {self.input_px}")

    @property
    def offset_px(self) -> tuple[int, int]:
        """(x, y) of the picture's corner inside the input."""
        return (self.input_px[0] - self.image_px[0]) // 2, (self.input_px[1] - self.image_px[1]) // 2

    def new_tensor(self) -> Float32Array:
        """(1, 3, H, W) float32 of the input size, all bar, in 0..1."""
        return np.full((1, 3, self.input_px[1], self.input_px[0]), PAD_VALUE / 255, np.float32)

    def fill(self, rgb: UInt8Array, tensor: Float32Array) -> None:
        """Write a (H, W, 3) uint8 picture into its place of `new_tensor()`, as RGB planes in 0..1."""
        x, y = self.offset_px
        width, height = self.image_px
        place = tensor[0, :, y : y + height, x : x + width]
        np.multiply(rgb.transpose(2, 0, 1), np.float32(1 / 255), out=place, casting="unsafe")

    def to_image(self, boxes_xyxy: Float32Array) -> Float32Array:
        """(N, 4) boxes of the input as boxes of the picture, cut at its edges."""
        x, y = self.offset_px
        moved = boxes_xyxy - np.array([x, y, x, y], np.float32)
        width, height = self.image_px
        return np.clip(moved, np.float32(0), np.array([width, height, width, height], np.float32))


def scale_boxes(boxes_xyxy: Float32Array, from_px: tuple[int, int], to_px: tuple[int, int]) -> Float32Array:
    """(N, 4) boxes of a picture of (width, height) `from_px` as boxes of the same picture at `to_px`.

    >>> scale_boxes(np.array([[0, 0, 320, 180]], np.float32), (640, 360), (1920, 1080)).tolist()
    [[0.0, 0.0, 960.0, 540.0]]
    """
    x, y = to_px[0] / from_px[0], to_px[1] / from_px[1]
    return np.asarray(boxes_xyxy * np.array([x, y, x, y], np.float32), np.float32)
