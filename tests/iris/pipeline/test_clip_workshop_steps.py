"""The clip workshop beside assembly: when to wait, abandoned events, thumbnails, release."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from iris.adapters.pins import pending_dir, pin_segment
from iris.base.errors import NotFoundError, StorageError
from iris.contracts.events import EventMessage
from iris.domain.event import OpenEvent
from iris.domain.segment import Gap, GapReason
from iris.outbox.writer import EventOutbox
from tests.builders.clip_place import EVENT, NODE, Place, S, T, quiet
from tests.builders.recorded_camera import RecordedCamera, make_film


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4", b_frames=2, sound=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    camera = RecordedCamera(tmp_path / "data")
    yield Place(camera)
    camera.close()


@pytest.mark.parametrize(
    ("gap", "now_s", "settled"),
    [
        (None, 20, False),  # the last segment ends at 12 s
        (Gap(T + 12 * S, None, GapReason.CAMERA_OFFLINE), 20, True),
        (Gap(T + 12 * S, None, GapReason.CAMERA_OFFLINE), 13, False),  # it may be back before the end
        (Gap(T + 12 * S, T + 13 * S, GapReason.CAMERA_OFFLINE), 20, False),
        (Gap(T + 12 * S, T + 15 * S, GapReason.CAMERA_OFFLINE), 20, True),
        (Gap(T + 14 * S, None, GapReason.CAMERA_OFFLINE), 20, False),  # a segment from 12 to 14 s is not durable yet
    ],
)
def test_settled_says_whether_more_can_come(
    place: Place, film: Path, gap: Gap | None, now_s: int, *, settled: bool
) -> None:
    place.camera.record(film, T)
    if gap is not None:
        place.camera.add_gap(gap)
    place.clock.advance_s(now_s)
    assert place.workshop.settled(place.request(5, 15)) is settled
    assert place.workshop.settled(place.request(5, 12))


def test_settled_waits_for_no_window_of_a_clock_that_was_set_back_since(place: Place, film: Path) -> None:
    place.camera.record(film, T)
    place.clock.step_wall_us(-7200 * S)
    assert place.workshop.settled(place.request(5, 13))


def test_settled_follows_gaps_when_nothing_was_ever_recorded(place: Place) -> None:
    assert not place.workshop.settled(place.request(5, 15))
    place.camera.add_gap(Gap(T, T + 9 * S, GapReason.CAMERA_OFFLINE))
    assert not place.workshop.settled(place.request(5, 15))
    place.camera.add_gap(Gap(T + 9 * S, T + 15 * S, GapReason.PROCESS_DIED))
    assert place.workshop.settled(place.request(5, 15))


def outbox_of(place: Place) -> EventOutbox:
    return EventOutbox(place.camera._db, place.clock)


def open_event(place: Place, *, closed: bool = False) -> EventOutbox:
    outbox = outbox_of(place)
    outbox.begin(OpenEvent(EVENT, T + 3 * S, T + 3 * S, T + S, ("person",), 0))
    message = EventMessage(
        "opened", EVENT, place.camera.camera_id, NODE, 0, T + 3 * S, T + 3 * S, T + S, labels=("person",)
    )
    outbox.append(message)
    outbox.append(replace(message, kind="updated", last_seen_us=T + 5 * S))
    if closed:
        outbox.append(replace(message, kind="closed", last_seen_us=T + 6 * S, window_end_us=T + 8 * S))
    return outbox


def test_abandoned_is_none_while_the_camera_process_holds_the_event(place: Place) -> None:
    open_event(place)
    assert place.workshop.close_abandoned(place.ref) is None


def test_abandoned_closes_where_last_seen_when_the_process_is_gone(place: Place) -> None:
    open_event(place).touch(EVENT, T + 7 * S)
    place.running = False
    message = place.workshop.close_abandoned(place.ref)
    assert message is not None
    assert (message.kind, message.end_reason, message.seq) == ("closed", "abandoned", 3)
    assert (message.last_seen_us, message.window_end_us) == (T + 7 * S, T + 17 * S)
    assert (message.started_us, message.window_start_us, message.labels) == (T + 3 * S, T + S, ("person",))


def test_abandoned_gives_the_closing_message_when_the_camera_wrote_one(place: Place) -> None:
    open_event(place, closed=True)
    message = place.workshop.close_abandoned(place.ref)
    assert message is not None
    assert (message.kind, message.window_end_us, message.end_reason) == ("closed", T + 8 * S, None)


def test_abandoned_says_so_when_nobody_knows_the_event(place: Place) -> None:
    with pytest.raises(NotFoundError):
        place.workshop.close_abandoned(place.ref)


def test_thumbnail_is_the_best_shot_when_there_is_one(place: Place) -> None:
    folder = pending_dir(place.camera.data_dir, EVENT)
    folder.mkdir(parents=True)
    (folder / "thumbnail.jpg").write_bytes(b"jpeg")
    for _ in range(2):
        result = place.workshop.publish_thumbnail(place.ref)
        assert (result.path, result.size_bytes) == (f"thumbnails/{EVENT}.jpg", 4)
    assert [path.name for path in place.path("thumbnails").iterdir()] == [f"{EVENT}.jpg"]
    place.workshop.release(place.ref)
    assert place.workshop.publish_thumbnail(place.ref).path == f"thumbnails/{EVENT}.jpg"


def test_thumbnail_is_a_keyframe_of_the_event_when_no_best_shot_was_kept(place: Place, film: Path) -> None:
    segments = place.camera.record(film, T)
    open_event(place)
    pin_segment(place.camera.data_dir, EVENT, segments[1])
    place.camera.path(segments[1]).unlink()
    result = place.workshop.publish_thumbnail(place.ref)
    assert result.path == f"thumbnails/{EVENT}.jpg"
    assert place.path(result.path).read_bytes()[:3] == b"\xff\xd8\xff"


def test_thumbnail_is_none_when_nothing_was_recorded(place: Place) -> None:
    assert place.workshop.publish_thumbnail(place.ref).path is None
    open_event(place)
    assert place.workshop.publish_thumbnail(place.ref).path is None


def test_release_drops_pins_and_marks_the_event(place: Place, film: Path) -> None:
    segments = place.camera.record(film, T)
    pin_segment(place.camera.data_dir, EVENT, segments[0])
    for _ in range(2):
        place.workshop.release(place.ref)
    assert not pending_dir(place.camera.data_dir, EVENT).exists()
    assert place.camera.path(segments[0]).exists()
    assert place.terminal == [(place.camera.camera_id, EVENT)] * 2


def everything_of_the_event(place: Place) -> set[str]:
    found = (path for path in place.camera.data_dir.rglob(f"*{EVENT}*"))
    return {path.relative_to(place.camera.data_dir).as_posix() for path in found}


def test_discard_removes_what_was_published_and_releases(place: Place, film: Path) -> None:
    segments = place.camera.record(film, T)
    pin_segment(place.camera.data_dir, EVENT, segments[0])
    assert place.workshop.assemble(place.request(0, 2), quiet).files
    open_event(place)
    assert place.workshop.publish_thumbnail(place.ref).path
    for _ in range(2):
        place.workshop.discard(place.ref)
    assert everything_of_the_event(place) == set()
    assert all(place.camera.path(segment).exists() for segment in segments)
    assert place.terminal == [(place.camera.camera_id, EVENT)] * 2


def test_discard_waits_for_an_assembly_that_still_runs_and_leaves_nothing_of_it(place: Place, film: Path) -> None:
    place.camera.record(film, T)
    muxing, go_on = threading.Event(), threading.Event()

    def hold(step: str, done: int, total: int) -> None:
        muxing.set()
        assert go_on.wait(20)

    assembly = threading.Thread(target=lambda: place.workshop.assemble(place.request(0, 2), hold))
    assembly.start()
    assert muxing.wait(20)
    try:
        with pytest.raises(StorageError, match="still making"):
            place.workshop.discard(place.ref)
        assert place.terminal == []
    finally:
        go_on.set()
        assembly.join(20)
    assert everything_of_the_event(place)
    place.workshop.discard(place.ref)
    assert everything_of_the_event(place) == set()
