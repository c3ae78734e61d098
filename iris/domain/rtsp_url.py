"""Parse, check, mask and edit a camera's address.

One validator for every door: the api before anything starts, and the camera process again before each open. What
could be read in two ways by two parsers is refused with the spelling that cannot (an `@`, `/` or `?` in a password
is written %40, %2F or %3F), so that what was checked is what the media library connects to, and the mask hides
all of it. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from iris.base.errors import CameraAddressError
from iris.base.redact import MASK

_MOST_BYTES = 2048
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?")
_PORT = re.compile(r"[0-9]{1,5}")
# Some recorders take user and password in the path (`/user=admin_password=x_channel=1`): hide from there to its end.
_PATH_SECRET = re.compile(r"(?i)(pass(?:word|wd)?|pwd|user(?:name)?|token)=[^/]*")
# The same where only the value is meant: it ends where the next part, or the next `_name=`, begins.
_SECRET_VALUE = re.compile(r"(?i)(pass(?:word|wd)?|pwd|user(?:name)?|token)=.*?(?=[/&?]|_[a-z]+=|$)")
# What FFmpeg's RTSP input takes out of the query as its own options (libavformat/rtsp.c, ff_rtsp_connect).
_MEDIA_OPTIONS = frozenset({"udp", "tcp", "multicast", "http", "https", "filter_src"})
DEFAULT_PORT = {"rtsp": 554, "rtsps": 322}


@dataclass(frozen=True, slots=True)
class RtspUrl:
    """A checked address; its repr is masked."""

    text: str = field(repr=False)
    scheme: str
    host: str
    port: int
    has_credentials: bool

    @property
    def masked(self) -> str:
        """The address for eyes: credentials and query replaced by `***`."""
        return mask_rtsp_url(self.text)

    def same_target(self, other: RtspUrl) -> bool:
        """Whether scheme, host and port are equal, so that a stored password may be kept."""
        return (self.scheme, self.host.lower(), self.port) == (other.scheme, other.host.lower(), other.port)


def same_source(one: RtspUrl, other: RtspUrl) -> bool:
    """Whether two addresses lead to one stream of one camera: who asks and whether it is encrypted do not count.

    Host, port (the usual one of each scheme counts as equal), path and query do. Footage of another source must not be
    shown as this camera's.

    >>> a = parse_rtsp_url("rtsp://admin:old@cam.example/ch1")
    >>> same_source(a, parse_rtsp_url("rtsps://admin:new@CAM.example:322/ch1"))
    True
    >>> same_source(a, parse_rtsp_url("rtsp://admin:old@cam.example/ch2"))
    False
    """
    return _source(one) == _source(other)


def parse_rtsp_url(text: str) -> RtspUrl:
    """Check an address as a user or a database gave it.

    Raises:
        CameraAddressError: With a sentence that says what is allowed and never repeats the address.
    """
    url = _parse(text)
    if MASK in unquote(text):
        raise CameraAddressError(f"the address holds {MASK}, which only stands for what was hidden; enter it in full")
    return url


def mask_rtsp_url(text: str) -> str:
    """The address with user, password and query replaced by `***`; of no acceptable address only `***` is left."""
    try:
        _parse(text)
    except CameraAddressError:
        return MASK
    parts = urlsplit(text)
    netloc = f"{MASK}@{parts.netloc.rpartition('@')[2]}" if "@" in parts.netloc else parts.netloc
    return urlunsplit((parts.scheme, netloc, _mask_path(parts.path), MASK if parts.query else "", ""))


def edit_rtsp_url(submitted: str, stored: str) -> RtspUrl:
    """The address that an edit means: blank keeps the stored one, `***` keeps the part that it hides.

    Only while scheme, host and port stay the same; else a stored password could be sent to a host of the editor's
    choice.

    Args:
        submitted: What the user sent: blank, masked as `mask_rtsp_url` does (the user name before `:***` may be
            written out), or a whole new address.
        stored: The whole address in use.

    Raises:
        CameraAddressError: The new address is not acceptable, or hides what cannot be filled in.
    """
    if not submitted.strip():
        return parse_rtsp_url(stored)
    new = _parse(submitted)
    if MASK not in unquote(submitted):
        return new
    old = parse_rtsp_url(stored)
    if not new.same_target(old):
        raise CameraAddressError("the scheme, host or port changed: enter the address with its user and password again")
    return parse_rtsp_url(_fill_in(urlsplit(submitted), urlsplit(stored)))


def _parse(text: str) -> RtspUrl:
    _check_characters(text)
    try:
        parts: SplitResult = urlsplit(text)
        host = parts.hostname or ""
    except ValueError as error:
        raise CameraAddressError("the address cannot be read: the host or the port is malformed") from error
    if parts.scheme not in DEFAULT_PORT or not text.startswith(f"{parts.scheme}://"):
        raise CameraAddressError("the address must begin with rtsp:// or rtsps:// in lower case")
    if "@" in parts.path or "@" in parts.query:
        raise CameraAddressError("the address holds an @ after the host; encode /, ? and @ as %2F, %3F and %40")
    if parts.fragment or "#" in text:
        raise CameraAddressError("the address must not hold a fragment (#...); encode a # in the password as %23")
    _check_host(host, bracketed="[" in parts.netloc)
    options = {item.partition("=")[0] for item in re.split("[&?]", parts.query)}
    if options & _MEDIA_OPTIONS:
        raise CameraAddressError("the address must not hold options of the media library, such as ?tcp")
    port = _port(parts.netloc)
    return RtspUrl(text, parts.scheme, host, port or DEFAULT_PORT[parts.scheme], "@" in parts.netloc)


def _check_characters(text: str) -> None:
    if len(text) > _MOST_BYTES:
        raise CameraAddressError(f"the address is longer than {_MOST_BYTES} bytes")
    if any(not 0x20 < ord(c) < 0x7F for c in text) or any(ord(c) < 0x20 or ord(c) == 0x7F for c in unquote(text)):
        raise CameraAddressError("the address holds a space, a control character or a letter outside ASCII; encode it")
    if any(c in '\\"<>`' for c in text):
        raise CameraAddressError('the address holds one of \\ " < > `; encode it, such as %5C for a \\')


def _check_host(host: str, *, bracketed: bool) -> None:
    if bracketed:
        try:
            IPv6Address(host)
        except ValueError as error:
            raise CameraAddressError("the host in brackets must be an IPv6 address, such as [2001:db8::10]") from error
        return
    if _NAME.fullmatch(host) is None:
        raise CameraAddressError("the address needs a host, such as rtsp://192.0.2.10:554/stream")


def _port(netloc: str) -> int | None:
    """The port written in a network location, None where there is none."""
    written = netloc.rpartition("@")[2].rpartition("]")[2]
    _, colon, digits = written.rpartition(":")
    if not colon:
        return None
    if _PORT.fullmatch(digits) is None or not 1 <= int(digits) <= 65_535:
        raise CameraAddressError("the port must be between 1 and 65535")
    return int(digits)


def _source(url: RtspUrl) -> tuple[str, int | None, str, str]:
    parts = urlsplit(url.text)
    port = None if url.port == DEFAULT_PORT[url.scheme] else url.port
    path, query = (_SECRET_VALUE.sub(r"\1=", text) for text in (parts.path or "/", parts.query))
    return url.host.lower(), port, path, query


def _mask_path(path: str) -> str:
    return _PATH_SECRET.sub(rf"\1={MASK}", path)


def _fill_in(new: SplitResult, old: SplitResult) -> str:
    """The submitted address with every masked part taken from the stored one; an unknown mask stays and is refused."""
    userinfo, at, place = new.netloc.rpartition("@")
    kept = old.netloc.rpartition("@")[0]
    if userinfo in (MASK, f"{MASK}:{MASK}", f"{kept.partition(':')[0]}:{MASK}") and kept:
        userinfo = kept
    path = old.path if new.path == _mask_path(old.path) else new.path
    query = old.query if new.query == MASK and old.query else new.query
    return urlunsplit((new.scheme, f"{userinfo}{at}{place}", path, query, ""))
