"""RTP packets of one session: fragmentation, sequence numbers, sender reports, and their framing inside RTSP.

Pure, apart from the counters that each `RtpSender` keeps for its stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from workers.camera_sim.film import MediaStream

# Fits an Ethernet frame, as cameras do it, so that large pictures are fragmented here too.
_PAYLOAD_LIMIT_BYTES = 1400
_NTP_EPOCH_OFFSET_S = 2_208_988_800  # 1900 to 1970, RFC 5905 section 6


def interleave(channel: int, packet: bytes) -> bytes:
    """A packet in the frame that RTSP over TCP wants (RFC 2326 section 10.12)."""
    return struct.pack(">cBH", b"$", channel, len(packet)) + packet


def h264_payloads(unit: bytes) -> Iterator[bytes]:
    """One NAL unit as RTP payloads: alone, or in FU-A fragments (RFC 6184 section 5.8)."""
    if len(unit) <= _PAYLOAD_LIMIT_BYTES:
        yield unit
        return
    indicator = (unit[0] & 0xE0) | 28
    yield from _fragments(bytes((indicator,)), unit[0] & 0x1F, unit[1:])


def hevc_payloads(unit: bytes) -> Iterator[bytes]:
    """One NAL unit as RTP payloads: alone, or in fragmentation units (RFC 7798 section 4.4.3)."""
    if len(unit) <= _PAYLOAD_LIMIT_BYTES:
        yield unit
        return
    header = bytes(((unit[0] & 0x81) | (49 << 1), unit[1]))
    yield from _fragments(header, (unit[0] >> 1) & 0x3F, unit[2:])


def _fragments(header: bytes, unit_type: int, body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), _PAYLOAD_LIMIT_BYTES):
        first = 0x80 if start == 0 else 0
        last = 0x40 if start + _PAYLOAD_LIMIT_BYTES >= len(body) else 0
        yield header + bytes((first | last | unit_type,)) + body[start : start + _PAYLOAD_LIMIT_BYTES]


def aac_payload(frame: bytes) -> bytes:
    """One AAC frame with its header section, sizelength=13 and indexlength=3 (RFC 3640 section 3.3.6)."""
    return struct.pack(">HH", 16, len(frame) << 3) + frame


class RtpSender:
    """Makes the RTP packets of one media stream of one session."""

    def __init__(self, stream: MediaStream, payload_type: int, ssrc: int) -> None:
        self._stream = stream
        self._payload_type = payload_type
        self._ssrc = ssrc
        self.sequence = 0
        self._packet_count = 0
        self._payload_bytes = 0

    def packets(self, parts: tuple[bytes, ...], rtp_time: int) -> list[bytes]:
        """RTP packets of one access unit; the marker is set on the last one."""
        payloads = list(self._payloads(parts))
        return [
            self._packet(payload, rtp_time, is_last=place == len(payloads) - 1)
            for place, payload in enumerate(payloads)
        ]

    def sender_report(self, wall_us: int, rtp_time: int) -> bytes:
        """The RTCP report that ties `rtp_time` to wall time, so that sound and picture agree (RFC 3550, 6.4.1)."""
        seconds, rest_us = divmod(wall_us, 1_000_000)
        return struct.pack(
            ">BBHIIIIII",
            0x80,
            200,
            6,
            self._ssrc,
            (seconds + _NTP_EPOCH_OFFSET_S) & 0xFFFFFFFF,
            (rest_us << 32) // 1_000_000,
            rtp_time & 0xFFFFFFFF,
            self._packet_count & 0xFFFFFFFF,
            self._payload_bytes & 0xFFFFFFFF,
        )

    def _payloads(self, parts: tuple[bytes, ...]) -> Iterator[bytes]:
        for part in parts:
            if self._stream.codec == "h264":
                yield from h264_payloads(part)
            elif self._stream.codec == "hevc":
                yield from hevc_payloads(part)
            elif self._stream.codec == "aac":
                yield aac_payload(part)
            else:
                yield part

    def _packet(self, payload: bytes, rtp_time: int, *, is_last: bool) -> bytes:
        # Audio frames are whole in one packet; for mu-law the marker would mean a talk spurt (RFC 3551, 4.1).
        marker = 0x80 if is_last and self._stream.codec != "pcm_mulaw" else 0
        header = struct.pack(
            ">BBHII",
            0x80,
            marker | self._payload_type,
            self.sequence & 0xFFFF,
            rtp_time & 0xFFFFFFFF,
            self._ssrc,
        )
        self.sequence += 1
        self._packet_count += 1
        self._payload_bytes += len(payload)
        return header + payload
