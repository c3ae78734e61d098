"""How long footage is kept and how full the disk may become: the retention policy. Pure.

An event's age is counted from when somebody was last seen in it. Of several rules the most specific one holds
(camera and label, then camera or label, then the default); among equals the one that keeps longest.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from iris.base.errors import InputError

US_PER_DAY: Final = 86_400_000_000
# A century is as good as for ever, and keeps every sum inside 64 bits.
_MOST_DAYS: Final = 36_500.0
_MOST_RULES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeRule:
    """Events of a camera, with a label, or both, are kept so long; `max_age_days` None: however old they get."""

    max_age_days: float | None
    camera_id: str | None = None
    label: str | None = None

    @property
    def specificity(self) -> int:
        """How much it names: 0 for the default, 2 for camera and label."""
        return (self.camera_id is not None) + (self.label is not None)

    @property
    def keeps_us(self) -> float:
        """How long it keeps, in microseconds; infinite where nothing goes by age."""
        return math.inf if self.max_age_days is None else self.max_age_days * US_PER_DAY

    def covers(self, camera_id: str, labels: Collection[str]) -> bool:
        """Whether it says something of such an event."""
        return self.camera_id in (None, camera_id) and (self.label is None or self.label in labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """What a person set, or the settings.

    Attributes:
        max_age_days: For events that no rule names; None (the default): kept however old.
        rules: For cameras, labels, and labels of cameras.
        by_space: Whether the oldest footage goes when the disk gets full.
        high_water: Used share of the disk at which that begins.
        low_water: Used share at which it ends.
        confirm_share: Largest share of the events that one pass by age may remove without a person's word.

    Raises:
        InputError: Values that make no policy; `field` names the one.
    """

    max_age_days: float | None = None
    rules: tuple[AgeRule, ...] = ()
    by_space: bool = True
    high_water: float = 0.85
    low_water: float = 0.80
    confirm_share: float = 0.20

    def __post_init__(self) -> None:
        _check_days(self.max_age_days, "max_age_days")
        if not 0 < self.low_water < self.high_water < 1:
            raise InputError("low_water must be above 0 and below high_water, high_water below 1", field="low_water")
        if not 0 < self.confirm_share <= 1:
            raise InputError("confirm_share must be above 0, at most 1", field="confirm_share")
        if len(self.rules) > _MOST_RULES:
            raise InputError(f"there may be {_MOST_RULES} rules at most", field="rules")
        named = set()
        for place, rule in enumerate(self.rules):
            _check_days(rule.max_age_days, f"rules.{place}.max_age_days")
            if rule.specificity == 0:
                raise InputError("a rule must name a camera, a label or both", field=f"rules.{place}")
            if (rule.camera_id, rule.label) in named:
                raise InputError("another rule names the same camera and label", field=f"rules.{place}")
            named.add((rule.camera_id, rule.label))

    def rule_for(self, camera_id: str, labels: Collection[str]) -> AgeRule:
        """The rule that holds for an event."""
        matching = [rule for rule in self.rules if rule.covers(camera_id, labels)]
        matching.append(AgeRule(max_age_days=self.max_age_days))
        return max(matching, key=lambda rule: (rule.specificity, rule.keeps_us))

    @property
    def shortest_age_us(self) -> int | None:
        """No event younger than this goes by age; None: none goes at all."""
        shortest = min(rule.keeps_us for rule in (AgeRule(max_age_days=self.max_age_days), *self.rules))
        return None if math.isinf(shortest) else int(shortest)


def _check_days(days: float | None, field: str) -> None:
    if days is not None and not 0 < days <= _MOST_DAYS:
        raise InputError(f"must be a number of days above 0, at most {_MOST_DAYS:.0f}, or null: for ever", field=field)
