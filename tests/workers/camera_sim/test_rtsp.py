"""Requests, answers and passwords."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest

from workers.camera_sim.faults import ScriptedFault, parse_fault
from workers.camera_sim.rtsp import Gatekeeper, ProtocolError, Request, answer, interleaved_channel, take_request

OPTIONS = b"OPTIONS rtsp://h/stream RTSP/1.0\r\nCSeq: 3\r\n\r\n"


def _request(authorization: str = "", method: str = "DESCRIBE") -> Request:
    return Request(method, "rtsp://h/stream", {"authorization": authorization})


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_request_is_taken_when_whole() -> None:
    buffer = bytearray(OPTIONS[:-1])
    assert take_request(buffer) is None
    buffer += OPTIONS[-1:] + b"PLAY"
    request = take_request(buffer)
    assert request == Request("OPTIONS", "rtsp://h/stream", {"cseq": "3"})
    assert buffer == b"PLAY"


def test_receiver_reports_are_dropped_before_a_request() -> None:
    buffer = bytearray(b"$\x01\x00\x04abcd" + OPTIONS)
    request = take_request(buffer)
    assert request is not None
    assert request.sequence == "3"


@pytest.mark.parametrize("rubbish", [b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"x" * 20_000])
def test_rubbish_is_refused(rubbish: bytes) -> None:
    with pytest.raises(ProtocolError):
        take_request(bytearray(rubbish))


def test_answer_repeats_the_sequence_number_and_measures_its_body() -> None:
    text = answer(Request("DESCRIBE", "u", {"cseq": "9"}), 200, {"A": "b"}, "v=0\r\n").decode()
    assert text.startswith("RTSP/1.0 200 OK\r\nCSeq: 9\r\nA: b\r\n")
    assert "Content-Length: 5\r\n\r\nv=0\r\n" in text


def test_only_tcp_inside_the_connection_is_a_transport() -> None:
    transports = ["RTP/AVP/TCP;unicast;interleaved=2-3", "RTP/AVP;unicast;client_port=5000-5001"]
    assert [interleaved_channel(Request("SETUP", "u", {"transport": t})) for t in transports] == [2, None]


def test_basic_admits_the_right_password_only() -> None:
    gate = Gatekeeper("basic", "viewer", "pass:word")
    good = base64.b64encode(b"viewer:pass:word").decode()
    bad = base64.b64encode(b"viewer:password").decode()
    answers = [gate.admits(_request(a)) for a in ("", f"Basic {good}", f"Basic {bad}", "Basic %%%", "Digest x")]
    assert answers == [False, True, False, False, False]


def test_digest_admits_the_right_response_to_its_own_nonce_only() -> None:
    gate = Gatekeeper("digest", "viewer", "secret")
    realm, nonce = re.findall(r'"([^"]*)"', gate.challenge())

    def header(password: str, method: str, nonce: str) -> str:
        response = _md5(f"{_md5(f'viewer:{realm}:{password}')}:{nonce}:{_md5(f'{method}:rtsp://h/stream')}")
        return (
            f'Digest username="viewer", realm="{realm}", nonce="{nonce}", uri="rtsp://h/stream", response="{response}"'
        )

    assert gate.admits(_request(header("secret", "DESCRIBE", nonce)))
    assert not gate.admits(_request(header("wrong", "DESCRIBE", nonce)))
    assert not gate.admits(_request(header("secret", "PLAY", nonce)))
    assert not gate.admits(_request(header("secret", "DESCRIBE", "0" * 32)))


def test_script_lines_are_read() -> None:
    assert parse_fault("2.5:jump:-10") == ScriptedFault(2.5, "jump", "-10")
    assert parse_fault("0:redirect:rtsp://h:1/x") == ScriptedFault(0, "redirect", "rtsp://h:1/x")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("5:explode", "there are stall"),  # no such fault
        ("soon:drop", "'soon' is no time"),
        ("5:stall", "stall takes a value"),
        ("5:drop:3", "drop takes no value"),
        ("5:away:long", "not 'long'"),
    ],
)
def test_wrong_script_line_is_refused_with_what_is_allowed(line: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_fault(line)
