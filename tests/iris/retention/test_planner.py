"""What goes and what stays, by example and over everything that hypothesis thinks of."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.domain.operation import RemovalReason
from iris.retention.planner import Candidate, Kept, Plan, most_by_age, plan_removal
from iris.retention.policy import US_PER_DAY, AgeRule, RetentionPolicy
from tests.builders.events import uuid_of

NOW_US = 1_700_000_000_000_000
GATE, HALL = uuid_of(1, "c"), uuid_of(2, "c")


def event(number: int, **values: Any) -> Candidate:
    """Event `number` of the gate, 10 bytes, finished, seen `number` days before now."""
    seen_us = NOW_US - number * US_PER_DAY
    given: dict[str, Any] = {
        "event_id": uuid_of(number), "camera_id": GATE, "labels": ("person",), "started_us": seen_us - 1,
        "last_seen_us": seen_us, "size_bytes": 10, "held": False, "finished": True, **values,
    }  # fmt: skip
    return Candidate(**given)


def going(plan: Plan) -> dict[str, str]:
    return {one.event.event_id: one.reason.value for one in plan.going}


POLICIES = st.builds(
    RetentionPolicy,
    max_age_days=st.none() | st.floats(0.5, 20),
    rules=st.lists(
        st.builds(
            AgeRule,
            max_age_days=st.none() | st.floats(0.5, 20),
            camera_id=st.sampled_from([GATE, HALL]),
            label=st.none() | st.sampled_from(["person", "car"]),
        ),
        max_size=3,
        unique_by=lambda rule: (rule.camera_id, rule.label),
    ).map(tuple),
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([GATE, HALL]),
        st.sampled_from([(), ("person",), ("car",), ("car", "person")]),
        st.integers(0, 40),
        st.booleans(),
        st.booleans(),
        st.floats(0, 25),
    ),
    max_size=30,
).map(
    lambda rows: sorted(
        (
            event(
                number, camera_id=camera, labels=labels, size_bytes=size, held=held, finished=finished,
                started_us=NOW_US - round(days * US_PER_DAY), last_seen_us=NOW_US - round(days * US_PER_DAY),
            )
            for number, (camera, labels, size, held, finished, days) in enumerate(rows)
        ),
        key=lambda one: one.started_us,
    )
)  # fmt: skip
NEED = st.integers(0, 500)


@given(POLICIES, EVENTS, NEED, st.booleans())
def test_plan_never_removes_what_is_held_or_unfinished(
    policy: RetentionPolicy, events: list[Candidate], need: int, by_age: bool
) -> None:
    plan = plan_removal(policy, events, now_us=NOW_US if by_age else None, need_bytes=need)
    assert all(one.event.finished and not one.event.held for one in plan.going)
    assert all(one.event.held for one in plan.staying if one.reason is Kept.HELD)


@given(POLICIES, EVENTS, NEED)
def test_plan_decides_each_event_once_and_keeps_their_order(
    policy: RetentionPolicy, events: list[Candidate], need: int
) -> None:
    plan = plan_removal(policy, events, now_us=NOW_US, need_bytes=need)
    order = {one.event_id: place for place, one in enumerate(events)}
    for part in (plan.going, plan.staying):
        places = [order[one.event.event_id] for one in part]
        assert places == sorted(places)
    assert len(plan.going) + len(plan.staying) == len(events)


@given(POLICIES, EVENTS, NEED)
def test_plan_reaches_what_is_needed_when_it_is_there_and_removes_no_more(
    policy: RetentionPolicy, events: list[Candidate], need: int
) -> None:
    plan = plan_removal(policy, events, now_us=None, need_bytes=need)
    free = [one for one in events if one.finished and not one.held]
    assert plan.freed_bytes >= min(need, sum(one.size_bytes for one in free))
    if plan.going:
        assert plan.freed_bytes - plan.going[-1].event.size_bytes < need
    newest_gone = max((one.event.started_us for one in plan.going), default=-math.inf)
    for one in plan.staying:
        if one.reason is Kept.NEWEST:
            assert one.event.started_us >= newest_gone


@given(POLICIES, EVENTS)
def test_plan_removes_nothing_for_space_when_nothing_is_needed(
    policy: RetentionPolicy, events: list[Candidate]
) -> None:
    assert plan_removal(policy, events, now_us=None, need_bytes=0).going == ()
    by_age = plan_removal(policy, events, now_us=NOW_US, need_bytes=0)
    assert {one.reason for one in by_age.going} <= {RemovalReason.AGE}


@given(POLICIES, EVENTS, NEED, st.integers(0, 100), st.integers(0, 10 * US_PER_DAY))
def test_plan_only_grows_when_more_is_needed_or_time_passes(
    policy: RetentionPolicy, events: list[Candidate], need: int, more: int, later_us: int
) -> None:
    few = plan_removal(policy, events, now_us=None, need_bytes=need)
    many = plan_removal(policy, events, now_us=None, need_bytes=need + more)
    assert going(few).keys() <= going(many).keys()
    now = plan_removal(policy, events, now_us=NOW_US, need_bytes=0)
    later = plan_removal(policy, events, now_us=NOW_US + later_us, need_bytes=0)
    assert going(now).keys() <= going(later).keys()


@given(POLICIES, EVENTS, NEED)
def test_plan_is_that_of_age_and_then_of_space_when_taken_apart(
    policy: RetentionPolicy, events: list[Candidate], need: int
) -> None:
    """The node removes by age first and measures the disk again; the preview plans both at once."""
    both = plan_removal(policy, events, now_us=NOW_US, need_bytes=need)
    aged = plan_removal(policy, events, now_us=NOW_US, need_bytes=0)
    left = [one for one in events if one.event_id not in going(aged)]
    spaced = plan_removal(policy, left, now_us=None, need_bytes=max(0, need - aged.freed_bytes))
    assert going(both) == going(aged) | going(spaced)


@given(POLICIES, EVENTS)
def test_plan_goes_by_the_longest_of_the_most_specific_rules(policy: RetentionPolicy, events: list[Candidate]) -> None:
    for one in plan_removal(policy, events, now_us=NOW_US, need_bytes=0).going:
        assert one.rule is not None
        assert one.rule.covers(one.event.camera_id, one.event.labels)
        matching = [rule for rule in policy.rules if rule.covers(one.event.camera_id, one.event.labels)]
        most = max((rule.specificity for rule in matching), default=0)
        assert one.rule.specificity == most
        age_us = NOW_US - one.event.last_seen_us
        assert all(age_us > rule.keeps_us for rule in matching if rule.specificity == most)


def test_rule_of_camera_and_label_wins_over_both_when_it_is_shorter() -> None:
    policy = RetentionPolicy(
        max_age_days=30,
        rules=(
            AgeRule(camera_id=GATE, max_age_days=20), AgeRule(label="cat", max_age_days=None),
            AgeRule(camera_id=GATE, label="cat", max_age_days=1),
        ),
    )  # fmt: skip
    events = [
        event(40, camera_id=HALL), event(25), event(24, camera_id=HALL, labels=("cat",)), event(19),
        event(2, labels=("cat",)),
    ]  # fmt: skip
    plan = plan_removal(policy, events, now_us=NOW_US, need_bytes=0)
    assert going(plan) == {uuid_of(40): "age", uuid_of(25): "age", uuid_of(2): "age"}
    assert [one.rule.max_age_days for one in plan.going if one.rule] == [30, 20, 1]


def test_rule_that_keeps_longest_wins_when_two_are_equally_specific() -> None:
    rules = (AgeRule(camera_id=GATE, max_age_days=2), AgeRule(label="person", max_age_days=9))
    plan = plan_removal(RetentionPolicy(rules=rules), [event(10), event(5)], now_us=NOW_US, need_bytes=0)
    assert going(plan) == {uuid_of(10): "age"}
    several = (AgeRule(label="car", max_age_days=2), AgeRule(label="person", max_age_days=None))
    both = event(10, labels=("car", "person"))
    assert plan_removal(RetentionPolicy(rules=several), [both], now_us=NOW_US, need_bytes=0).going == ()


def test_event_without_clip_stays_when_room_is_needed_but_goes_by_age() -> None:
    events = [event(3, size_bytes=0), event(2)]
    plan = plan_removal(RetentionPolicy(), events, now_us=NOW_US, need_bytes=100)
    assert (going(plan), [one.reason for one in plan.staying]) == ({uuid_of(2): "space"}, [Kept.EMPTY])
    assert going(plan_removal(RetentionPolicy(max_age_days=1), events, now_us=NOW_US, need_bytes=0)).keys() == {
        uuid_of(3), uuid_of(2),
    }  # fmt: skip


def test_age_is_off_when_nobody_asked_for_it() -> None:
    assert plan_removal(RetentionPolicy(), [event(30_000)], now_us=NOW_US, need_bytes=0).going == ()
    assert RetentionPolicy().shortest_age_us is None


@pytest.mark.parametrize(("total", "most"), [(0, 20), (100, 20), (101, 20), (1000, 200)])
def test_share_without_confirmation_lets_a_few_through_always(total: int, most: int) -> None:
    assert most_by_age(RetentionPolicy(), total) == most
