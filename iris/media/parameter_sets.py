"""Parameter sets of H.264 and H.265: found in a packet, and what they say about the pictures.

Pure. Works on Annex B (start codes), which is how RTSP packets and their descriptions come. Nothing here decodes a
picture: a run knows its size and its reordering before the first frame is decoded.
Source: ITU-T H.264 sections 7.3.1, 7.3.2.1, E.1.1; ITU-T H.265 sections 7.3.1, 7.3.2.2, 7.3.3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

_START = b"\x00\x00\x01"
_PREFIX = b"\x00\x00\x00\x01"
_H264_SPS, _H264_PPS, _H265_VPS, _H265_SPS, _H265_PPS = 7, 8, 32, 33, 34
_HIGH_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
# Baseline pictures come in the order of display: H.264 A.2.1 forbids B slices.
_BASELINE = 66


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """What a sequence parameter set says.

    `reorder_count` is how many pictures may come before one that is shown earlier; None where it does not say.
    """

    width_px: int
    height_px: int
    reorder_count: int | None


def in_band_parameter_sets(codec: str, payload: bytes) -> bytes:
    """The parameter sets that stand before the first slice of a packet, as Annex B; empty where there are none.

    Args:
        codec: `h264` or `hevc`.
        payload: One packet with start codes.
    """
    wanted = _wanted(codec)
    units: list[bytes] = []
    for kind, start, end in _units(codec, payload):
        if _is_slice(codec, kind):
            break
        if kind in wanted:
            unit = payload[start:end].rstrip(b"\x00")
            if unit not in units:
                units.append(unit)
    return b"".join(_PREFIX + unit for unit in units)


def normal_parameter_sets(codec: str, extradata: bytes) -> bytes:
    """Parameter sets of a stream's description in the form that `in_band_parameter_sets` gives."""
    return in_band_parameter_sets(codec, extradata)


def has_picture_parameters(codec: str, sets: bytes) -> bool:
    """Whether the sets are enough to decode: a sequence and a picture parameter set."""
    kinds = {kind for kind, _, _ in _units(codec, sets)}
    needed = {_H264_SPS, _H264_PPS} if codec == "h264" else {_H265_SPS, _H265_PPS}
    return needed <= kinds


def picture_format(codec: str, sets: bytes) -> PictureFormat | None:
    """Read the first sequence parameter set; None where there is none or it cannot be read."""
    for kind, start, end in _units(codec, sets):
        try:
            if codec == "h264" and kind == _H264_SPS:
                return _h264_format(_Bits(sets[start + 1 : end]))
            if codec == "hevc" and kind == _H265_SPS:
                return _h265_format(_Bits(sets[start + 2 : end]))
        except IndexError:  # cut off
            return None
    return None


def _wanted(codec: str) -> frozenset[int]:
    return frozenset({_H264_SPS, _H264_PPS} if codec == "h264" else {_H265_VPS, _H265_SPS, _H265_PPS})


def _is_slice(codec: str, kind: int) -> bool:
    return 1 <= kind <= 5 if codec == "h264" else kind < 32


def _units(codec: str, data: bytes) -> Iterator[tuple[int, int, int]]:
    """Each unit as (type, start, end); the last one's end is the packet's, found without a search of its slice."""
    position = data.find(_START)
    while position >= 0:
        start = position + 3
        if start >= len(data):
            return
        kind = data[start] & 0x1F if codec == "h264" else (data[start] >> 1) & 0x3F
        if _is_slice(codec, kind):
            yield kind, start, len(data)
            return
        position = data.find(_START, start)
        yield kind, start, len(data) if position < 0 else position


