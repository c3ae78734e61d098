"""What counts as somebody being seen."""

from __future__ import annotations

import pytest

from iris.domain.camera import DetectorBackend
from iris.domain.track import Track, TrackState
from iris.presence.trigger import sighting_of, trigger_labels

NOW = 1_700_000_000_000_000


def track(state: TrackState = TrackState.CONFIRMED, label: str = "person", last_us: int = NOW, first: int = 5) -> Track:
    return Track(1, state, label, 0.9, (0.0, 0.0, 10.0, 10.0), NOW - first, last_us, 3)


@pytest.mark.parametrize(
    "unseen",
    [
        track(TrackState.TENTATIVE),  # not sure yet
        track(TrackState.LOST, last_us=NOW - 1),  # only predicted
        track(TrackState.CONFIRMED, last_us=NOW - 1),  # of an earlier frame
        track(label="cat"),  # of no interest
    ],
)
def test_sighting_is_none_when_no_trigger_track_was_detected_in_this_frame(unseen: Track) -> None:
    assert sighting_of([unseen], frozenset({"person"}), NOW) is None


def test_sighting_begins_with_the_earliest_track_in_view() -> None:
    sighting = sighting_of([track(first=5), track(first=9)], frozenset({"person"}), NOW)

    assert sighting is not None
    assert (sighting.first_us, sighting.seen_us, sighting.labels) == (NOW - 9, NOW, ("person",))


def test_sighting_begins_when_it_is_seen_where_its_track_began_before_the_clock_was_set_back() -> None:
    # Else each frame would open an event in the future, which the next one closes.
    sighting = sighting_of([track(first=-7_200_000_000)], frozenset({"person"}), NOW)

    assert sighting is not None
    assert (sighting.first_us, sighting.seen_us) == (NOW, NOW)


@pytest.mark.parametrize(
    ("backend", "labels"),
    [
        (DetectorBackend.MOTION, {"motion"}),  # ignores the trigger classes
        (DetectorBackend.NONE, set()),
        (DetectorBackend.ONNX, {"person", "motion"}),  # motion stands in for a missing model
    ],
)
def test_labels_that_count_depend_on_the_backend(backend: DetectorBackend, labels: set[str]) -> None:
    assert trigger_labels(backend, ("person",)) == labels
