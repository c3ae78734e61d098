"""Byte ranges of RFC 9110: which bytes, and when the header counts."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.api import ranges
from web.api.ranges import ByteSpan, UnsatisfiableRangeError, names_version, parse_range, range_applies


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", ByteSpan(0, 0)),
        ("bytes=0-99", ByteSpan(0, 99)),
        ("bytes=10-", ByteSpan(10, 999)),
        ("bytes=-1", ByteSpan(999, 999)),
        ("bytes=-5000", ByteSpan(0, 999)),  # a longer suffix is the whole
        ("bytes=900-5000", ByteSpan(900, 999)),  # the last byte is the end's
        ("BYTES=0-1", ByteSpan(0, 1)),  # units have no case
        (" bytes = 0 - 1 ", ByteSpan(0, 1)),
        ("bytes=5-2", None),  # malformed counts as absent
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes=a-b", None),
        ("bytes=0-1,4-5", None),  # several ranges: the whole
        ("bytes=+1-2", None),
        ("bytes=\u0661-\u0662", None),  # digits of other scripts are none
        ("items=0-1", None),
        ("bytes=0-" + "9" * 5000, None),
    ],
)
def test_parse_range_gives_the_span(header: str | None, expected: ByteSpan | None) -> None:
    assert parse_range(header, 1000) == expected


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-2000", "bytes=-0"])
def test_parse_range_is_unsatisfiable_when_outside(header: str) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        parse_range(header, 1000)


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1"])
def test_parse_range_is_unsatisfiable_when_the_file_is_empty(header: str) -> None:
    with pytest.raises(UnsatisfiableRangeError):
        parse_range(header, 0)


@given(st.text(max_size=60) | st.from_regex(r"bytes=\d{0,20}-\d{0,20}", fullmatch=True), st.integers(1, 10**12))
def test_parse_range_stays_inside_when_given_anything(header: str, size: int) -> None:
    try:
        span = parse_range(header, size)
    except UnsatisfiableRangeError:
        return
    assert span is None or 0 <= span.first <= span.last < size
    assert span is None or span.length_bytes >= 1


@pytest.mark.parametrize(
    ("if_range", "applies"),
    [
        (None, True),
        ('"a"', True),
        (' "a" ', True),
        ('W/"a"', False),
        ('"b"', False),
        ("Wed, 21 Oct 2015 07:28:00 GMT", False),
    ],
)
def test_range_applies_only_to_this_version(if_range: str | None, applies: bool) -> None:
    assert range_applies(if_range, '"a"') is applies


@pytest.mark.parametrize(
    ("header", "weak", "expected"),
    [
        ('"a"', False, True),
        ('"b", "a"', False, True),
        ("*", False, True),
        ('W/"a"', True, True),
        ('W/"a"', False, False),
        ('"b"', True, False),
        ("", True, False),
    ],
)
def test_names_version_compares_tags(header: str, weak: bool, expected: bool) -> None:
    assert names_version(header, '"a"', weak=weak) is expected


def test_examples_hold_when_run_as_doctests() -> None:
    assert doctest.testmod(ranges).failed == 0
