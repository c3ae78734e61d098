"""When events open, what extends them, when they close."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.domain.event import EndReason, OpenEvent
from iris.presence.machine import Closed, Opened, PresenceChange, PresenceMachine, PresenceRules
from iris.presence.trigger import Sighting

T0 = 1_700_000_000_000_000
S = 1_000_000
RULES = PresenceRules(pre_us=2 * S, post_us=3 * S, hold_us=5 * S, max_length_us=600 * S)


def machine(rules: PresenceRules = RULES) -> PresenceMachine:
    numbers = itertools.count(1)
    return PresenceMachine(rules, lambda: f"event-{next(numbers)}")


def resumed_machine(*, at_s: int) -> PresenceMachine:
    """Of a process that started again `at_s` seconds after T0."""
    quiet_us = T0 + at_s * S - RESUMED.last_seen_us
    return PresenceMachine(RULES, lambda: "new", resumed=RESUMED, steady_us=at_s * S, quiet_us=quiet_us)


@dataclass
class Film:
    """Feeds a machine at 5 looks a second; somebody is there within the given seconds."""

    machine: PresenceMachine
    latency_us: int = 0
    confirm_us: int = 200_000

    def play(self, presences: list[tuple[float, float]], until_s: float, from_s: float = 0.0) -> list[PresenceChange]:
        changes: list[PresenceChange] = []
        for number in range(round(from_s * 5), round(until_s * 5) + 1):
            at_us = number * S // 5
            steady_us = at_us + self.latency_us
            now = next((p for p in presences if round(p[0] * S) <= at_us <= round(p[1] * S)), None)
            # The first looks of a presence are no sighting: its track is not confirmed yet.
            confirmed = now is not None and at_us - round(now[0] * S) >= self.confirm_us
            sighting = Sighting(T0 + round(now[0] * S), T0 + at_us, ("person",)) if now and confirmed else None
            changes += self.machine.frame(sighting, T0 + at_us, steady_us)
            changes += self.machine.tick(steady_us)
        return changes


def times(changes: list[PresenceChange]) -> list[tuple[float, float, float, float, str]]:
    """(started, last seen, window start, window end, reason) of closed events, seconds since T0."""
    return [
        (
            (change.event.started_us - T0) / S,
            (change.event.last_seen_us - T0) / S,
            (change.event.window_start_us - T0) / S,
            (change.window_end_us - T0) / S,
            change.reason.value,
        )
        for change in changes
        if isinstance(change, Closed)
    ]


def test_event_has_the_times_of_its_presence_and_pre_and_post_roll() -> None:
    assert times(Film(machine()).play([(10, 20)], 40)) == [(10, 20, 8, 23, "left")]


@pytest.mark.parametrize(
    ("gap_s", "expected"),
    [
        (4.8, [(10, 30, 8, 33, "left")]),  # within the hold time: one event
        (5.0, [(10, 30, 8, 33, "left")]),  # exactly the hold time
        (5.2, [(10, 20, 8, 23, "left"), (25.2, 30, 23.2, 33, "left")]),
    ],
)
@pytest.mark.parametrize("latency_us", [0, S])  # frames may come late
@pytest.mark.parametrize("confirm_us", [200_000, 1_200_000])  # an idle scene is looked at seldom
def test_presences_are_one_event_when_no_more_than_the_hold_time_apart(
    gap_s: float, expected: list[tuple[float, float, float, float, str]], latency_us: int, confirm_us: int
) -> None:
    film = Film(machine(), latency_us, confirm_us)

    assert times(film.play([(10, 20), (20 + gap_s, 30)], 45)) == expected


def test_event_opens_with_the_first_detection_when_its_track_is_confirmed() -> None:
    changes = Film(machine()).play([(10, 20)], 10.2)

    assert [type(change) for change in changes] == [Opened]
    assert changes[0].event.started_us == T0 + 10 * S


def test_event_closes_and_the_next_begins_at_that_instant_when_it_is_too_long() -> None:
    rules = PresenceRules(pre_us=2 * S, post_us=3 * S, hold_us=5 * S, max_length_us=10 * S)

    changes = Film(machine(rules)).play([(10, 34)], 50)

    assert times(changes) == [
        (10, 19.8, 8, 20, "max_length"),
        (20, 29.8, 20, 30, "max_length"),
        (30, 34, 30, 37, "left"),
    ]
    assert [change.event.continues for change in changes if isinstance(change, Opened)] == [None, "event-1", "event-2"]


def test_event_is_closed_as_camera_lost_when_frames_stop_and_do_not_return() -> None:
    subject = machine()
    Film(subject).play([(10, 20)], 12)
    subject.camera_lost()

    assert subject.tick(12 * S + RULES.hold_us) == ()
    changes = subject.tick(12 * S + RULES.hold_us + RULES.settle_us + 1)

    assert times(list(changes)) == [(10, 12, 8, 15, "camera_lost")]


def test_event_goes_on_when_camera_and_person_return_within_the_hold_time() -> None:
    subject = machine()
    film = Film(subject)
    film.play([(10, 12)], 12)
    subject.camera_lost()

    changes = film.play([(15, 20)], 40, from_s=15)

    assert [(row[0], row[1]) for row in times(changes)] == [(10, 20)]


def test_event_is_closed_at_last_seen_when_stopped_by_command() -> None:
    subject = machine()
    Film(subject).play([(10, 20)], 15)

    assert times(list(subject.stop())) == [(10, 15, 8, 18, "stopped")]
    assert subject.stop() == ()


RESUMED = OpenEvent("kept", T0 + 10 * S, T0 + 12 * S, T0 + 8 * S, ("person",), 3)


def test_resumed_event_goes_on_when_somebody_is_seen_within_the_hold_time() -> None:
    changes = Film(resumed_machine(at_s=14)).play([(14, 20)], 40, from_s=14)

    assert [(change.event.event_id, change.event.last_seen_us) for change in changes] == [("kept", T0 + 20 * S)]


def test_resumed_event_closes_at_last_seen_when_the_process_was_away_too_long() -> None:
    changes = resumed_machine(at_s=72).tick(72 * S)

    assert times(list(changes)) == [(10, 12, 8, 15, "camera_lost")]


def test_track_that_goes_on_after_its_event_closed_opens_one_that_does_not_overlap_it() -> None:
    subject = machine()
    Film(subject).play([(10, 20)], 40)

    opened = subject.frame(Sighting(T0 + 10 * S, T0 + 41 * S, ("person",)), T0 + 41 * S, 41 * S)

    assert [change.event.started_us for change in opened] == [T0 + 41 * S]


def test_setting_the_wall_clock_back_begins_a_new_event_instead_of_losing_footage() -> None:
    subject = machine()
    Film(subject).play([(10, 20)], 15)
    back_us = T0 - 3600 * S

    changes = subject.frame(Sighting(back_us, back_us + S, ("person",)), back_us + S, 16 * S)

    assert [type(change) for change in changes] == [Closed, Opened]
    assert changes[1].event.started_us == back_us
    assert changes[1].event.window_start_us == back_us - RULES.pre_us


def test_labels_add_up_in_the_order_of_their_appearance() -> None:
    subject = machine()
    for number, labels in enumerate([("person",), ("dog", "person"), ("cat",)]):
        at_us = T0 + number * S // 5
        subject.frame(Sighting(T0, at_us, labels), at_us, number * S // 5)

    event = subject.open_event
    assert event is not None
    assert event.labels == ("person", "dog", "cat")


_PRESENCES = st.lists(
    st.tuples(st.integers(2, 60), st.integers(2, 60)).map(lambda pair: (pair[0] * 0.2, pair[1] * 0.2)),
    min_size=1,
    max_size=8,
)


@given(
    steps=_PRESENCES,
    hold_s=st.integers(0, 8),
    post_s=st.integers(0, 4),
    max_s=st.integers(5, 60),
    latency_us=st.integers(0, S),
)
def test_every_presence_lies_in_an_event_and_events_never_overlap_but_by_pre_and_post(
    steps: list[tuple[float, float]], hold_s: int, post_s: int, max_s: int, latency_us: int
) -> None:
    rules = PresenceRules(2 * S, post_s * S, max(hold_s, post_s) * S, max_s * S)
    presences, at_s = [], 10.0
    for gap_s, length_s in steps:
        presences.append((round(at_s + gap_s, 1), round(at_s + gap_s + length_s, 1)))
        at_s = presences[-1][1]

    changes = Film(machine(rules), latency_us).play(presences, at_s + 20)

    closed = [change for change in changes if isinstance(change, Closed)]
    assert sum(isinstance(change, Opened) for change in changes) == len(closed)
    for start_s, end_s in presences:
        if end_s - start_s < 0.2:  # one look is no confirmed track
            continue
        for at_us in range(round(start_s * S), round(end_s * S) + 1, S // 5):
            assert any(c.event.window_start_us <= T0 + at_us <= c.window_end_us for c in closed)
    for before, after in itertools.pairwise(closed):
        assert before.event.last_seen_us <= after.event.started_us
        if after.event.continues is None and before.reason is EndReason.LEFT:
            assert after.event.started_us - before.event.last_seen_us > rules.hold_us
        elif after.event.continues is None:  # over its length while nobody was in view
            assert after.event.started_us - before.event.last_seen_us > rules.pre_us + rules.post_us
        else:
            assert after.event.window_start_us == before.window_end_us
    for change in closed:
        assert change.event.started_us <= change.event.last_seen_us <= change.window_end_us
        assert change.event.last_seen_us - change.event.started_us <= rules.max_length_us


def seen(watched: PresenceMachine, at_s: int, from_s: int) -> tuple[PresenceChange, ...]:
    """One look that shows somebody who is there since `from_s`."""
    return watched.frame(Sighting(T0 + from_s * S, T0 + at_s * S, ("person",)), T0 + at_s * S, at_s * S)


def test_camera_that_left_after_the_hold_time_did_not_take_the_person_with_it() -> None:
    watched = machine()
    seen(watched, 100, 100)
    watched.camera_lost(100 * S + RULES.hold_us + 1)
    (closed,) = watched.tick(100 * S + RULES.hold_us + RULES.settle_us + 1)
    assert isinstance(closed, Closed)
    assert closed.reason is EndReason.LEFT


def test_event_over_its_length_is_not_filled_up_with_an_empty_room() -> None:
    watched = machine(PresenceRules(pre_us=S, post_us=2 * S, hold_us=60 * S, max_length_us=10 * S))
    seen(watched, 100, 100)
    seen(watched, 105, 100)
    closed, opened = seen(watched, 130, 130)
    assert isinstance(closed, Closed)
    assert isinstance(opened, Opened)
    assert (closed.window_end_us, closed.reason) == (T0 + 107 * S, EndReason.MAX_LENGTH)
    assert opened.event.window_start_us == T0 + 129 * S
