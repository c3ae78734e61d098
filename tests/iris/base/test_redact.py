"""Credentials taken out of texts: every shape in which one was seen."""

from __future__ import annotations

import doctest

import pytest

from iris.base import redact as module
from iris.base.redact import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rtsp://admin:s3cret@h:554/a", "rtsp://***@h:554/a"),
        ("[Errno 111] refused: 'rtsp://u:p@h/a'", "[Errno 111] refused: 'rtsp://***@h/a'"),  # as PyAV says it
        ("rtsp://u:p@ss/w@h/a", "rtsp://***@h/a"),  # badly encoded
        ("rtsp://u:p@[fe80::1]:554/a", "rtsp://***@[fe80::1]:554/a"),
        ("rtsp%3A%2F%2Fu%3Ap%40h%2Fa", "rtsp%3A%2F%2F***%40h%2Fa"),
        ("postgresql://iris:pw@db/iris", "postgresql://***@db/iris"),
        ("rtsp://h/a?password=x&b=1", "rtsp://h/a?password=***&b=1"),
        ("rtsp://h/a?b=1&PWD=x", "rtsp://h/a?b=1&PWD=***"),
        ("a%3Fpassword%3Dx", "a%3Fpassword%3D***"),
        ("rtsp://h/user=admin_password=x_channel=1", "rtsp://h/user=***"),  # recorders that take it in the path
        ("rtsp://h/a;token=x", "rtsp://h/a;token=***"),
        ("two rtsp://a:b@h/1 and rtsp://c:d@h/2", "two rtsp://***@h/1 and rtsp://***@h/2"),
        ("nothing to hide: user@example.org at 12:00", "nothing to hide: user@example.org at 12:00"),
    ],
)
def test_redact_hides_credentials_when_they_come_in_a_known_shape(text: str, expected: str) -> None:
    assert redact(text) == expected


def test_redact_examples_hold_when_run_as_doctests() -> None:
    assert doctest.testmod(module).failed == 0
