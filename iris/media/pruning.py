"""Which segments have outlived the rolling buffer. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PruneCandidate:
    """A durable segment, in a list in the order of recording; `pinned` where an event holds a link of its file."""

    segment_id: int
    path: str
    length_us: int
    pinned: bool


def segments_to_prune(candidates: Sequence[PruneCandidate], retention_us: int) -> list[PruneCandidate]:
    """Segments that have at least the buffer's length of footage after them; what is pinned stays until it is released.

    Footage is counted, not time: neither a camera that is away nor a wall clock that was set, to whatever year, can
    empty the buffer.

    >>> old, pinned = PruneCandidate(1, "a", 100, False), PruneCandidate(2, "b", 100, True)
    >>> [c.segment_id for c in segments_to_prune([old, pinned, PruneCandidate(3, "c", 500, False)], 500)]
    [1]
    """
    found = []
    newer_us = 0
    for candidate in reversed(candidates):
        if newer_us >= retention_us and not candidate.pinned:
            found.append(candidate)
        newer_us += candidate.length_us
    return found[::-1]
