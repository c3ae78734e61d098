"""Byte ranges of RFC 9110 section 14, for one range. Pure.

Several ranges in one request are answered with the whole file, as the RFC allows: no player asks for them, and a
server that cuts a file into many pieces on request can be made to work hard for little (CVE-2025-62727).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# 18 digits are more than any file and keep the conversion cheap.
_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteSpan:
    """Bytes `first` to `last`, both inclusive."""

    first: int
    last: int

    @property
    def length_bytes(self) -> int:
        """Number of bytes."""
        return self.last - self.first + 1


class UnsatisfiableRangeError(Exception):
    """The range lies outside the file: 416."""


def parse_range(header: str | None, size_bytes: int) -> ByteSpan | None:
    """The span that a Range header asks for, None where the whole file is to be sent.

    What is malformed, of another unit or of several ranges counts as absent (RFC 9110, 14.2).

    Raises:
        UnsatisfiableRangeError: It is well formed and outside the file.

    >>> parse_range("bytes=0-99", 1000)
    ByteSpan(first=0, last=99)
    >>> parse_range("bytes=-100", 1000)
    ByteSpan(first=900, last=999)
    """
    match = None if header is None else _RANGE.fullmatch(header.strip())
    if match is None or match.group(1) == match.group(2) == "":
        return None
    if match.group(1) == "":
        suffix = int(match.group(2))
        if suffix == 0 or size_bytes == 0:
            raise UnsatisfiableRangeError
        return ByteSpan(max(0, size_bytes - suffix), size_bytes - 1)
    first = int(match.group(1))
    last = int(match.group(2)) if match.group(2) else None
    if last is not None and last < first:
        return None
    if first >= size_bytes:
        raise UnsatisfiableRangeError
    return ByteSpan(first, size_bytes - 1 if last is None else min(last, size_bytes - 1))


def range_applies(if_range: str | None, etag: str) -> bool:
    """Whether a Range header counts: there is no If-Range, or it names this very version (strong comparison).

    A date never matches, as no Last-Modified is sent.
    """
    return if_range is None or if_range.strip() == etag


def names_version(header: str, etag: str, *, weak: bool) -> bool:
    """Whether an If-Match or If-None-Match list names the version; `weak` takes `W/` away first."""
    tags = [tag.strip() for tag in header.split(",")]
    return "*" in tags or etag in ([tag.removeprefix("W/") for tag in tags] if weak else tags)
