"""Media folders carry the store's mark: a missing, swapped or emptied one stops the start, and nothing is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.adapters.id_source import Uuid7Source
from iris.adapters.media_marks import MEDIA_FOLDERS, MEDIA_MARK
from iris.adapters.store_mark import check_sqlite_pair, holds_footage, read_mark
from iris.base.errors import StoreMismatchError
from iris.contracts.events import FinaliseEvent
from iris.store.engine import Store, open_store, sqlite_url
from iris.store.migrate import migrate
from tests.builders.events import CAMERA_ID, NODE_ID, clip_of, event_message
from workers.wiring.pairing import pair_store

IDS = Uuid7Source()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data_dir: Path) -> Iterator[Store]:
    url = sqlite_url(data_dir / "vms.db")
    migrate(url)
    opened = open_store(url)
    yield opened
    opened.close()


def _listing(folder: Path) -> list[str]:
    """Everything that the footage consists of; the database's own side files come and go as it is opened."""
    return sorted(str(path) for path in folder.rglob("*") if not path.name.startswith("vms.db"))


def _start(store: Store, data_dir: Path) -> None:
    """What a node does at its start, first without and then with the database opened for writing."""
    check_sqlite_pair(data_dir, data_dir / "vms.db")
    pair_store(store, data_dir, IDS)


def _as_of_first_release(data_dir: Path) -> None:
    for name in MEDIA_FOLDERS:
        (data_dir / name / MEDIA_MARK).unlink()
    values = json.loads((data_dir / "store.json").read_text())
    del values["folders"]
    (data_dir / "store.json").write_text(json.dumps(values))


def _record_clips(store: Store, data_dir: Path, count: int) -> None:
    (data_dir / "node").mkdir(exist_ok=True)
    (data_dir / "node" / "id").write_text(NODE_ID)
    for number in range(1, count + 1):
        message = event_message(number, "closed")
        clip = clip_of(message)
        with store.writing() as work:
            work.events.finalise(FinaliseEvent(message, clip), 1)
        (data_dir / clip.files[0].path).parent.mkdir(exist_ok=True)
        (data_dir / clip.files[0].path).touch()


def test_first_start_marks_every_media_folder(store: Store, data_dir: Path) -> None:
    mark = pair_store(store, data_dir, IDS)
    assert {(data_dir / name / MEDIA_MARK).read_text().strip() for name in MEDIA_FOLDERS} == {mark.store_id}
    found = read_mark(data_dir)
    assert found is not None
    assert found.folders == tuple(sorted(MEDIA_FOLDERS))
    assert not holds_footage(data_dir)
    before = _listing(data_dir)
    _start(store, data_dir)
    assert _listing(data_dir) == before


@pytest.mark.parametrize("name", MEDIA_FOLDERS)
def test_start_refuses_a_folder_without_its_mark(store: Store, data_dir: Path, name: str) -> None:
    _start(store, data_dir)
    (data_dir / name / MEDIA_MARK).unlink()
    before = _listing(data_dir)
    said = rf"{name} has lost its mark .*is its disk not mounted\? .*--accept-empty {name}"
    with pytest.raises(StoreMismatchError, match=said):
        check_sqlite_pair(data_dir, data_dir / "vms.db")
    with pytest.raises(StoreMismatchError, match=said):
        pair_store(store, data_dir, IDS)
    assert _listing(data_dir) == before


@pytest.mark.parametrize("name", MEDIA_FOLDERS)
def test_start_refuses_a_folder_of_another_store(store: Store, data_dir: Path, name: str) -> None:
    _start(store, data_dir)
    (data_dir / name / MEDIA_MARK).write_text("019f0000-0000-7000-8000-000000000009\n")
    with pytest.raises(StoreMismatchError, match=rf"{name} belongs to store 019f.*mount the folder"):
        _start(store, data_dir)


def test_start_marks_a_data_directory_of_the_first_release(store: Store, data_dir: Path) -> None:
    pair_store(store, data_dir, IDS)
    _record_clips(store, data_dir, 5)
    _as_of_first_release(data_dir)
    _start(store, data_dir)
    assert all((data_dir / name / MEDIA_MARK).is_file() for name in MEDIA_FOLDERS)


def test_start_refuses_an_unmarked_folder_without_the_recorded_clips(store: Store, data_dir: Path) -> None:
    pair_store(store, data_dir, IDS)
    _record_clips(store, data_dir, 5)
    _as_of_first_release(data_dir)
    for clip in (data_dir / "recordings" / CAMERA_ID).iterdir():
        clip.unlink()
    said = "none of the newest 5 clips of the database lies in .*is its disk not mounted"
    with pytest.raises(StoreMismatchError, match=said):
        check_sqlite_pair(data_dir, data_dir / "vms.db")
    with pytest.raises(StoreMismatchError, match=said):
        pair_store(store, data_dir, IDS)
    assert not (data_dir / "recordings" / MEDIA_MARK).exists()


def test_start_marks_a_folder_of_the_first_release_where_single_clips_were_removed(
    store: Store, data_dir: Path
) -> None:
    pair_store(store, data_dir, IDS)
    _record_clips(store, data_dir, 4)
    _as_of_first_release(data_dir)
    for clip in (data_dir / "recordings" / CAMERA_ID).iterdir():
        clip.unlink()
    _start(store, data_dir)
    assert (data_dir / "recordings" / MEDIA_MARK).is_file()


def test_first_start_replaces_marks_of_a_store_that_left_no_footage(store: Store, data_dir: Path) -> None:
    old = pair_store(store, data_dir, IDS)
    (data_dir / "store.json").unlink()
    store.close()
    for path in data_dir.glob("vms.db*"):
        path.unlink()
    url = sqlite_url(data_dir / "vms.db")
    migrate(url)
    anew = open_store(url)
    try:
        _start(anew, data_dir)
        assert pair_store(anew, data_dir, IDS).store_id != old.store_id
    finally:
        anew.close()
