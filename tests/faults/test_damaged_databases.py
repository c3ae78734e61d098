"""Databases that were damaged on disk: refused with a sentence, or recovered; never emptied, and nobody else stops.

Reliability case R18, for the main database, a camera's own file and the node's. A page is overwritten, a journal of
recent commits is cut off, a shared-memory file is gone.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from iris.base.errors import StorageError, StoreError
from iris.base.ids import CameraId, RunId
from iris.base.sqlite import sqlite_module
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.check import read_camera_files
from iris.outbox.reader import CameraDbReader
from iris.outbox.segments import DurableSegment, RunRow, SegmentIndex
from iris.store.check import integrity_problems, walk_events
from iris.store.engine import open_store, sqlite_url
from iris.store.migrate import migrate
from tests.builders.events import CAMERA_ID, event_message
from tests.e2e.running_iris import RunningIris, wait_until
from tests.faults.ledger import Ledger, rounds
from tests.faults.stage import SETTINGS, FaultStage

CAMERA = CameraId(CAMERA_ID)
ROWS = 200
_ERRORS = (sqlite3.Error, sqlite_module().Error)


def filled_camera(folder: Path) -> Path:
    """A camera's file with many segments, the last commits in its journal, as a dead process left it."""
    db = CameraDb(camera_db_path(folder, CAMERA))
    index = SegmentIndex(db)
    index.begin_run(RunRow(RunId("run"), 1, "params", "h264", 160, 96, ""))
    for number in range(1, ROWS + 1):
        path, start_us = f"segments/{CAMERA}/seg_{number}.mp4", number * 1000
        segment_id = index.begin_segment(RunId("run"), f"{path}.part", start_us)
        index.finish_segment(segment_id, DurableSegment(path, start_us, start_us + 1000, 9, 3, 0, "0" * 64, 1000))
    dead = copied(camera_db_path(folder, CAMERA), folder / "dead")
    db.close()
    return dead


def filled_store(folder: Path) -> Path:
    """The same of a main database with many events."""
    path = folder / "vms.db"
    migrate(sqlite_url(path))
    store = open_store(sqlite_url(path))
    for number in range(1, ROWS + 1):
        with store.writing() as work:
            work.events.record(event_message(number), number)
    dead = copied(path, folder / "dead")
    store.close()
    return dead


def copied(path: Path, folder: Path) -> Path:
    """A database and its companions as a dead process leaves them."""
    folder.mkdir(parents=True)
    for suffix in ("", "-wal", "-shm"):
        shutil.copy(path.with_name(path.name + suffix), folder / (path.name + suffix))
    return folder / path.name


