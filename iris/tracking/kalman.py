"""Constant-velocity filter of one box, in seconds rather than frames.

Owns the state of a box: centre, width and height in pixels and their speeds in pixels per second. Noise is the
same in kind for all four and grows with the size of the box, so they do not couple and the usual 8x8 covariance
falls apart into four 2x2 ones: a few additions instead of matrix algebra. Knows no ids and no association.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64Array = NDArray[np.float64]

# In heights of the box: a detector's box jitters by a few percent of its size (measured on standing people).
_MEASUREMENT_STD = 0.07
# A walking person (1.7 m tall) starts, stops and turns with about 1 m/s2; sizes change far more slowly.
_ACCELERATION_STD = np.array([0.5, 0.5, 0.1, 0.1])
# Before a second detection nothing is known of the speed; a running person covers about two heights a second.
_INITIAL_SPEED_STD = np.array([1.5, 1.0, 0.3, 0.3])
_MIN_SIZE_PX = 1.0


class BoxFilter:
    """State estimate of one box.

    Source: Kalman (1960) with the white-noise acceleration model of Bar-Shalom, Li and Kirubarajan, "Estimation
    with Applications to Tracking and Navigation", section 6.2.2, noise scaled by the height as in Wojke et al.
    (DeepSORT, 2017).
    """

    __slots__ = ("_p_pp", "_p_pv", "_p_vv", "_position", "_speed")

    def __init__(self, box_xyxy: Float64Array) -> None:
        self._position = _to_cxcywh(box_xyxy)
        self._speed = np.zeros(4)
        height = self._height()
        self._p_pp = np.full(4, (_MEASUREMENT_STD * height) ** 2)
        self._p_pv = np.zeros(4)
        self._p_vv = (_INITIAL_SPEED_STD * height) ** 2

    @property
    def box_xyxy(self) -> Float64Array:
        """(4,) float64, pixels: where the box is believed to be."""
        cx, cy = self._position[0], self._position[1]
        w, h = np.maximum(self._position[2:], _MIN_SIZE_PX)
        return np.array([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2])

    @property
    def speed(self) -> Float64Array:
        """(4,) float64: speeds of centre x, centre y, width and height in pixels per second."""
        return self._speed.copy()

    @property
    def position_std_px(self) -> float:
        """How unsure the centre is, along the less certain axis, pixels."""
        return float(np.sqrt(self._p_pp[:2].max()))

    def predict(self, dt_s: float) -> None:
        """Move on by `dt_s` seconds (0 or more)."""
        if dt_s <= 0:
            return
        noise = (_ACCELERATION_STD * self._height()) ** 2
        self._position = self._position + dt_s * self._speed
        # A size that shrinks on towards nothing while its object is hidden is noise, not knowledge.
        if (self._position[2:] < _MIN_SIZE_PX).any():
            self._position[2:] = np.maximum(self._position[2:], _MIN_SIZE_PX)
            self._speed[2:] = 0.0
        self._p_pp = self._p_pp + dt_s * (2 * self._p_pv + dt_s * self._p_vv) + noise * dt_s**3 / 3
        self._p_pv = self._p_pv + dt_s * self._p_vv + noise * dt_s**2 / 2
        self._p_vv = self._p_vv + noise * dt_s

    def update(self, box_xyxy: Float64Array) -> None:
        """Correct by a detected box, (4,) pixels."""
        measured = _to_cxcywh(box_xyxy)
        variance = self._p_pp + (_MEASUREMENT_STD * max(float(measured[3]), _MIN_SIZE_PX)) ** 2
        gain_p, gain_v = self._p_pp / variance, self._p_pv / variance
        surprise = measured - self._position
        self._position = self._position + gain_p * surprise
        self._speed = self._speed + gain_v * surprise
        self._p_vv = self._p_vv - gain_v * self._p_pv
        self._p_pv = (1 - gain_p) * self._p_pv
        self._p_pp = (1 - gain_p) * self._p_pp

    def _height(self) -> float:
        return max(float(self._position[3]), _MIN_SIZE_PX)


def _to_cxcywh(box_xyxy: Float64Array) -> Float64Array:
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1])
