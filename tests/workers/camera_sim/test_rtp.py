"""Fragmentation, framing and time stamps, byte for byte."""

from __future__ import annotations

import struct

import pytest

from workers.camera_sim.film import MediaStream
from workers.camera_sim.nal import Mark, mark_nal, nal_type, read_mark, split_annex_b
from workers.camera_sim.rtp import RtpSender, aac_payload, h264_payloads, hevc_payloads, interleave

H264 = MediaStream("h264", 90_000)


def test_small_unit_travels_alone() -> None:
    assert list(h264_payloads(b"\x65abc")) == [b"\x65abc"]


def test_large_h264_unit_is_put_together_again_from_fragments() -> None:
    unit = b"\x65" + bytes(range(256)) * 20
    fragments = list(h264_payloads(unit))
    assert len(fragments) == 4
    assert {fragment[0] for fragment in fragments} == {0x7C}  # FU-A, with the NRI of 0x65
    assert [fragment[1] & 0xC0 for fragment in fragments] == [0x80, 0, 0, 0x40]  # start, end
    rebuilt = bytes((fragments[0][0] & 0xE0 | fragments[0][1] & 0x1F,)) + b"".join(f[2:] for f in fragments)
    assert rebuilt == unit


def test_large_hevc_unit_is_put_together_again_from_fragments() -> None:
    unit = b"\x26\x01" + bytes(range(256)) * 20
    fragments = list(hevc_payloads(unit))
    assert {nal_type("hevc", fragment) for fragment in fragments} == {49}
    rebuilt = bytes((fragments[0][0] & 0x81 | (fragments[0][2] & 0x3F) << 1, fragments[0][1]))
    assert rebuilt + b"".join(f[3:] for f in fragments) == unit


def test_aac_frame_gets_its_length_in_bits() -> None:
    assert aac_payload(b"12345") == b"\x00\x10" + struct.pack(">H", 5 << 3) + b"12345"


def test_sender_counts_and_marks_the_last_packet_of_a_picture() -> None:
    sender = RtpSender(H264, 96, ssrc=7)
    first, last = sender.packets((b"\x67sps", b"\x65idr"), rtp_time=2**32 + 5)
    assert struct.unpack(">BBHII", first[:12]) == (0x80, 96, 0, 5, 7)  # the time has wrapped
    assert struct.unpack(">BBHII", last[:12]) == (0x80, 0x80 | 96, 1, 5, 7)


def test_sender_report_ties_rtp_time_to_wall_time() -> None:
    report = RtpSender(H264, 96, ssrc=7).sender_report(wall_us=1_500_000, rtp_time=90_000)
    assert struct.unpack(">BBHIIIIII", report) == (0x80, 200, 6, 7, 2_208_988_801, 1 << 31, 90_000, 0, 0)


def test_interleaved_frame_names_channel_and_length() -> None:
    assert interleave(2, b"abc") == b"$\x02\x00\x03abc"


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_mark_survives_every_framing(codec: str) -> None:
    mark = Mark(2**40, 1_800_000_000_000_001)
    unit = mark_nal(codec, mark)
    assert read_mark(struct.pack(">I", len(unit)) + unit + b"\x00\x00\x00\x05slice") == mark
    assert b"\x00\x00" not in unit  # so that it needs no emulation prevention


def test_payload_without_mark_reads_as_none() -> None:
    assert read_mark(b"\x00" * 100) is None


def test_byte_stream_is_split_at_both_kinds_of_start_code() -> None:
    assert split_annex_b(b"\x00\x00\x00\x01\x67a\x00\x00\x01\x68b\x00\x00\x00\x01\x65c") == (
        b"\x67a",
        b"\x68b",
        b"\x65c",
    )
