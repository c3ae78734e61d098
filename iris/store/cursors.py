"""Opaque page cursors: the key of the last row of a page, so that the next page starts right after it."""

from __future__ import annotations

import base64
import binascii

from iris.base.errors import InputError
from iris.base.ids import parse_id

MOST_PER_PAGE = 500
_MOST_CURSOR_CHARS = 200
_MOST_US = 2**63 - 1


def encode_cursor(started_us: int, row_id: str) -> str:
    """Cursor of a row in the order (started_us, id).

    >>> decode_cursor(encode_cursor(5, "0189f7e0-0000-7000-8000-000000000000"))
    (5, '0189f7e0-0000-7000-8000-000000000000')
    """
    return base64.urlsafe_b64encode(f"{started_us}:{row_id}".encode()).decode().rstrip("=")


def decode_cursor(text: str) -> tuple[int, str]:
    """The key inside a cursor.

    Raises:
        InputError: The text was not made by `encode_cursor`.
    """
    refusal = InputError("cursor is not one that a list answered; leave it out to begin at the top", field="cursor")
    if len(text) > _MOST_CURSOR_CHARS:
        raise refusal
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        number, _, row_id = decoded.partition(":")
        key = (int(number), parse_id(row_id))
    except (binascii.Error, ValueError, InputError) as error:
        raise refusal from error
    if abs(key[0]) > _MOST_US:
        raise refusal
    return key


def check_limit(limit: int, offset: int = 0) -> None:
    """Refuse page sizes that are none.

    Raises:
        InputError: `limit` is outside 1..500 or `offset` is negative or absurd.
    """
    if not 1 <= limit <= MOST_PER_PAGE:
        raise InputError(f"limit must be between 1 and {MOST_PER_PAGE}", field="limit")
    if not 0 <= offset <= _MOST_US:
        raise InputError("offset must be 0 or more", field="offset")
