"""Databases of every release, with an open event in them, go on working with this version."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from iris.base.ids import CameraId
from iris.outbox.camera_db import CameraDb
from iris.outbox.marks import RelayMarks
from iris.outbox.reader import CameraDbReader
from iris.store.engine import open_store, sqlite_url
from iris.store.events import EventFilters
from iris.store.migrate import migrate
from tests.tree import ROOT

RELEASES = sorted((ROOT / "tests" / "fixtures" / "releases").iterdir())


def restored(release: Path, name: str, path: Path) -> Path:
    """A database file made from the kept text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript((release / f"{name}.sql").read_text(encoding="utf-8"))
    connection.commit()
    connection.close()
    return path


@pytest.fixture(params=RELEASES, ids=lambda path: str(path.name))
def release(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_main_database_of_a_release_migrates_with_its_open_event(release: Path, tmp_path: Path) -> None:
    url = sqlite_url(restored(release, "vms", tmp_path / "vms.db"))
    migrate(url)
    store = open_store(url)
    with store.reading() as work:
        events, _ = work.events.page(EventFilters(), limit=50)
        assert sorted(event.state for event in events) == ["open", "partial"]
        ended = next(event for event in events if event.state == "partial")
        assert len(work.events.get(ended.event_id).clip_files) == 1
        assert [camera.name for camera in work.cameras.all()] == ["Gate"]
        assert work.system.identity() is not None
    store.close()


def test_camera_file_of_a_release_goes_on_with_its_open_event(release: Path, tmp_path: Path) -> None:
    camera_id = CameraId("0193b0a0-0000-7000-8000-000000000001")
    path = restored(release, "camera", tmp_path / "node" / f"{camera_id}.db")
    CameraDb(path).close()
    reader = CameraDbReader(tmp_path)
    [open_event] = reader.open_events(camera_id)
    messages = [message for _, message in reader.rows_after(camera_id, 0, 100)]
    assert open_event.event_id in {message.event_id for message in messages}
    assert reader.newest_end_us(camera_id) is not None
    reader.close()
    marks = RelayMarks(restored(release, "relay", tmp_path / "relay.db"))
    assert open_event.event_id in [event_id for _, event_id in marks.unfinished_events()]
    marks.close()
