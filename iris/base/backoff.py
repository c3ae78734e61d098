"""Delays between tries. Pure: the caller passes the jitter, so a test is exact."""

from __future__ import annotations


def backoff_delay_s(attempt: int, *, first_s: float = 1.0, most_s: float = 60.0, jitter: float = 0.5) -> float:
    """Delay before try number `attempt` (1 is the first retry): doubling, bounded, spread by +-20 %.

    Args:
        attempt: 1 for the first retry.
        first_s: Delay of the first retry.
        most_s: Upper bound before jitter.
        jitter: A number in 0..1 from the caller; 0.5 means no spread.

    >>> backoff_delay_s(1), backoff_delay_s(3), backoff_delay_s(99)
    (1.0, 4.0, 60.0)
    """
    base = min(most_s, first_s * 2.0 ** min(attempt - 1, 30))
    return base * (0.8 + 0.4 * jitter)
