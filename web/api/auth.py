"""Who may ask: the one place that decides, for every path, closed unless it says otherwise.

Open without a key is `/health` alone. Everything else, also what does not exist, needs `Authorization: Bearer
<API_KEY>`; with AUTH_REQUIRED=false a request from this machine itself needs none, if it names this machine as its
host (else a web page could reach the api through a name that resolves to 127.0.0.1).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

OPEN_PATHS = frozenset({"/health"})
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
RawHeaders = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Access:
    """The rule of this installation. Without a key and with `required`, nobody gets in."""

    api_key: bytes | None = field(default=None, repr=False)
    required: bool = True


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a request was refused; `reason` is a label of a metric."""

    reason: str
    sentence: str


def check_access(access: Access, path: str, headers: RawHeaders, client_host: str | None) -> Denied | None:
    """None where the request may pass."""
    if path in OPEN_PATHS:
        return None
    given = [value for name, value in headers if name == b"authorization"]
    if given:
        return _check_bearer(access, given)
    if access.required:
        return Denied("no_key", "send the header Authorization: Bearer <API_KEY>")
    if not _is_loopback(client_host):
        return Denied("not_local", "without a key only this machine itself may ask")
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1 or _host_name(hosts[0]) not in _LOCAL_HOSTS:
        return Denied("foreign_host", "without a key the address must name localhost, 127.0.0.1 or [::1]")
    return None


def _check_bearer(access: Access, given: list[bytes]) -> Denied | None:
    if len(given) != 1:
        return Denied("many_keys", "send exactly one Authorization header")
    scheme, _, token = given[0].partition(b" ")
    if scheme.lower() != b"bearer":
        return Denied("other_scheme", "send the header Authorization: Bearer <API_KEY>")
    if not access.api_key or not _same(token.strip(b" "), access.api_key):
        return Denied("wrong_key", "the key is not the one of this installation")
    return None


def _same(given: bytes, expected: bytes) -> bool:
    # Digests have one length, so that the comparison takes the same time for a key of any length.
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(expected).digest())


def _is_loopback(client_host: str | None) -> bool:
    try:
        return client_host is not None and ip_address(client_host).is_loopback
    except ValueError:
        return False


def _host_name(value: bytes) -> str:
    text = value.decode("latin-1").lower()
    name, colon, port = text.rpartition(":")
    return name if colon and port.isdigit() else text
