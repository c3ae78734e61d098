"""Ids: uuid7 strings. This module only types and checks them; minting is the `IdSource` port.

Ids become file names and workflow ids, so everything that takes one from outside parses it here first.
"""

from __future__ import annotations

import re
from typing import NewType

from iris.base.errors import InputError

CameraId = NewType("CameraId", str)
EventId = NewType("EventId", str)
NodeId = NewType("NodeId", str)
RunId = NewType("RunId", str)

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def parse_id(text: str, *, field: str = "id") -> str:
    """The id itself when it is a lower-case uuid.

    Raises:
        InputError: It is anything else (a path, a name, an id in another spelling).
    """
    if _UUID.fullmatch(text) is None:
        raise InputError(f"{field} must be a lower-case uuid", field=field)
    return text
