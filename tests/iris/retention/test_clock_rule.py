"""A clock that is set, loses its battery or leaps years: nothing may go by age on its word."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.base.timebase import US_PER_S
from iris.retention.clock_rule import MOST_OFF_US, TOLERANCE_US, ClockReading, clock_doubt
from iris.retention.policy import US_PER_DAY

HOUR_US = 3600 * US_PER_S
MARK = ClockReading("boot-1", 1_700_000_000 * US_PER_S, 50 * HOUR_US)


def after(us: int, *, step_us: int = 0, boot_id: str = "boot-1") -> ClockReading:
    """The clocks so much later, the wall clock set by a step."""
    steady_us = MARK.steady_us + us if boot_id == MARK.boot_id else 7
    return ClockReading(boot_id, MARK.wall_us + us + step_us, steady_us)


@pytest.mark.parametrize(
    "step_us", [2 * HOUR_US, -2 * HOUR_US, -MARK.wall_us, 3650 * US_PER_DAY, TOLERANCE_US + 1, -TOLERANCE_US - 1]
)
@pytest.mark.parametrize("later_us", [0, HOUR_US, 400 * US_PER_DAY])
def test_clock_is_doubted_when_it_was_set(step_us: int, later_us: int) -> None:
    assert clock_doubt(MARK, after(later_us, step_us=step_us), None) is not None


@given(st.integers(0, 4000 * US_PER_DAY), st.integers(-TOLERANCE_US, TOLERANCE_US))
def test_clock_is_believed_when_it_moves_with_the_steady_one(later_us: int, slew_us: int) -> None:
    assert clock_doubt(MARK, after(later_us, step_us=slew_us), None) is None


@pytest.mark.parametrize(
    ("us", "believed"),
    [
        (2 * US_PER_DAY, True), (MOST_OFF_US, True), (MOST_OFF_US + 1, False), (3650 * US_PER_DAY, False),
        (-TOLERANCE_US, True), (-2 * HOUR_US, False), (-MARK.wall_us, False),
    ],
)  # fmt: skip
def test_clock_after_a_boot_is_believed_when_the_machine_may_have_been_off_so_long(us: int, believed: bool) -> None:
    assert (clock_doubt(MARK, after(us, boot_id="boot-2"), None) is None) == believed
    # Without any mark the newest event stands for it.
    assert (clock_doubt(None, after(us, boot_id="boot-2"), MARK.wall_us) is None) == believed


def test_clock_is_believed_when_nothing_is_known() -> None:
    assert clock_doubt(None, replace(MARK, wall_us=0), None) is None


def test_doubt_names_both_times() -> None:
    sentence = clock_doubt(MARK, after(-MARK.wall_us, boot_id="boot-2"), None)
    assert sentence is not None
    assert "1970-01-01" in sentence
    assert "2023-11-14" in sentence
