"""Best shots and what is kept for events."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iris.adapters.pending import PendingFiles
from iris.adapters.pins import pinned_events
from iris.base.errors import InputError, StorageError
from tests.builders.events import uuid_of

EVENT = uuid_of(1)


def test_thumbnail_is_replaced_as_a_whole(tmp_path: Path) -> None:
    files = PendingFiles(tmp_path)
    assert not files.has_thumbnail(EVENT)
    for jpeg in (b"first", b"second"):
        files.save_thumbnail(EVENT, jpeg)

    assert files.has_thumbnail(EVENT)
    assert [path.name for path in (tmp_path / "pending" / EVENT).iterdir()] == ["thumbnail.jpg"]
    assert (tmp_path / "pending" / EVENT / "thumbnail.jpg").read_bytes() == b"second"


def test_old_thumbnail_stays_when_the_new_one_cannot_be_written(tmp_path: Path) -> None:
    files = PendingFiles(tmp_path)
    files.save_thumbnail(EVENT, b"first")
    (tmp_path / "pending" / EVENT / "thumbnail.jpg.part").mkdir()  # where the new one is to be written

    with pytest.raises(StorageError):
        files.save_thumbnail(EVENT, b"second")
    assert (tmp_path / "pending" / EVENT / "thumbnail.jpg").read_bytes() == b"first"


def test_segment_of_two_events_is_measured_once(tmp_path: Path) -> None:
    files = PendingFiles(tmp_path)
    assert files.pinned_bytes() == 0
    source = tmp_path / "seg_1.mp4"
    source.write_bytes(b"x" * 1000)
    for number in (1, 2):
        folder = tmp_path / "pending" / uuid_of(number)
        folder.mkdir(parents=True)
        os.link(source, folder / source.name)

    assert files.pinned_bytes() == 1000
    assert files.disk_bytes() > 1000


def test_unpin_and_release_may_be_done_again(tmp_path: Path) -> None:
    files = PendingFiles(tmp_path)
    files.save_thumbnail(EVENT, b"first")
    for _ in range(2):
        files.unpin(EVENT, "seg_1.mp4")
        files.release(EVENT)

    files.unpin(EVENT, "seg_1.mp4")  # makes no folder again

    assert pinned_events(tmp_path) == set()


def test_event_id_that_is_a_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        PendingFiles(tmp_path).save_thumbnail("../escape", b"")