class _Bits:
    """Reads bits of one unit after its header, emulation prevention removed. Raises IndexError at the end."""

    def __init__(self, unit: bytes) -> None:
        self._data = unit.replace(b"\x00\x00\x03", b"\x00\x00")
        self._at = 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = value << 1 | self._data[self._at >> 3] >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def skip(self, count: int) -> None:
        self._at += count

    def unsigned(self) -> int:
        """ue(v)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise IndexError("no Exp-Golomb code is so long")
        return (1 << zeros) - 1 + self.take(zeros)

    def signed(self) -> int:
        """se(v)."""
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _h264_format(bits: _Bits) -> PictureFormat:
    profile = bits.take(8)
    bits.skip(16)  # constraint flags, level
    bits.unsigned()
    chroma = 1
    if profile in _HIGH_PROFILES:
        chroma = bits.unsigned()
        if chroma == 3:
            bits.skip(1)
        bits.unsigned()
        bits.unsigned()
        bits.skip(1)
        if bits.take(1):
            _skip_scaling_lists(bits, 8 if chroma != 3 else 12)
    bits.unsigned()  # log2_max_frame_num
    order_type = bits.unsigned()
    if order_type == 0:
        bits.unsigned()
    elif order_type == 1:
        bits.skip(1)
        bits.signed()
        bits.signed()
        for _ in range(bits.unsigned()):
            bits.signed()
    bits.unsigned()  # reference frames
    bits.skip(1)
    width_mbs = bits.unsigned() + 1
    height_units = bits.unsigned() + 1
    frames_only = bits.take(1)
    if not frames_only:
        bits.skip(1)
    bits.skip(1)
    crop = [bits.unsigned() for _ in range(4)] if bits.take(1) else [0, 0, 0, 0]
    step_x = 2 if chroma in (1, 2) else 1
    step_y = (2 if chroma == 1 else 1) * (2 - frames_only)
    width = width_mbs * 16 - (crop[0] + crop[1]) * step_x
    height = height_units * 16 * (2 - frames_only) - (crop[2] + crop[3]) * step_y
    # Order type 2 means that output order is decoding order (H.264 8.2.1.3).
    reorder = 0 if profile == _BASELINE or order_type == 2 else _h264_reorder(bits)
    return PictureFormat(width, height, reorder)


def _skip_scaling_lists(bits: _Bits, count: int) -> None:
    for index in range(count):
        if not bits.take(1):
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.signed()) % 256
            last = following or last


def _h264_reorder(bits: _Bits) -> int | None:
    """`max_num_reorder_frames` of the VUI, None where it is not given."""
    if not bits.take(1):
        return None
    if bits.take(1) and bits.take(8) == 255:  # aspect ratio, extended
        bits.skip(32)
    if bits.take(1):
        bits.skip(1)  # overscan
    if bits.take(1):
        bits.skip(4)
        if bits.take(1):
            bits.skip(24)
    if bits.take(1):
        bits.unsigned()
        bits.unsigned()
    if bits.take(1):
        bits.skip(65)  # timing
    hrd = [_skip_hrd(bits) for _ in range(2) if bits.take(1)]
    if hrd:
        bits.skip(1)
    bits.skip(1)
    if not bits.take(1):
        return None
    bits.skip(1)
    for _ in range(4):
        bits.unsigned()
    return bits.unsigned()


def _skip_hrd(bits: _Bits) -> bool:
    count = bits.unsigned() + 1
    bits.skip(8)
    for _ in range(count):
        bits.unsigned()
        bits.unsigned()
        bits.skip(1)
    bits.skip(20)
    return True


def _h265_format(bits: _Bits) -> PictureFormat:
    bits.skip(4)
    sub_layers = bits.take(3)
    bits.skip(1)
    bits.skip(88)  # general profile and constraints
    bits.skip(8)  # general level
    present = [(bits.take(1), bits.take(1)) for _ in range(sub_layers)]
    if sub_layers:
        bits.skip(2 * (8 - sub_layers))
    for profile, level in present:
        bits.skip(88 * profile + 8 * level)
    bits.unsigned()
    chroma = bits.unsigned()
    if chroma == 3:
        bits.skip(1)
    width, height = bits.unsigned(), bits.unsigned()
    if bits.take(1):
        left, right, top, bottom = (bits.unsigned() for _ in range(4))
        width -= (left + right) * (2 if chroma in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma == 1 else 1)
    bits.unsigned()
    bits.unsigned()
    bits.unsigned()
    each_layer = bits.take(1)
    reorder = 0
    for _ in range(sub_layers + 1 if each_layer else 1):
        bits.unsigned()
        reorder = max(reorder, bits.unsigned())
        bits.unsigned()
    return PictureFormat(width, height, reorder)
