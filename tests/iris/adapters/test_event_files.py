"""Files of removed events: all of them go, nothing else does, however often and after whatever death."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iris.adapters.event_files import DiskEventFiles
from iris.base.errors import InputError, StorageError
from iris.contracts.removal import EventPlace, PurgedFiles, RemovedEvents
from tests.builders.events import CAMERA_ID, uuid_of

ONE, TWO = uuid_of(1), uuid_of(2)
OF_ONE = (
    f"recordings/{CAMERA_ID}/{ONE}.mp4", f"recordings/{CAMERA_ID}/{ONE}.1.mp4",
    f"recordings/{CAMERA_ID}/{ONE}.mp4.part", f"thumbnails/{ONE}.jpg", f"thumbnails/{ONE}.jpg.part",
    f"pending/{ONE}/seg_1.mp4", f"pending/{ONE}/thumbnail.jpg",
)  # fmt: skip
OF_TWO = (f"recordings/{CAMERA_ID}/{TWO}.mp4", f"thumbnails/{TWO}.jpg", f"pending/{TWO}/seg_1.mp4")
RING = f"segments/{CAMERA_ID}/seg_1.mp4"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    for name in (*OF_ONE, *OF_TWO, RING):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    return tmp_path


def files(data_dir: Path) -> set[str]:
    return {path.relative_to(data_dir).as_posix() for path in data_dir.rglob("*") if path.is_file()}


def purge(data_dir: Path, *event_ids: str) -> PurgedFiles:
    removed = RemovedEvents(tuple(EventPlace(event_id, CAMERA_ID) for event_id in event_ids))
    return DiskEventFiles(data_dir).purge(removed, lambda *_: None)


def test_purge_removes_every_file_of_an_event_and_no_other(data_dir: Path) -> None:
    assert purge(data_dir, ONE) == PurgedFiles(file_count=7, size_bytes=25)
    assert files(data_dir) == {*OF_TWO, RING}
    assert not (data_dir / "pending" / ONE).exists()
    assert purge(data_dir, ONE) == PurgedFiles()
    assert purge(data_dir, uuid_of(3)) == PurgedFiles()
    assert files(data_dir) == {*OF_TWO, RING}


def test_purge_says_how_far_it_is(data_dir: Path) -> None:
    told: list[tuple[str, int, int]] = []
    removed = RemovedEvents(tuple(EventPlace(uuid_of(number), CAMERA_ID) for number in range(1, 50)))
    DiskEventFiles(data_dir).purge(removed, lambda step, done, total: told.append((step, done, total)))
    assert told == [("remove files", done, 49) for done in (0, 20, 40)]
    assert files(data_dir) == {RING}


@pytest.mark.parametrize("place", [EventPlace("../../x", CAMERA_ID), EventPlace(ONE, ".."), EventPlace("*", CAMERA_ID)])
def test_purge_touches_nothing_when_an_id_is_none(data_dir: Path, place: EventPlace) -> None:
    before = files(data_dir)
    with pytest.raises(InputError):
        DiskEventFiles(data_dir).purge(RemovedEvents((EventPlace(ONE, CAMERA_ID), place)), lambda *_: None)
    assert files(data_dir) == before


def test_purge_forces_each_folder_to_disk_also_when_the_files_are_gone_already(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    purge(data_dir, ONE)  # an attempt that died after the last unlink
    synced: list[str] = []
    monkeypatch.setattr("iris.adapters.event_files.fsync_dir", lambda path: synced.append(path.name))
    purge(data_dir, ONE)
    assert sorted(synced) == sorted([CAMERA_ID, "pending", "thumbnails"])


def test_purge_fails_and_finishes_later_when_the_disk_refuses(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".jpg":
            raise OSError(5, "Input/output error")
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(StorageError, match="remove"):
        purge(data_dir, ONE)
    monkeypatch.undo()
    purge(data_dir, ONE)
    assert files(data_dir) == {*OF_TWO, RING}


def test_clip_is_read_to_its_end_when_it_is_open_while_it_goes(data_dir: Path) -> None:
    descriptor = os.open(data_dir / OF_ONE[0], os.O_RDONLY)
    try:
        purge(data_dir, ONE)
        assert os.pread(descriptor, 10, 0) == b"12345"
    finally:
        os.close(descriptor)
