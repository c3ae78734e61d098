"""Parse, check and mask a camera's address.

One validator for every door: the api before anything starts, and the camera process again before each open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from iris.base.errors import CameraAddressError
from iris.base.redact import MASK

_MOST_BYTES = 2048
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?\.?|[0-9A-Fa-f:.]+")
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


def parse_rtsp_url(text: str) -> RtspUrl:
    """Check an address as a user or a database gave it.

    Raises:
        CameraAddressError: With a sentence that says what is allowed and never repeats the address.
    """
    if len(text.encode()) > _MOST_BYTES:
        raise CameraAddressError(f"the address is longer than {_MOST_BYTES} bytes")
    decoded = unquote(text)
    if any(ord(c) <= 0x20 or ord(c) == 0x7F for c in text) or any(ord(c) < 0x20 or ord(c) == 0x7F for c in decoded):
        raise CameraAddressError("the address holds a space or a control character; encode it as %20")
    try:
        parts: SplitResult = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise CameraAddressError("the address cannot be read: the host or the port is malformed") from error
    if parts.scheme not in DEFAULT_PORT or not text.startswith(f"{parts.scheme}://"):
        raise CameraAddressError("the address must begin with rtsp:// or rtsps:// in lower case")
    host = parts.hostname or ""
    if _HOST.fullmatch(host) is None:
        raise CameraAddressError("the address needs a host, such as rtsp://192.0.2.10:554/stream")
    if port == 0:
        raise CameraAddressError("the port must be between 1 and 65535")
    if parts.fragment:
        raise CameraAddressError("the address must not hold a fragment (#...); encode a # in the password as %23")
    return RtspUrl(text, parts.scheme, host, port or DEFAULT_PORT[parts.scheme], "@" in parts.netloc)


def mask_rtsp_url(text: str) -> str:
    """The address with user, password and query values replaced by `***`; total, never raises."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return MASK
    netloc = parts.netloc
    if "@" in netloc:
        netloc = f"{MASK}@{netloc.rpartition('@')[2]}"
    return urlunsplit((parts.scheme, netloc, parts.path, MASK if parts.query else "", ""))
