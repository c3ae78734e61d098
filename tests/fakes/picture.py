"""A picture of one colour."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from iris.domain.frame import Frame, UInt8Array


class FakePicture:
    """Implements `iris.ports.Picture`; `shade` tells pictures apart."""

    def __init__(self, wall_us: int, shade: int = 90, size_px: tuple[int, int] = (1280, 720)) -> None:
        self.wall_us = wall_us
        self.size_px = size_px
        self._shade = shade

    def frame(self) -> Frame:
        return Frame(self.scaled_rgb(self.size_px), 0, Fraction(1, 90_000), self.wall_us)

    def scaled_rgb(self, size_px: tuple[int, int]) -> UInt8Array:
        return np.full((size_px[1], size_px[0], 3), self._shade, np.uint8)

    def luma(self, size_px: tuple[int, int]) -> UInt8Array:
        return np.full((size_px[1], size_px[0]), self._shade, np.uint8)
