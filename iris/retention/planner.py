"""Which events go, which stay, and why. Pure: candidates, a policy and figures in, a plan out.

Holds beat everything; an event that is not finished never goes. What is past its age goes, whatever the disk says;
then, while the disk still needs room, the oldest goes first, so that the newest footage wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from iris.domain.operation import RemovalReason
from iris.retention.policy import AgeRule, RetentionPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An event as retention sees it; times are wall time in microseconds, `size_bytes` of its clip files."""

    event_id: str
    camera_id: str
    labels: tuple[str, ...]
    started_us: int
    last_seen_us: int
    size_bytes: int
    held: bool
    finished: bool


class Kept(StrEnum):
    """Why an event stays."""

    HELD = "held"  # somebody put it on hold
    UNFINISHED = "unfinished"  # its clip is still to come
    EMPTY = "empty"  # no clip: its removal would make no room
    NEWEST = "newest"  # newer than what had to go


@dataclass(frozen=True, slots=True)
class Going:
    """An event that goes; `rule` is the one that it is too old for, None where its room is needed."""

    event: Candidate
    reason: RemovalReason
    rule: AgeRule | None


@dataclass(frozen=True, slots=True)
class Staying:
    """An event that stays."""

    event: Candidate
    reason: Kept


@dataclass(frozen=True, slots=True)
class Plan:
    """Both in the order of the candidates."""

    going: tuple[Going, ...]
    staying: tuple[Staying, ...]

    @property
    def freed_bytes(self) -> int:
        """What the clips that go take."""
        return sum(going.event.size_bytes for going in self.going)


def plan_removal(policy: RetentionPolicy, events: Sequence[Candidate], *, now_us: int | None, need_bytes: int) -> Plan:
    """Decide over all candidates.

    Args:
        policy: What holds.
        events: Oldest first.
        now_us: Wall time to count ages from; None: nothing goes by age.
        need_bytes: What the disk needs; 0: nothing goes for space.

    >>> events = [Candidate(event_id=n, camera_id="c", labels=(), started_us=0, last_seen_us=0, size_bytes=10,
    ...           held=n == "a", finished=True) for n in "abc"]
    >>> plan = plan_removal(RetentionPolicy(), events, now_us=None, need_bytes=1)
    >>> [g.event.event_id for g in plan.going], [(s.event.event_id, s.reason.value) for s in plan.staying]
    (['b'], [('a', 'held'), ('c', 'newest')])
    """
    expired = {event.event_id: rule for event in events if (rule := _expired_by(policy, event, now_us)) is not None}
    left_bytes = need_bytes - sum(event.size_bytes for event in events if event.event_id in expired)
    going: list[Going] = []
    staying: list[Staying] = []
    for event in events:
        kept = _kept_by(event)
        if event.event_id in expired:
            going.append(Going(event, RemovalReason.AGE, expired[event.event_id]))
        elif kept is not None:
            staying.append(Staying(event, kept))
        elif left_bytes > 0:
            going.append(Going(event, RemovalReason.SPACE, None))
            left_bytes -= event.size_bytes
        else:
            staying.append(Staying(event, Kept.NEWEST))
    return Plan(tuple(going), tuple(staying))


def most_by_age(policy: RetentionPolicy, total_count: int) -> int:
    """How many events one pass by age may remove without a person's word, of so many on the node.

    Small numbers are let through: with five events a share would stop the everyday removal of a single one.

    >>> most_by_age(RetentionPolicy(), 5), most_by_age(RetentionPolicy(), 1000)
    (20, 200)
    """
    return max(FREE_COUNT, int(policy.confirm_share * total_count))


FREE_COUNT = 20


def _kept_by(event: Candidate) -> Kept | None:
    """What keeps an event from going for space, beside its being new."""
    if event.held:
        return Kept.HELD
    if not event.finished:
        return Kept.UNFINISHED
    return None if event.size_bytes > 0 else Kept.EMPTY


def _expired_by(policy: RetentionPolicy, event: Candidate, now_us: int | None) -> AgeRule | None:
    if now_us is None or event.held or not event.finished:
        return None
    rule = policy.rule_for(event.camera_id, event.labels)
    return rule if now_us - event.last_seen_us > rule.keeps_us else None
