"""Short texts for people who look at a workflow: times and labels, never a name or an address.

Pure, and passed through the workflow sandbox: nothing here may depend on when or where it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(wall_us: int) -> datetime:
    """The aware datetime of microseconds UTC, exactly.

    >>> moment(1_500_000).isoformat()
    '1970-01-01T00:00:01.500000+00:00'
    """
    return _EPOCH + timedelta(microseconds=wall_us)


def clock_text(wall_us: int) -> str:
    """Date and time to the second.

    >>> clock_text(0)
    '1970-01-01 00:00:00Z'
    """
    return moment(wall_us).strftime("%Y-%m-%d %H:%M:%SZ")


def span_text(start_us: int, end_us: int) -> str:
    """A span of time with its length.

    >>> span_text(0, 12_340_000)
    '1970-01-01 00:00:00Z to 00:00:12Z (12.3 s)'
    """
    return f"{clock_text(start_us)} to {moment(end_us):%H:%M:%SZ} ({(end_us - start_us) / 1e6:.1f} s)"


def labels_text(labels: Sequence[str]) -> str:
    """Labels for a sentence.

    >>> labels_text(("car", "person"))
    'car, person'
    """
    return ", ".join(labels) if labels else "no label yet"
