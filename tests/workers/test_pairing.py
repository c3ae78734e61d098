from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.adapters.id_source import Uuid7Source
from iris.adapters.store_mark import StoreMark, check_one_file_system, check_sqlite_pair, first_mark, read_mark
from iris.base.errors import ConfigError, StoreMismatchError
from iris.config import Settings
from iris.store.engine import Store, open_store, sqlite_url
from iris.store.migrate import migrate
from tests.builders.events import event_message
from workers.wiring.pairing import pair_store, prepare_pair

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


def _other_store(tmp_path: Path) -> Store:
    url = sqlite_url(tmp_path / "other.db")
    migrate(url)
    return open_store(url)


def test_pair_is_made_on_the_first_start_and_holds_afterwards(store: Store, data_dir: Path) -> None:
    mark = pair_store(store, data_dir, IDS)
    assert mark.generation == 1
    assert read_mark(data_dir) == mark
    assert pair_store(store, data_dir, IDS) == mark
    (data_dir / "recordings" / "c").mkdir(parents=True)
    (data_dir / "recordings" / "c" / "e.mp4").touch()
    assert pair_store(store, data_dir, IDS) == mark


def test_pair_goes_on_when_the_first_start_was_cut_off_after_the_file(store: Store, data_dir: Path) -> None:
    mark = first_mark(data_dir, IDS)
    assert pair_store(store, data_dir, IDS) == mark


def test_pair_ignores_what_a_node_makes_before_the_database_answers(store: Store, data_dir: Path) -> None:
    (data_dir / "node").mkdir()
    for name in ("id", "cameras.db", "relay.db"):
        (data_dir / "node" / name).touch()
    assert pair_store(store, data_dir, IDS) == read_mark(data_dir)


@pytest.mark.parametrize(
    "footage",
    [
        "recordings/c/e.mp4",
        "segments/c/seg_1.mp4",
        "thumbnails/e.jpg",
        "pending/e/seg_1.mp4",
        "node/01890000-0000-7000-8000-00000000000c.db",
    ],
)
def test_pair_refuses_an_empty_database_beside_footage(store: Store, data_dir: Path, footage: str) -> None:
    (data_dir / footage).parent.mkdir(parents=True)
    (data_dir / footage).touch()
    with pytest.raises(StoreMismatchError, match=r"the database is new, but .*nothing was deleted"):
        pair_store(store, data_dir, IDS)
    assert (data_dir / footage).exists()
    assert read_mark(data_dir) is None


def test_pair_refuses_an_empty_database_beside_a_mark_and_footage(store: Store, data_dir: Path, tmp_path: Path) -> None:
    pair_store(store, data_dir, IDS)
    (data_dir / "segments" / "x").touch()
    other = _other_store(tmp_path)
    with pytest.raises(StoreMismatchError, match="the database is new"):
        pair_store(other, data_dir, IDS)
    other.close()


def test_pair_refuses_a_database_with_rows_but_without_an_id(store: Store, data_dir: Path) -> None:
    with store.writing() as work:
        work.events.record(event_message(), 7)
    with pytest.raises(StoreMismatchError, match="no store id"):
        pair_store(store, data_dir, IDS)


def test_pair_refuses_an_empty_mount(store: Store, data_dir: Path) -> None:
    pair_store(store, data_dir, IDS)
    (data_dir / "store.json").unlink()
    with pytest.raises(StoreMismatchError, match=r"has no store\.json; mount the right folder"):
        pair_store(store, data_dir, IDS)


@pytest.mark.parametrize(
    ("change", "said"),
    [({"store_id": "other"}, "belongs to store other"), ({"generation": 2}, "is of generation 2, the database of 1")],
)
def test_pair_refuses_when_the_two_are_no_pair(
    store: Store, data_dir: Path, change: dict[str, object], said: str
) -> None:
    mark = pair_store(store, data_dir, IDS)
    values = {"store_id": mark.store_id, "generation": mark.generation} | change
    (data_dir / "store.json").write_text(json.dumps(values))
    with pytest.raises(StoreMismatchError, match=said):
        pair_store(store, data_dir, IDS)


@pytest.mark.parametrize("text", ["", "x", "[]", '{"store_id": "a"}', '{"store_id": "a", "generation": "b"}'])
def test_pair_refuses_when_the_mark_is_damaged(store: Store, data_dir: Path, text: str) -> None:
    pair_store(store, data_dir, IDS)
    (data_dir / "store.json").write_text(text)
    with pytest.raises(StoreMismatchError, match="is damaged"):
        pair_store(store, data_dir, IDS)


def test_first_mark_keeps_the_one_there_is(data_dir: Path) -> None:
    assert first_mark(data_dir, IDS) == first_mark(data_dir, IDS) == read_mark(data_dir)
    assert isinstance(read_mark(data_dir), StoreMark)


def test_one_file_system_leaves_nothing_behind(data_dir: Path) -> None:
    check_one_file_system(data_dir)
    assert [list((data_dir / name).iterdir()) for name in ("segments", "pending")] == [[], []]


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="needs a second file system at /dev/shm")
def test_one_file_system_refuses_when_links_cannot_be_made(
    data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = Path("/dev/shm") / tmp_path_factory.mktemp("x").parent.name
    elsewhere.mkdir()
    try:
        data_dir.mkdir()
        (data_dir / "segments").mkdir()
        (data_dir / "pending").symlink_to(elsewhere)
        if elsewhere.stat().st_dev == data_dir.stat().st_dev:
            pytest.skip("the temporary folder lies on /dev/shm")
        with pytest.raises(ConfigError, match="must be on one file system"):
            check_one_file_system(data_dir)
    finally:
        elsewhere.rmdir()


def test_quick_look_refuses_footage_without_its_database_and_changes_nothing(tmp_path: Path) -> None:
    footage = tmp_path / "segments" / "camera" / "seg_1.mp4"
    footage.parent.mkdir(parents=True)
    footage.write_bytes(b"x")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreMismatchError, match="holds footage"):
        check_sqlite_pair(tmp_path, tmp_path / "vms.db")
    assert sorted(tmp_path.rglob("*")) == before


def test_quick_look_refuses_another_database_and_passes_its_own(tmp_path: Path) -> None:
    own, other = tmp_path / "own", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        url = sqlite_url(folder / "vms.db")
        migrate(url)
        store = open_store(url)
        pair_store(store, folder, Uuid7Source())
        store.close()
    check_sqlite_pair(own, own / "vms.db")
    check_sqlite_pair(own, None)
    with pytest.raises(StoreMismatchError):
        check_sqlite_pair(own, other / "vms.db")


def test_preparing_makes_no_database_when_footage_has_lost_its_own(data_dir: Path) -> None:
    (data_dir / "recordings" / "c").mkdir(parents=True)
    (data_dir / "recordings" / "c" / "e.mp4").touch()
    settings = Settings(data_dir=data_dir)
    store = open_store(settings.main_database_url)
    with pytest.raises(StoreMismatchError, match="there is no database"):
        prepare_pair(settings, store, IDS)
    store.close()
    assert not list(data_dir.glob("vms.db*"))
