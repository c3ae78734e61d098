"""Which segments have outlived the rolling buffer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PruneCandidate:
    """A durable segment, oldest first in a list; `pinned` where an event holds a link of its file."""

    segment_id: int
    path: str
    end_us: int
    pinned: bool


def segments_to_prune(
    candidates: Sequence[PruneCandidate], newest_end_us: int, retention_us: int
) -> list[PruneCandidate]:
    """Segments that end before the buffer's span; what is pinned stays until it is released.

    The span is counted back from the newest footage, not from the clock: neither a camera that is away nor a clock
    that was set can empty the buffer.

    >>> old, pinned = PruneCandidate(1, "a", 100, False), PruneCandidate(2, "b", 200, True)
    >>> [c.segment_id for c in segments_to_prune([old, pinned, PruneCandidate(3, "c", 900, False)], 1000, 500)]
    [1]
    """
    before_us = newest_end_us - retention_us
    return [candidate for candidate in candidates if candidate.end_us <= before_us and not candidate.pinned]
