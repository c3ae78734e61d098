"""Takes credentials out of addresses and messages.

Four shapes: userinfo (`rtsp://user:pass@host`), query or path (`?password=x`, `/user=a_password=x`), percent-encoded,
IPv6 hosts. Foreign libraries put whole addresses into their exception texts (measured with PyAV), so every such
text passes here.
"""

from __future__ import annotations

import re

MASK = "***"
# The userinfo may itself hold '@' or '/' when badly encoded, so take everything up to the last '@' before white space.
_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*(?:://|%3A%2F%2F))[^\s'\"<>]*(@|%40)")
_VALUE = re.compile(
    r"(?i)((?:[?&/;_]|%3F|%26|%2F)(?:pass(?:word|wd)?|pwd|user(?:name)?|token|auth|key|secret)(?:=|%3D))[^&\s'\"<>]+"
)


def redact(text: str) -> str:
    """The text with credentials replaced by `***`.

    >>> redact("cannot open rtsp://admin:s3cret@[fe80::1]:554/a?password=x&b=1")
    'cannot open rtsp://***@[fe80::1]:554/a?password=***&b=1'
    """
    return _VALUE.sub(rf"\1{MASK}", _USERINFO.sub(rf"\1{MASK}\2", text))
