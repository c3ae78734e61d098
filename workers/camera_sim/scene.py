"""Draws a generated scene: a still room, somebody who walks through it, and a barcode with the picture's number.

Pictures are drawn straight into the planes of yuv420p, so that nothing has to be converted. The barcode is faint (8
levels of luma) so that it does not count as motion. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from iris.domain.frame import UInt8Array

_CELL_PX = 8
_BIT_COUNT = 16
_DARK_LUMA = 124
_BRIGHT_LUMA = 132
# Two reference cells stand before the bits; the first one dark, the second one bright.
_BARCODE_WIDTH_PX = _CELL_PX * (_BIT_COUNT + 2)


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """What to draw and how to encode it.

    The scene repeats every `loop_s`; somebody is in view from `walk_at_s` for `walk_s` of it. `bit_rate_bps` None
    means constant quality. `noise_luma` adds sensor noise of that many levels, for realistic bit rates. `sound` is
    `none`, `aac` or `pcm_mulaw`: a tone that beeps for the first tenth of every second.
    """

    width_px: int = 640
    height_px: int = 360
    fps: int = 10
    loop_s: float = 40.0
    walk_at_s: float = 5.0
    walk_s: float = 10.0
    keyframe_interval_s: float = 1.0
    b_frame_count: int = 0
    bit_rate_bps: int | None = None
    noise_luma: int = 0
    codec: str = "h264"
    sound: str = "none"

    def __post_init__(self) -> None:
        if self.width_px < _BARCODE_WIDTH_PX or self.width_px % 2 or self.height_px % 2 or self.height_px < 64:
            raise ValueError(f"a scene is at least {_BARCODE_WIDTH_PX}x64 pixels, and both sizes are even")
        if self.codec not in ("h264", "hevc"):
            raise ValueError("the codec of a scene is h264 or hevc")
        if self.sound not in ("none", "aac", "pcm_mulaw"):
            raise ValueError("the sound of a scene is none, aac or pcm_mulaw")
        if not (0 < self.fps <= 120 and self.loop_s > 0 and self.picture_count <= 1 << _BIT_COUNT):
            raise ValueError("a scene has 1 to 120 pictures a second and at most 65,536 in its loop")

    @property
    def picture_count(self) -> int:
        """Pictures in one loop."""
        return round(self.loop_s * self.fps)


class ScenePainter:
    """Draws the pictures of one scene; returned arrays are new each time."""

    def __init__(self, spec: SceneSpec) -> None:
        self._spec = spec
        self._luma = _room(spec.width_px, spec.height_px)
        self._noise = [_noise(spec, seed) for seed in range(1, 5)] if spec.noise_luma else []

    def picture(self, number: int) -> UInt8Array:
        """Picture `number` of the loop as yuv420p planes in one array, (H * 3 / 2, W) uint8."""
        spec = self._spec
        luma = self._luma.copy()
        chroma = np.full((spec.height_px // 2, spec.width_px), 128, np.uint8)
        moment_s = number / spec.fps
        if spec.walk_at_s <= moment_s < spec.walk_at_s + spec.walk_s:
            _draw_walker(luma, (moment_s - spec.walk_at_s) / spec.walk_s, moment_s)
        if self._noise:
            noisy = luma.astype(np.int16) + self._noise[number % len(self._noise)]
            luma = np.clip(noisy, 16, 235).astype(np.uint8)
        _draw_barcode(luma, number)
        return np.concatenate([luma, chroma])


def read_barcode(luma: UInt8Array) -> int:
    """Number of a decoded picture in its loop.

    Args:
        luma: (H, W) uint8, the luma plane at the size it was drawn.
    """
    height = luma.shape[0]
    row = luma[height - _CELL_PX + 2 : height - 2, :_BARCODE_WIDTH_PX].astype(np.float32)
    cells = row.reshape(row.shape[0], _BIT_COUNT + 2, _CELL_PX)[:, :, 2:-2].mean(axis=(0, 2))
    threshold = (cells[0] + cells[1]) / 2
    return sum(1 << place for place, level in enumerate(cells[2:]) if level > threshold)


def _room(width_px: int, height_px: int) -> UInt8Array:
    rows = np.linspace(70, 110, height_px, dtype=np.float32)[:, None]
    columns = np.linspace(-10, 10, width_px, dtype=np.float32)[None, :]
    luma: UInt8Array = (rows + columns).astype(np.uint8)
    # A door, a window and a skirting board give the picture edges to look at.
    luma[height_px // 4 : height_px * 3 // 4, width_px // 10 : width_px // 5] = 60
    luma[height_px // 8 : height_px // 2, width_px * 3 // 5 : width_px * 4 // 5] = 150
    luma[height_px * 3 // 4 : height_px * 3 // 4 + 4] = 40
    return luma


def _noise(spec: SceneSpec, seed: int) -> NDArray[np.int16]:
    # A hash of the place, so that every run of the camera draws the same pictures.
    count = spec.width_px * spec.height_px
    values = (np.arange(count, dtype=np.uint64) + np.uint64(seed * count)) * np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(29)
    values *= np.uint64(0xBF58476D1CE4E5B9)
    levels = (values >> np.uint64(40)) % np.uint64(2 * spec.noise_luma + 1)
    return (levels.astype(np.int16) - spec.noise_luma).reshape(spec.height_px, spec.width_px)


def _draw_walker(luma: UInt8Array, progress: float, moment_s: float) -> None:
    """A bright figure of 3/5 of the picture's height that crosses from the left edge to the right one."""
    height, width = luma.shape
    tall = height * 3 // 5
    wide = tall // 3
    # Half of it is in view already at the first moment and still at the last one.
    centre = round(progress * width)
    top = height - tall - height // 16
    _box(luma, (centre - wide // 2, top + tall // 5, centre + wide // 2, top + tall * 3 // 5), 215)
    _box(luma, (centre - wide // 4, top, centre + wide // 4, top + tall // 5), 190)
    stride = round(np.sin(moment_s * 2 * np.pi) * wide / 4)
    for side in (-1, 1):
        leg = centre + side * (wide // 5) + side * stride // 2
        _box(luma, (leg - wide // 8, top + tall * 3 // 5, leg + wide // 8, top + tall), 200)


def _box(luma: UInt8Array, xyxy: tuple[int, int, int, int], level: int) -> None:
    left, top, right, bottom = (max(0, edge) for edge in xyxy)
    luma[top:bottom, left:right] = level


def _draw_barcode(luma: UInt8Array, number: int) -> None:
    bits = [False, True] + [bool(number >> place & 1) for place in range(_BIT_COUNT)]
    for place, bit in enumerate(bits):
        luma[-_CELL_PX:, place * _CELL_PX : (place + 1) * _CELL_PX] = _BRIGHT_LUMA if bit else _DARK_LUMA
