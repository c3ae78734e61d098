"""Whether the wall clock can be believed when footage is to go for its age. Pure.

The last reading that was believed is the mark. In the same boot the wall clock must have moved as the steady clock
did, within ten minutes. After another boot the time between is not known: the wall clock must not be behind the
mark, nor more than a week ahead of it. What is not believed never becomes the mark, so it takes a person's word, or
the clock's return, to go on; space is made by order and needs no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from iris.base.timebase import US_PER_S, format_rfc3339
from iris.retention.policy import US_PER_DAY

TOLERANCE_US: Final = 600 * US_PER_S
# A machine may be off over a holiday; beyond this somebody should look.
MOST_OFF_US: Final = 7 * US_PER_DAY


@dataclass(frozen=True, slots=True)
class ClockReading:
    """Both clocks at one moment; `steady_us` counts from the boot, sleep included."""

    boot_id: str
    wall_us: int
    steady_us: int


def clock_doubt(mark: ClockReading | None, now: ClockReading, newest_event_us: int | None) -> str | None:
    """Why the wall clock is not believed, as a sentence; None where it is.

    Args:
        mark: The last reading that was believed; None where there is none.
        now: Both clocks now.
        newest_event_us: The newest event of the node, asked where there is no mark; None: there is no event.

    >>> mark = ClockReading("boot", 0, 0)
    >>> clock_doubt(mark, ClockReading("boot", 500_000_000, 0), None) is None
    True
    >>> clock_doubt(mark, ClockReading("boot", 7_200_000_000, 0), None)
    'the wall clock moved by +2.0 h against the steady clock'
    """
    if mark is None:
        return _doubt_since(newest_event_us, now.wall_us, "the newest event")
    if mark.boot_id != now.boot_id:
        return _doubt_since(mark.wall_us, now.wall_us, "the clock before this boot")
    moved_us = (now.wall_us - mark.wall_us) - (now.steady_us - mark.steady_us)
    if abs(moved_us) <= TOLERANCE_US:
        return None
    return f"the wall clock moved by {moved_us / 3600 / US_PER_S:+.1f} h against the steady clock"


def _doubt_since(known_us: int | None, wall_us: int, what: str) -> str | None:
    if known_us is None or -TOLERANCE_US <= wall_us - known_us <= MOST_OFF_US:
        return None
    side = "behind" if wall_us < known_us else "more than a week ahead of"
    return f"the wall clock says {format_rfc3339(wall_us)}, {side} {what} ({format_rfc3339(known_us)})"
