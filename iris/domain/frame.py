"""Decoded pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Float32Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded picture.

    Attributes:
        rgb: (H, W, 3) uint8, RGB.
        pts: Presentation time in units of `time_base`.
        time_base: Seconds per tick.
        wall_us: The same moment as wall time, microseconds UTC.
    """

    rgb: UInt8Array = field(repr=False)
    pts: int
    time_base: Fraction
    wall_us: int

    def __post_init__(self) -> None:
        if self.rgb.ndim != 3 or self.rgb.shape[2] != 3 or self.rgb.dtype != np.uint8:
            raise ValueError(f"a frame is (H, W, 3) uint8, not {self.rgb.shape} {self.rgb.dtype}")
