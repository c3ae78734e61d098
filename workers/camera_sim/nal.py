"""NAL units of H.264 and H.265: splitting, kinds, and the mark that numbers every frame.

A mark is an SEI message (`user_data_unregistered`) that the camera puts before each picture. It survives copying of
packets, so a test can tell from a recorded file alone which frames of the camera are there and when each was sent,
without decoding. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

# Identifies our SEI message; without zero bytes, so that it needs no emulation prevention.
_MARK_UUID = bytes.fromhex("a1b2c3d4e5f64718a9bacbdcedfe1f2e")
_MARK_DIGITS_COUNT = 20
# user_data_unregistered; source: ITU-T H.264 (08/2021) D.1.7 and H.265 (08/2021) D.2.7.
_SEI_USER_DATA = 5


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """What a mark says; sorted by number: the running number of a frame (display order) and when it was sent."""

    number: int
    sent_wall_us: int


def split_annex_b(data: bytes) -> tuple[bytes, ...]:
    r"""NAL units of a byte stream with start codes.

    >>> split_annex_b(bytes.fromhex('0000000167aa00000168bb'))
    (b'g\xaa', b'h\xbb')
    """
    units: list[bytes] = []
    start = data.find(b"\x00\x00\x01")
    while start >= 0:
        following = data.find(b"\x00\x00\x01", start + 3)
        unit = data[start + 3 : following if following >= 0 else len(data)]
        # A four-byte start code leaves one zero at the end of the unit before it; no NAL unit ends in zero.
        units.append(unit.rstrip(b"\x00"))
        start = following
    return tuple(unit for unit in units if unit)


def nal_type(codec: str, unit: bytes) -> int:
    """Type of a NAL unit of codec `h264` or `hevc`."""
    return unit[0] & 0x1F if codec == "h264" else (unit[0] >> 1) & 0x3F


def is_parameter_set(codec: str, unit: bytes) -> bool:
    """Whether the unit is a VPS, SPS or PPS."""
    return nal_type(codec, unit) in ((7, 8) if codec == "h264" else (32, 33, 34))


def is_access_unit_delimiter(codec: str, unit: bytes) -> bool:
    """Whether the unit is a delimiter, which RTP does not need."""
    return nal_type(codec, unit) == (9 if codec == "h264" else 35)


def mark_nal(codec: str, mark: Mark) -> bytes:
    """An SEI unit that carries `mark`."""
    text = f"{mark.number:0{_MARK_DIGITS_COUNT}d}{mark.sent_wall_us:0{_MARK_DIGITS_COUNT}d}".encode()
    body = _MARK_UUID + text
    header = b"\x06" if codec == "h264" else b"\x4e\x01"
    return header + bytes((_SEI_USER_DATA, len(body))) + body + b"\x80"


def read_mark(payload: bytes) -> Mark | None:
    """The mark inside the payload of one recorded video packet, whatever its framing.

    >>> read_mark(b'..' + mark_nal('h264', Mark(7, 1_000_000)))
    Mark(number=7, sent_wall_us=1000000)
    """
    at = payload.find(_MARK_UUID)
    if at < 0:
        return None
    text = payload[at + len(_MARK_UUID) :][: 2 * _MARK_DIGITS_COUNT]
    return Mark(int(text[:_MARK_DIGITS_COUNT]), int(text[_MARK_DIGITS_COUNT:]))
