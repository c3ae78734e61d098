"""A media disk that is unmounted while Iris runs: whoever works with its files waits, nothing is put or removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from iris.adapters.event_files import DiskEventFiles
from iris.adapters.id_source import Uuid7Source
from iris.adapters.media_marks import make_media_marks
from iris.adapters.store_mark import expect_media_folders, first_mark
from iris.base.errors import UnavailableError
from iris.contracts.removal import EventPlace, RemovedEvents
from tests.builders.events import CAMERA_ID, uuid_of


def quiet(step: str, done: int, total: int) -> None:
    """Nobody listens."""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    mark = first_mark(tmp_path, Uuid7Source())
    make_media_marks(tmp_path, mark.store_id)
    return tmp_path


@pytest.mark.parametrize("name", ["recordings", "thumbnails", "pending", "segments"])
def test_folder_is_missed_until_it_is_back(data_dir: Path, name: str) -> None:
    expect_media_folders(data_dir)
    (data_dir / name).rename(data_dir / "unmounted")
    (data_dir / name).mkdir()
    with pytest.raises(UnavailableError, match=f"{name} has lost its mark"):
        expect_media_folders(data_dir)
    (data_dir / name).rmdir()
    (data_dir / "unmounted").rename(data_dir / name)
    expect_media_folders(data_dir)


def test_files_of_a_removed_event_wait_for_their_disk(data_dir: Path) -> None:
    removed = RemovedEvents((EventPlace(uuid_of(1), CAMERA_ID),))
    clip = data_dir / "recordings" / CAMERA_ID / f"{uuid_of(1)}.mp4"
    clip.parent.mkdir()
    clip.write_bytes(b"clip")
    (data_dir / "recordings").rename(data_dir / "unmounted")
    (data_dir / "recordings").mkdir()
    with pytest.raises(UnavailableError):
        DiskEventFiles(data_dir).purge(removed, quiet)
    (data_dir / "recordings").rmdir()
    (data_dir / "unmounted").rename(data_dir / "recordings")
    assert DiskEventFiles(data_dir).purge(removed, quiet).file_count == 1
    assert not clip.exists()
