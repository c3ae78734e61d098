"""Tracker and presence machine together on a film whose presences are known."""

from __future__ import annotations

import itertools
import statistics

import pytest

from iris.presence.machine import Closed, PresenceChange, PresenceMachine, PresenceRules
from iris.presence.trigger import sighting_of
from iris.tracking.tracker import Tracker
from tests.builders.film_detections import PRESENCES, detections_of

S = 1_000_000


def _closed(name: str, rules: PresenceRules) -> list[Closed]:
    numbers = itertools.count()
    machine, tracker = PresenceMachine(rules, lambda: str(next(numbers))), Tracker()
    changes: list[PresenceChange] = []
    at_us = 0
    for at_us, found in detections_of(name):
        sighting = sighting_of(tracker.update(found, at_us), frozenset({"person"}), at_us)
        changes += machine.frame(sighting, at_us, at_us)
        changes += machine.tick(at_us)
    machine.camera_lost()
    changes += machine.tick(at_us + rules.hold_us + rules.settle_us + 1)
    return [change for change in changes if isinstance(change, Closed)]


@pytest.mark.assets
def test_each_presence_of_the_film_is_one_event_when_the_cooldown_is_short() -> None:
    closed = _closed("one-by-one.mp4", PresenceRules(2 * S, 2 * S, 2 * S, 600 * S))

    truth = PRESENCES["one-by-one.mp4"]
    assert len(closed) == len(truth)
    errors_s = []
    for event, (start_s, end_s, _) in zip(closed, truth, strict=True):
        errors_s += [abs(event.event.started_us / S - start_s), abs(event.event.last_seen_us / S - end_s)]
    print("errors in seconds:", [round(error, 2) for error in errors_s])
    assert max(errors_s) <= 1.5
    assert statistics.median(errors_s) <= 0.7


@pytest.mark.assets
def test_film_is_one_event_when_the_cooldown_is_the_default() -> None:
    [event] = _closed("one-by-one.mp4", PresenceRules(5 * S, 10 * S, 15 * S, 600 * S))

    assert event.reason.value == "camera_lost"
    assert event.event.started_us / S == pytest.approx(6.5, abs=1.5)
    assert event.event.last_seen_us / S == pytest.approx(135.5, abs=1.5)


@pytest.mark.assets
@pytest.mark.parametrize("name", ["two-faces.mp4", "three-faces.mp4"])
def test_people_in_view_together_are_one_event(name: str) -> None:
    [event] = _closed(name, PresenceRules(2 * S, 2 * S, 2 * S, 600 * S))

    assert event.event.started_us / S == pytest.approx(4, abs=1.5)
    assert event.event.last_seen_us / S == pytest.approx(24, abs=1.5)
