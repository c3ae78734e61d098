"""Wall time, media time, and the only conversions between them.

Wall time is an `int` of microseconds since 1970 UTC (suffix `_us`). Media time is a PTS with its time base.
Pure: reads no clock.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

US_PER_S = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seconds_to_us(seconds: float) -> int:
    """Microseconds of a duration in seconds, rounded to the nearest.

    >>> seconds_to_us(1.5)
    1500000
    """
    return round(seconds * US_PER_S)


def media_to_us(ticks: int, time_base: Fraction) -> int:
    """Microseconds of a media duration, rounded down, computed exactly.

    Args:
        ticks: Duration or PTS in units of `time_base`.
        time_base: Seconds per tick.

    >>> media_to_us(90_000, Fraction(1, 90_000))
    1000000
    """
    return (ticks * time_base.numerator * US_PER_S) // time_base.denominator


def us_to_media(us: int, time_base: Fraction) -> int:
    """Ticks of `time_base` in a duration of microseconds, rounded down.

    >>> us_to_media(1_000_000, Fraction(1, 90_000))
    90000
    """
    return (us * time_base.denominator) // (time_base.numerator * US_PER_S)


def format_rfc3339(wall_us: int) -> str:
    """RFC 3339 UTC text with microseconds, as on the wire.

    >>> format_rfc3339(0)
    '1970-01-01T00:00:00.000000Z'
    """
    return (_EPOCH + timedelta(microseconds=wall_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_rfc3339(text: str) -> int:
    """Microseconds UTC of an RFC 3339 text; the offset is required.

    Raises:
        ValueError: The text is no RFC 3339 time with an offset.

    >>> parse_rfc3339('1970-01-01T01:00:00+01:00')
    0
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time needs an offset, such as 2026-11-23T12:00:00Z")
    return (moment - _EPOCH) // timedelta(microseconds=1)
