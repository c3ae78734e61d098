"""Motion on the brightness plane: the gate before a detector, and the boxes of the backend `motion`.

Pure state machines over arrays; time comes in with each call, so a slower look at the scene forgets as fast as a
quick one. One instance per camera, one thread. Cost: gate 0.05 ms, boxes 0.5 ms a picture.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from iris.domain.frame import Float32Array, UInt8Array

GATE_SIZE_PX = (160, 90)
BOXES_SIZE_PX = (320, 180)

# Time in which the gate's background follows the scene: 0.05 of the difference per look at 5 looks a second.
# Source: performance notes of this project, section 4.4.
_GATE_MEMORY_US = 4_000_000
# Grey levels after a 3x3 mean: sensor noise of 12 levels becomes 4; a dark coat on a dark wall differs by 10.
_GATE_DIFFERENCE = 9
# A person 90 pixels high at 1080p covers 3 x 8 of the 160 x 90 picture.
_GATE_PIXELS = 10


class MotionGate:
    """Says whether a scene differs from what it lately was."""

    def __init__(self) -> None:
        self._background: Float32Array | None = None
        self._last_us = 0

    def moving(self, luma: UInt8Array, wall_us: int) -> bool:
        """Take a picture of brightness; true when something moved, and for the first picture.

        Args:
            luma: (90, 160) uint8.
            wall_us: When it was taken; an earlier time than before is compared and not learnt from.
        """
        smooth = cv2.blur(luma, (3, 3))
        if self._background is None or self._background.shape != luma.shape:
            self._background = smooth.astype(np.float32)
            self._last_us = wall_us
            return True
        difference = cv2.absdiff(smooth, cv2.convertScaleAbs(self._background))
        _, mask = cv2.threshold(difference, _GATE_DIFFERENCE, 255, cv2.THRESH_BINARY)
        weight = _weight(max(0, wall_us - self._last_us), _GATE_MEMORY_US)
        cv2.accumulateWeighted(smooth, self._background, weight)
        self._last_us = max(self._last_us, wall_us)
        return cv2.countNonZero(mask) >= _GATE_PIXELS


# What differs and stands still becomes part of the scene in this time; what is empty follows the light faster.
_STILL_MEMORY_US = 20_000_000
_EMPTY_MEMORY_US = 3_000_000
# What is left of a scene after somebody moved a chair, or stood long enough to be taken for furniture and went:
# it differs, and nothing stirs in it. Nobody stands so still that a second shows no change at all.
_STIR_MEMORY_US = 1_000_000
_STIR_PIXELS = 6
_DIFFERENCE = 16
# 0.3 % of the picture: a person of 24 x 8 pixels at 320 x 180.
_AREA_MIN_SHARE = 0.003
# More than that at once is the light, a moved camera or another film, not somebody walking.
_FLASH_SHARE = 0.6
_GROW = np.ones((9, 9), np.uint8)  # joins head, body and legs of one person
_SPECKS = np.ones((3, 3), np.uint8)


class MotionBoxes:
    """Boxes around what differs from the empty scene and stirs."""

    def __init__(self) -> None:
        self._scene: Float32Array | None = None
        self._lately: Float32Array | None = None

    def update(self, luma: UInt8Array, elapsed_us: int) -> Float32Array:
        """Take a picture of brightness.

        Args:
            luma: (H, W) uint8, about 320 x 180.
            elapsed_us: Time since the picture before.

        Returns:
            (N, 4) float32 `xyxy` in pixels of `luma`, largest first; none for the first picture and for a flash.
        """
        elapsed_us = max(0, elapsed_us)
        smooth = np.asarray(cv2.GaussianBlur(luma, (5, 5), 0), np.uint8)
        if self._scene is None or self._lately is None or self._scene.shape != luma.shape:
            return self._begin(smooth)
        differs = _differing(smooth, self._scene)
        if cv2.countNonZero(differs) > _FLASH_SHARE * differs.size:
            return self._begin(smooth)
        stirs = _differing(smooth, self._lately)
        cv2.accumulateWeighted(smooth, self._lately, _weight(elapsed_us, _STIR_MEMORY_US))
        boxes, somebody = _stirring_parts(np.asarray(cv2.dilate(differs, _GROW), np.uint8), stirs)
        cv2.accumulateWeighted(smooth, self._scene, _weight(elapsed_us, _STILL_MEMORY_US), somebody)
        cv2.accumulateWeighted(smooth, self._scene, _weight(elapsed_us, _EMPTY_MEMORY_US), cv2.bitwise_not(somebody))
        return boxes

    def _begin(self, smooth: UInt8Array) -> Float32Array:
        self._scene, self._lately = smooth.astype(np.float32), smooth.astype(np.float32)
        return np.zeros((0, 4), np.float32)


def _weight(elapsed_us: int, memory_us: int) -> float:
    return 1 - math.exp(-elapsed_us / memory_us)


def _differing(picture: UInt8Array, background: Float32Array) -> UInt8Array:
    """(H, W) mask, 255 where a picture differs, without single pixels."""
    difference = cv2.absdiff(picture, cv2.convertScaleAbs(background))
    _, mask = cv2.threshold(difference, _DIFFERENCE, 255, cv2.THRESH_BINARY)
    return np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, _SPECKS), np.uint8)


def _stirring_parts(mask: UInt8Array, stirs: UInt8Array) -> tuple[Float32Array, UInt8Array]:
    """The connected parts of a mask in which something stirs.

    Returns:
        (N, 4) boxes, largest first, without the margin that growing added; and the mask of those parts.
    """
    height, width = mask.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    stirring = np.bincount(labels[stirs > 0], minlength=count) >= _STIR_PIXELS
    stirring[0] = False  # label 0 is the rest of the picture
    margin = _GROW.shape[0] // 2
    found = []
    for index in np.flatnonzero(stirring):
        x, y, w, h = (int(stats[index, column]) for column in range(4))
        # At an edge of the picture growing was cut off, so nothing is taken back there.
        left, top = (x + margin if x > 0 else x), (y + margin if y > 0 else y)
        right = x + w - margin if x + w < width else x + w
        bottom = y + h - margin if y + h < height else y + h
        if (right - left) * (bottom - top) >= _AREA_MIN_SHARE * mask.size:
            found.append((left, top, right, bottom))
    found.sort(key=lambda box: (box[0] - box[2]) * (box[3] - box[1]))
    return np.array(found, np.float32).reshape(-1, 4), np.where(stirring[labels], 255, 0).astype(np.uint8)
