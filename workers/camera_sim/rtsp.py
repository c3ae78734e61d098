"""Requests and answers of RTSP (RFC 2326), and its Basic and Digest authentication. Pure, apart from the nonce."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

_REALM = "iris camera-sim"
_REASONS = {
    200: "OK",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    453: "Not Enough Bandwidth",
    454: "Session Not Found",
    461: "Unsupported Transport",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_HEAD_LIMIT_BYTES = 16_384


class ProtocolError(Exception):
    """The client sent something that is no RTSP."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    url: str
    headers: dict[str, str] = field(repr=False)

    @property
    def sequence(self) -> str:
        """The CSeq that the answer repeats."""
        return self.headers.get("cseq", "0")


def take_request(buffer: bytearray) -> Request | None:
    """Remove the first whole request from `buffer`; interleaved packets of the client (RTCP) are dropped.

    Returns:
        The request, or None while it is not complete.

    Raises:
        ProtocolError: What is there can never become a request.
    """
    while buffer[:1] == b"$":
        if len(buffer) < 4 or len(buffer) < 4 + int.from_bytes(buffer[2:4], "big"):
            return None
        del buffer[: 4 + int.from_bytes(buffer[2:4], "big")]
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > _HEAD_LIMIT_BYTES:
            raise ProtocolError("the head of the request is too long")
        return None
    first, *lines = bytes(buffer[:end]).decode("utf-8", "replace").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "0")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("RTSP/") or not length.isdigit():
        raise ProtocolError("the first line is no RTSP request")
    if len(buffer) < end + 4 + int(length):
        return None
    del buffer[: end + 4 + int(length)]
    return Request(words[0].upper(), words[1], headers)


def answer(request: Request, status: int, headers: dict[str, str] | None = None, body: str = "") -> bytes:
    """The bytes of an answer to `request`."""
    lines = [f"RTSP/1.0 {status} {_REASONS.get(status, 'Unknown')}", f"CSeq: {request.sequence}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines += ["Content-Type: application/sdp", f"Content-Length: {len(body.encode())}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def interleaved_channel(request: Request) -> int | None:
    """The RTP channel a SETUP asks for; None when it asks for anything but TCP inside the connection."""
    transport = request.headers.get("transport", "")
    found = re.search(r"RTP/AVP/TCP.*interleaved=(\d{1,3})", transport)
    return int(found.group(1)) if found and int(found.group(1)) < 255 else None


class Gatekeeper:
    """Checks the password of one connection; `scheme` is `basic`, `digest` or `none`."""

    def __init__(self, scheme: str, user: str, password: str) -> None:
        self._scheme = scheme
        self._user = user
        self._password = password
        self._nonce = secrets.token_hex(16)

    def challenge(self) -> str:
        """The value of WWW-Authenticate."""
        if self._scheme == "digest":
            return f'Digest realm="{_REALM}", nonce="{self._nonce}"'
        return f'Basic realm="{_REALM}"'

    def admits(self, request: Request) -> bool:
        """Whether the request carries the right password."""
        if self._scheme == "none":
            return True
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != self._scheme:
            return False
        return self._basic(value) if self._scheme == "basic" else self._digest(request.method, value)

    def _basic(self, value: str) -> bool:
        try:
            given = base64.b64decode(value, validate=True)
        except binascii.Error:
            return False
        return hmac.compare_digest(given, f"{self._user}:{self._password}".encode())

    def _digest(self, method: str, value: str) -> bool:
        given = dict(re.findall(r'(\w+)="([^"]*)"', value))
        identity = _md5(f"{self._user}:{_REALM}:{self._password}")
        asked_for = _md5(f"{method}:{given.get('uri', '')}")
        expected = _md5(f"{identity}:{self._nonce}:{asked_for}")
        return hmac.compare_digest(given.get("response", "").encode(), expected.encode())


def _md5(text: str) -> str:
    # RFC 2069 digest, as cameras speak it; it guards a test camera and nothing else.
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
