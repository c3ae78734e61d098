"""Rows come to tell the truth about files that are gone, whatever lies inside what."""

from __future__ import annotations

from dataclasses import replace

import pytest

from iris.base.ids import EventId
from iris.contracts.events import ClipResult, TimeRange
from iris.domain.event import EventState
from iris.store.engine import Store
from iris.store.events import EventRow
from iris.store.repairs import StoreRepairs
from tests.builders.events import S, clip_of, finalise_request, uuid_of

# Files of an event's clip as (start, end) in seconds of its window of 25 s; the second has parameters of its own.
BESIDE = ((0, 10), (10, 25))
INSIDE = ((0, 25), (8, 12))


def finished(store: Store, spans: tuple[tuple[int, int], ...], missing_s: int = 0) -> EventRow:
    request = finalise_request(1, missing_s=missing_s)
    start_us = request.message.window_start_us
    whole = clip_of(request.message, missing_s=missing_s)
    files = tuple(
        replace(
            whole.files[0], path=whole.files[0].path.replace(".mp4", f".{part}.mp4" if part else ".mp4"),
            start_us=start_us + start * S, end_us=start_us + end * S,
        )
        for part, (start, end) in enumerate(spans)
    )  # fmt: skip
    with store.writing() as work:
        work.events.finalise(replace(request, clip=replace(whole, files=files)), 1)
    return read(store)


def read(store: Store) -> EventRow:
    with store.reading() as work:
        return work.events.get(EventId(uuid_of(1)))


def spans_of(row: EventRow, ranges: tuple[TimeRange, ...]) -> list[tuple[float, float, str]]:
    at = row.window_start_us
    return [((span.start_us - at) / S, (span.end_us - at) / S, span.reason) for span in ranges]


@pytest.mark.parametrize(
    ("spans", "lost", "covered", "missing"),
    [
        (BESIDE, [0], [(10, 25, "")], [(0, 10, "clip_lost")]),
        (BESIDE, [1], [(0, 10, "")], [(10, 25, "clip_lost")]),
        (INSIDE, [0], [(8, 12, "")], [(0, 8, "clip_lost"), (12, 25, "clip_lost")]),
        (INSIDE, [1], [(0, 8, ""), (12, 25, "")], [(8, 12, "clip_lost")]),
    ],
)
def test_event_is_partial_where_some_of_its_files_are_lost(
    store: Store,
    spans: tuple[tuple[int, int], ...],
    lost: list[int],
    covered: list[tuple[float, float, str]],
    missing: list[tuple[float, float, str]],
) -> None:
    event = finished(store, spans)
    gone = [event.clip_files[part] for part in lost]
    assert StoreRepairs(store).lose_clip_files(event, gone, "lost", lambda: True) is EventState.PARTIAL
    row = read(store)
    assert (row.state, row.failure) == (EventState.PARTIAL, None)
    assert row.clip_files == tuple(file for file in event.clip_files if file not in gone)
    assert spans_of(row, row.covered) == covered
    assert spans_of(row, row.missing) == missing


def test_event_is_failed_where_all_of_its_files_are_lost(store: Store) -> None:
    event = finished(store, ((0, 20),), missing_s=5)
    assert StoreRepairs(store).lose_clip_files(event, event.clip_files, "lost", lambda: True) is EventState.FAILED
    row = read(store)
    assert (row.state, row.failure, row.clip_files, row.covered) == (EventState.FAILED, "lost", (), ())
    assert sorted(spans_of(row, row.missing)) == [(0, 20, "clip_lost"), (20, 25, "camera_offline")]


def test_nothing_is_lost_where_the_file_came_back_or_the_event_went(store: Store) -> None:
    event = finished(store, BESIDE)
    repairs = StoreRepairs(store)
    assert repairs.lose_clip_files(event, event.clip_files, "lost", lambda: False) is None
    other = replace(event, clip_files=event.clip_files[:1])
    assert repairs.lose_clip_files(other, event.clip_files, "lost", lambda: True) is None
    unknown = replace(event, event_id=EventId(uuid_of(7)))
    assert repairs.lose_clip_files(unknown, event.clip_files, "lost", lambda: True) is None
    assert not repairs.replace_clip(unknown, ClipResult("failed"))
    assert read(store) == event


def test_thumbnail_is_forgotten_only_where_the_row_still_names_it(store: Store) -> None:
    event = finished(store, BESIDE)
    repairs = StoreRepairs(store)
    assert not repairs.forget_thumbnail(event.event_id, "thumbnails/other.jpg")
    assert event.thumbnail_path is not None
    assert repairs.forget_thumbnail(event.event_id, event.thumbnail_path)
    assert read(store).thumbnail_path is None
