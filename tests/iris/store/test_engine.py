from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from iris.base.errors import NotFoundError, StoreError
from iris.base.ids import CameraId, EventId
from iris.store.cameras import CameraDraft
from iris.store.engine import Store, open_store, sqlite_url
from iris.store.events import EventFilters
from iris.store.migrate import migrate
from tests.builders.events import event_message, finalise_request, uuid_of


def test_writing_keeps_nothing_when_it_raises(store: Store) -> None:
    def fail() -> None:
        with store.writing() as work:
            work.events.record(event_message(), 7)
            raise NotFoundError("on purpose")

    with pytest.raises(NotFoundError):
        fail()
    with store.reading() as work:
        assert work.events.page(EventFilters()) == ([], None)


def test_reading_sees_one_moment_while_others_write(store: Store) -> None:
    with store.writing() as work:
        work.events.record(event_message(1), 7)
    with store.reading() as work:
        before, _ = work.events.page(EventFilters())
        with store.writing() as other:
            other.events.record(event_message(2), 7)
            other.events.finalise(finalise_request(1), 9)
        assert work.events.page(EventFilters()) == (before, None)
        assert work.events.get(EventId(uuid_of(1))).state == "open"


def test_reading_cannot_write_when_postgresql(store: Store) -> None:
    if store.engine.dialect.name == "sqlite":
        return
    with pytest.raises(StoreError, match="read-only"), store.reading() as work:
        work.events.record(event_message(), 7)


def test_threads_that_apply_the_same_event_agree(store: Store) -> None:
    def apply(number: int) -> str:
        with store.writing() as work:
            if number % 3 == 0:
                return work.events.finalise(finalise_request(1), 9 + number).state
            return work.events.record(event_message(1, "closed" if number % 3 == 1 else "opened"), 7).state

    with ThreadPoolExecutor(8) as pool:
        states = set(pool.map(apply, range(48)))
    assert states <= {"open", "closing", "ready"}
    with store.reading() as work:
        event = work.events.get(EventId(uuid_of(1)))
        assert (event.state, len(event.clip_files), len(event.covered)) == ("ready", 1, 1)


CAMERA = CameraId(uuid_of(1, "c"))


def _rename_many(url: str, number: int) -> None:
    store = open_store(url)
    for turn in range(30):
        # Reads the row, then writes what it read plus one: lost or refused where the two are not one step.
        with store.writing() as work:
            work.cameras.update(CAMERA, {"name": f"{number}-{turn}"}, turn)
    store.close()


def test_processes_that_change_one_row_at_once_lose_nothing(migrated_url: str) -> None:
    store = open_store(migrated_url)
    with store.writing() as work:
        work.cameras.add(CAMERA, CameraDraft(name="x", rtsp_url_sealed=b"x", rtsp_url_masked="x"), 1)
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_rename_many, args=(migrated_url, number)) for number in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    with store.reading() as work:
        assert work.cameras.get(CAMERA).version == 1 + 3 * 30
    store.close()


def test_writer_waits_for_another_when_sqlite(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "vms.db")
    migrate(url)
    store = open_store(url)
    holding, done = threading.Event(), threading.Event()

    def hold() -> None:
        with store.writing() as work:
            work.events.record(event_message(1), 7)
            holding.set()
            assert not done.wait(0.3)  # the other one must not get in before this one is through

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(10)
    with store.writing() as work:
        work.events.record(event_message(2), 7)
        assert len(work.events.page(EventFilters())[0]) == 2
    done.set()
    thread.join(10)
    store.close()


def test_store_error_says_what_failed_when_the_server_is_away(tmp_path: Path) -> None:
    store = open_store(f"postgresql://iris:canary@/iris?host={tmp_path}")
    with pytest.raises(StoreError) as raised, store.reading() as work:
        work.system.identity()
    assert "the database failed" in str(raised.value)
    assert "canary" not in str(raised.value)


def test_store_error_holds_no_values_when_a_check_fails(store: Store) -> None:
    with pytest.raises(StoreError) as raised, store.writing() as work:
        work.events.record(event_message(camera_id="canary" * 3, last_seen_us=0), 7)
    assert "ck_events_order" in str(raised.value)


def test_store_makes_no_file_when_the_database_is_not_where_it_belongs(tmp_path: Path) -> None:
    store = open_store(sqlite_url(tmp_path / "vms.db"))
    with pytest.raises(StoreError, match="unable to open"), store.reading() as work:
        work.system.identity()
    assert not list(tmp_path.iterdir())
    migrate(sqlite_url(tmp_path / "vms.db"))
    with store.reading() as work:
        assert work.system.identity() is None
    store.close()
