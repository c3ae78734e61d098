"""A clip that was published stays the event's clip when the answer was lost and the footage has gone meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.adapters.pins import pending_dir
from tests.builders.clip_place import EVENT, Place, T
from tests.builders.recorded_camera import RecordedCamera, make_film


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    camera = RecordedCamera(tmp_path / "data")
    camera.record(make_film(tmp_path / "film.mp4", seconds=8), T)
    yield Place(camera)
    camera.close()


def lose_footage(place: Place) -> None:
    for segment in place.camera.segments:
        place.camera.path(segment).unlink()


def test_assemble_answers_the_same_when_the_footage_is_gone_since(place: Place) -> None:
    first = place.assemble(1, 7)
    written = place.path(first.files[0].path).stat()
    lose_footage(place)
    assert place.assemble(1, 7) == first
    again = place.path(first.files[0].path).stat()
    assert (again.st_ino, again.st_mtime_ns) == (written.st_ino, written.st_mtime_ns)


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"request": {}, "result": {}}'])
def test_assemble_makes_the_clip_anew_when_the_receipt_is_of_no_use(place: Place, damage: bytes) -> None:
    first = place.assemble(1, 7)
    (pending_dir(place.camera.data_dir, EVENT) / "clip.json").write_bytes(damage)
    assert place.assemble(1, 7) == first


def test_assemble_makes_the_clip_anew_when_the_published_file_was_changed(place: Place) -> None:
    first = place.assemble(1, 7)
    path = place.path(first.files[0].path)
    path.write_bytes(path.read_bytes()[:-1])
    assert place.assemble(1, 7) == first
    assert path.stat().st_size == first.files[0].size_bytes


def test_assemble_makes_another_clip_when_another_window_is_asked_for(place: Place) -> None:
    first = place.assemble(1, 7)
    assert place.assemble(1, 5) != first


def test_no_clip_is_left_behind_when_nothing_can_be_made_of_the_event_any_more(place: Place) -> None:
    first = place.assemble(1, 7)
    lose_footage(place)
    (pending_dir(place.camera.data_dir, EVENT) / "clip.json").unlink()
    assert place.assemble(1, 7).state == "failed"
    assert not place.path(first.files[0].path).exists()


def test_release_takes_the_receipt_along(place: Place) -> None:
    place.assemble(1, 7)
    place.workshop.release(place.ref)
    assert not pending_dir(place.camera.data_dir, EVENT).exists()
