from __future__ import annotations

import pytest

from iris.base.errors import InputError
from iris.domain.storage import DiskFigures
from iris.retention.policy import US_PER_DAY, AgeRule, RetentionPolicy
from iris.retention.water import excess_bytes, is_critical, room_is_due


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"max_age_days": 0}, "max_age_days"),
        ({"max_age_days": -1}, "max_age_days"),
        ({"max_age_days": float("nan")}, "max_age_days"),
        ({"max_age_days": float("inf")}, "max_age_days"),
        ({"low_water": 0.85}, "low_water"),
        ({"high_water": 1.0}, "low_water"),
        ({"low_water": 0.0}, "low_water"),
        ({"confirm_share": 0.0}, "confirm_share"),
        ({"rules": (AgeRule(max_age_days=1),)}, "rules.0"),
        ({"rules": (AgeRule(max_age_days=0, label="a"),)}, "rules.0.max_age_days"),
        ({"rules": (AgeRule(max_age_days=1, label="a"), AgeRule(max_age_days=2, label="a"))}, "rules.1"),
        ({"rules": tuple(AgeRule(max_age_days=1, label=str(n)) for n in range(201))}, "rules"),
    ],
)
def test_policy_names_the_value_that_is_wrong_when_refused(values: dict[str, object], field: str) -> None:
    with pytest.raises(InputError) as caught:
        RetentionPolicy(**values)  # type: ignore[arg-type]  # values that must be refused
    assert caught.value.field == field


def test_shortest_age_is_that_of_any_rule() -> None:
    policy = RetentionPolicy(max_age_days=30, rules=(AgeRule(max_age_days=2, label="cat"),))
    assert policy.shortest_age_us == 2 * US_PER_DAY


def test_room_is_made_from_high_to_low_water() -> None:
    policy = RetentionPolicy(high_water=0.9, low_water=0.7)
    assert not room_is_due(policy, DiskFigures(899, 101))
    assert room_is_due(policy, DiskFigures(900, 100))
    assert excess_bytes(policy, DiskFigures(900, 100)) == 200
    assert excess_bytes(policy, DiskFigures(700, 300)) == 0


def test_room_is_made_earlier_when_two_hours_of_writing_are_not_left_but_never_below_low_water() -> None:
    policy = RetentionPolicy()
    assert room_is_due(policy, DiskFigures(8_200_000, 1_800_000, write_bytes_per_s=251))
    assert not room_is_due(policy, DiskFigures(8_200_000, 1_800_000, write_bytes_per_s=250))
    assert not room_is_due(policy, DiskFigures(8_000_000, 2_000_000, write_bytes_per_s=1e9))


def test_nothing_is_due_when_space_is_switched_off() -> None:
    policy, full = RetentionPolicy(by_space=False), DiskFigures(100, 0)
    assert (room_is_due(policy, full), excess_bytes(policy, full), is_critical(policy, full)) == (False, 0, False)


def test_disk_without_any_room_counts_as_full() -> None:
    assert DiskFigures(0, 0).used_share == 1.0