def camera_rows(data_dir: Path) -> list[int]:
    """Starts of the segments that the node finds."""
    reader = CameraDbReader(data_dir)
    try:
        return [segment.start_us // 1000 for segment in reader.segments_between(CAMERA, 0, 10**9)]
    finally:
        reader.close()


def store_rows(path: Path) -> list[int]:
    """Numbers of the events, oldest first."""
    store = open_store(sqlite_url(path))
    try:
        return [int(event.event_id[-12:], 16) for event in walk_events(store)][::-1]
    finally:
        store.close()


def overwrite_page(path: Path, dice: random.Random) -> None:
    """One page of 4 KiB, not the first, becomes noise; a checkpoint has put everything into the file before."""
    connection = sqlite_module().connect(str(path))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    page = dice.randrange(1, path.stat().st_size // 4096)
    with path.open("r+b") as file:
        file.seek(page * 4096)
        file.write(dice.randbytes(4096))


def camera_is_whole(data_dir: Path) -> bool:
    """What `iris check` says of the file."""
    [found] = read_camera_files(data_dir)
    return not found.problems


def store_is_whole(path: Path) -> bool:
    store = open_store(sqlite_url(path))
    try:
        return not integrity_problems(store)
    except StoreError:
        return False
    finally:
        store.close()


def read_or_refused(read: Callable[[], list[int]]) -> list[int] | None:
    """What is read; None where it is refused with an error of Iris."""
    try:
        return read()
    except (StorageError, StoreError):
        return None


@pytest.mark.timeout(600)
def test_database_with_a_damaged_page_is_refused_or_seen_by_the_check_and_never_emptied(tmp_path: Path) -> None:
    camera = filled_camera(tmp_path / "camera")
    store = filled_store(tmp_path)
    everything = list(range(1, ROWS + 1))
    with Ledger("R18", "a page overwritten", "files") as ledger:
        dice = ledger.random
        problems = []
        for number in range(rounds(10, 200)):
            data_dir = tmp_path / f"camera-{number}"
            damaged = copied(camera, data_dir / "node")
            overwrite_page(damaged, dice)
            before = damaged.read_bytes()
            rows = read_or_refused(partial(camera_rows, data_dir))
            seen = not camera_is_whole(data_dir)
            if rows != everything and not seen:
                problems.append(f"camera {number}: {len(rows or ())} rows, and the check holds")
            if damaged.read_bytes() != before:
                problems.append(f"camera {number}: reading changed the file")

            damaged = copied(store, tmp_path / f"store-{number}")
            overwrite_page(damaged, dice)
            rows = read_or_refused(partial(store_rows, damaged))
            if rows != everything and store_is_whole(damaged):
                problems.append(f"store {number}: {len(rows or ())} rows, and the check holds")
            ledger.rounds += 2
        ledger.failed(violations=len(problems))
        assert not problems, "\n".join(problems)


@pytest.mark.timeout(600)
def test_database_keeps_all_before_the_cut_when_its_journal_is_cut_off(tmp_path: Path) -> None:
    camera = filled_camera(tmp_path / "camera")
    store = filled_store(tmp_path)
    with Ledger("R18", "journal cut off or shared memory gone", "files") as ledger:
        dice = ledger.random
        problems = []
        for number in range(rounds(10, 200)):
            for name, path in (("camera", camera), ("store", store)):
                data_dir = tmp_path / f"{name}-{number}"
                damaged = copied(path, data_dir / "node" if name == "camera" else data_dir)
                damaged.with_name(f"{damaged.name}-shm").unlink()
                wal = damaged.with_name(f"{damaged.name}-wal")
                size = wal.stat().st_size
                keep = size if number % 2 else dice.randrange(size)
                with wal.open("r+b") as file:
                    file.truncate(keep)
                if name == "camera":
                    CameraDb(damaged).close()  # its owner comes first, as after every death
                    rows = camera_rows(data_dir)
                else:
                    rows = store_rows(damaged)
                if rows != list(range(1, len(rows) + 1)) or (keep == size and len(rows) != ROWS):
                    problems.append(f"{name} {number}: rows {rows[:3]}..{rows[-3:]} of {ROWS}, kept {keep} of {size}")
                ledger.rounds += 1
        ledger.failed(violations=len(problems))
        assert not problems, "\n".join(problems)


def _break_header(path: Path) -> bytes:
    """The file's first page becomes noise; what it was."""
    good = path.read_bytes()
    path.write_bytes(b"\xa5" * 4096 + good[4096:])
    return good


def _drop_companions(path: Path, suffixes: tuple[str, ...]) -> None:
    for suffix in suffixes:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _checkpoint(path: Path) -> None:
    connection = sqlite_module().connect(str(path))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_others_record_and_nothing_is_emptied_when_a_database_of_iris_is_damaged(tmp_path: Path) -> None:
    with Ledger("R18", "damaged files under a whole Iris", "starts") as ledger:
        iris = RunningIris(tmp_path / "data", **SETTINGS)
        with FaultStage(iris, cameras=2) as stage:
            first, second = stage.cameras
            wait_until(lambda: set(stage.witness.accepted.values()) == {first, second}, 60, "both cameras have events")
            accepted = set(stage.witness.accepted)
            wait_until(lambda: not accepted - set(stage.witness.ended), 60, "their events end")

            iris.kill_everything()
            node, main = iris.data_dir / "node", iris.data_dir / "vms.db"
            for path in (node / f"{second}.db", main):
                _drop_companions(path, ("-shm",))
            camera_db = node / f"{first}.db"
            _checkpoint(camera_db)
            good = _break_header(camera_db)
            _break_header(node / "cameras.db")  # a copy of what the main database says
            iris.start()
            wait_until(lambda: iris.status(second).get("state") == "recording", 30, "the other camera records")
            said = wait_until(lambda: _says(iris, first, "is damaged"), 30, "the damaged one says why")
            assert f"{first}.db" in said["sentence"]
            assert camera_db.read_bytes()[:4096] == b"\xa5" * 4096, "the damaged file was touched"
            assert {event["id"] for event in iris.events()} >= accepted, "events were forgotten"
            camera_db.write_bytes(good)
            wait_until(lambda: iris.status(first).get("state") == "recording", 30, "it records once its file is back")
            ledger.rounds += 1

            iris.kill_everything()
            _checkpoint(main)
            good = _break_header(main)
            left = {camera_id: _unfinished(iris, camera_id) for camera_id in (first, second)}
            iris.start(wait=False)
            for camera_id, before in left.items():
                anew = partial(_has_others, iris, camera_id, before)
                wait_until(anew, 60, "cameras record without the main database")
            wait_until(lambda: iris.health().get("status") == "degraded", 30, "health says so")
            assert "The database does not answer." in iris.health()["reasons"]
            assert main.read_bytes()[:4096] == b"\xa5" * 4096, "the damaged file was touched"
            assert "file is not a database" in iris.log()
            main.write_bytes(good)
            stage.until_healthy()
            assert {event["id"] for event in iris.events()} >= accepted, "events were forgotten"
            ledger.rounds += 1
            found = stage.verdict(ledger)
        found.expect_clean()


def _says(iris: RunningIris, camera_id: str, text: str) -> dict[str, Any] | None:
    status = iris.status(camera_id)
    return status if text in status.get("sentence", "") else None


def _unfinished(iris: RunningIris, camera_id: str) -> set[str]:
    """Segments that are being written, or were when their process died."""
    return {part.name for part in (iris.data_dir / "segments" / camera_id).glob("*.part")}


def _has_others(iris: RunningIris, camera_id: str, before: set[str]) -> bool:
    return bool(_unfinished(iris, camera_id) - before)
