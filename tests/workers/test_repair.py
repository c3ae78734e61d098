"""`iris check --repair` over a real data directory: one thing broken at a time, repaired, and checked again."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from iris.adapters.media_marks import make_media_marks
from iris.adapters.pins import pending_dir
from iris.adapters.process import hold_lock
from iris.base.errors import InputError, StoreMismatchError
from iris.domain.event import EventState
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.store.events import EventRow
from tests.builders.events import uuid_of
from tests.workers.test_check_command import CAMERA, Copy, failing, template
from workers.check.repair_log import RepairLog
from workers.check_command import check_command, repair

assert template  # the fixture that builds the place once

E1, E2 = uuid_of(1), uuid_of(2)


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Iterator[Copy]:
    shutil.copytree(template, tmp_path / "data")
    copy = Copy(tmp_path / "data")
    yield copy
    copy.store.close()


def mend(place: Copy, **options: object) -> RepairLog:
    return repair(place.settings, **options)  # type: ignore[arg-type]  # names and values are a test's own


def event(place: Copy, number: int) -> EventRow:
    with place.store.reading() as work:
        return work.events.get(uuid_of(number))  # type: ignore[arg-type]  # a plain id


def quarantined(place: Copy) -> set[str]:
    root = place.data_dir / "quarantine"
    return {path.relative_to(root).as_posix().partition("/")[2] for path in root.rglob("*") if path.is_file()}


def _unreadable_segments(place: Copy) -> None:
    for segment in (place.data_dir / "segments" / CAMERA).iterdir():
        segment.unlink()


def footage(place: Copy) -> set[str]:
    """Every file but the databases, whose side files come and go as they are read."""
    files = {path.relative_to(place.data_dir).as_posix() for path in place.data_dir.rglob("*") if path.is_file()}
    return {path for path in files if not path.startswith(("vms.db", "node/"))}


def test_repair_changes_nothing_on_a_sound_place(place: Copy) -> None:
    before = footage(place)
    log = mend(place)
    assert (log.done_lines, log.left_lines) == ([], [])
    assert footage(place) == before


@pytest.mark.parametrize("how", ["gone", "cut", "changed"])
def test_clip_is_made_anew_where_its_segments_still_exist(place: Copy, how: str) -> None:
    clip, was = place.clip(1), place.clip(1).read_bytes()
    if how == "gone":
        clip.unlink()
    else:
        clip.write_bytes(was[:-1000] if how == "cut" else was[:-1000] + bytes(1000))
    log = mend(place)
    assert len(log.done_lines) == 1
    assert f"event {E1}: its clip was made anew from its segments" in log.done_lines[0]
    assert failing(place.check(full=True)) == {}
    assert event(place, 1).state is EventState.READY
    assert (f"recordings/{CAMERA}/{E1}.mp4" in quarantined(place)) is (how != "gone")


def test_event_tells_that_its_clip_was_lost_where_its_footage_is_gone(place: Copy) -> None:
    _unreadable_segments(place)
    place.camera_sql("DELETE FROM segments")
    place.clip(1).unlink()
    log = mend(place)
    assert any(f"event {E1} is failed now" in line for line in log.done_lines)
    row = event(place, 1)
    assert row.state is EventState.FAILED
    assert row.failure is not None
    assert row.failure.startswith("Its clip was lost: No such file or directory. Found on 20")
    assert (row.clip_files, row.covered) == ((), ())
    assert [(span.start_us, span.end_us, span.reason) for span in row.missing] == [
        (row.window_start_us, row.window_end_us, "clip_lost")
    ]
    assert failing(place.check()) == {}


def test_damaged_clip_goes_into_quarantine_where_its_footage_is_gone(place: Copy) -> None:
    _unreadable_segments(place)
    place.camera_sql("DELETE FROM segments")
    os.truncate(place.clip(1), 5000)
    mend(place)
    assert event(place, 1).state is EventState.FAILED
    assert f"recordings/{CAMERA}/{E1}.mp4" in quarantined(place)
    assert failing(place.check()) == {}


def test_thumbnail_is_made_anew_from_its_clip(place: Copy) -> None:
    path = place.data_dir / "thumbnails" / f"{E1}.jpg"
    path.unlink()
    assert mend(place).done_lines == [f"event {E1}: its thumbnail was made anew from its clip"]
    assert path.read_bytes()[:3] == b"\xff\xd8\xff"
    assert failing(place.check()) == {}


def test_thumbnail_is_forgotten_where_there_is_no_clip(place: Copy) -> None:
    _unreadable_segments(place)
    place.camera_sql("DELETE FROM segments")
    place.clip(1).unlink()
    (place.data_dir / "thumbnails" / f"{E1}.jpg").unlink()
    assert any("has no thumbnail any more" in line for line in mend(place).done_lines)
    assert event(place, 1).thumbnail_path is None
    assert failing(place.check()) == {}


def _orphan(place: Copy) -> None:
    shutil.copy(place.clip(1), place.clip(9))


def _lone_segment(place: Copy) -> None:
    (place.data_dir / "segments" / CAMERA / "seg_5.mp4").touch()


def _stale_pins(place: Copy) -> None:
    pending_dir(place.data_dir, E1).mkdir()
    (pending_dir(place.data_dir, E1) / "seg_1.mp4").touch()


def _unknown_pins(place: Copy) -> None:
    pending_dir(place.data_dir, uuid_of(9)).mkdir()
    (pending_dir(place.data_dir, uuid_of(9)) / "seg_1.mp4").touch()


def _half_made(place: Copy) -> None:
    place.clip(1).with_suffix(".mp4.part").touch()


def _unknown_node_file(place: Copy) -> None:
    with closing(CameraDb(camera_db_path(place.data_dir, uuid_of(2, "c")))):
        pass


REPAIRS: list[tuple[Callable[[Copy], object], str, set[str]]] = [
    (_orphan, "moved 1 thing(s) that belong to nothing to quarantine/", {f"recordings/{CAMERA}/{uuid_of(9)}.mp4"}),
    (_lone_segment, "moved 1 thing(s) that belong to nothing to quarantine/", {f"segments/{CAMERA}/seg_5.mp4"}),
    (_unknown_pins, "moved 1 thing(s) that belong to nothing", {f"pending/{uuid_of(9)}/seg_1.mp4"}),
    (_stale_pins, f"released pending/{E1}, 1 file(s): its event is finished", set()),
    (_half_made, f"removed recordings/{CAMERA}/{E1}.mp4.part, half-made", set()),
    (lambda place: place.entomb(1, age_s=1000), "finished the removal of 1 event(s), 2 file(s)", set()),
    (_unknown_node_file, f"moved node/{uuid_of(2, 'c')}.db to quarantine/", {f"node/{uuid_of(2, 'c')}.db"}),
]  # fmt: skip


@pytest.mark.parametrize(("spoil", "said", "moved"), REPAIRS, ids=[said[:40] for _, said, _ in REPAIRS])
def test_repair_does_what_is_safe_and_says_so(
    place: Copy, spoil: Callable[[Copy], object], said: str, moved: set[str]
) -> None:
    spoil(place)
    assert failing(place.check()) != {}
    log = mend(place)
    assert len(log.done_lines) == 1
    assert said in log.done_lines[0]
    assert {path for path in quarantined(place) if not path.endswith(("-wal", "-shm"))} == moved
    assert failing(place.check()) == {}


def test_repair_beside_a_running_iris_leaves_what_is_young_and_the_cameras_files(place: Copy) -> None:
    _orphan(place)
    _unknown_node_file(place)
    _half_made(place)
    lock = hold_lock(place.data_dir / "node" / "lock", patience_s=0)
    try:
        log = mend(place)
    finally:
        os.close(lock)
    assert log.done_lines == []
    assert "Iris runs" in log.left_lines[0]
    assert any("it is moved while Iris is stopped" in line for line in log.left_lines)
    assert quarantined(place) == set()


def test_repair_moves_nothing_where_much_would_go(place: Copy) -> None:
    for number in range(100, 121):
        (place.data_dir / "thumbnails" / f"{uuid_of(number)}.jpg").touch()
    log = mend(place)
    assert log.done_lines == []
    assert "nothing is moved into quarantine: 21 of 23 files in thumbnails/" in log.left_lines[0]


@pytest.mark.parametrize("change", ["UPDATE store SET generation = 2", "DELETE FROM store"])
def test_repair_refuses_what_is_no_pair(place: Copy, change: str) -> None:
    _orphan(place)
    place.sql(change)
    with pytest.raises(StoreMismatchError):
        mend(place)
    assert place.clip(9).exists()


def test_repair_refuses_a_folder_without_its_mark_until_a_person_accepts_it(place: Copy) -> None:
    shutil.rmtree(place.data_dir / "thumbnails")
    (place.data_dir / "thumbnails").mkdir()
    with pytest.raises(StoreMismatchError, match="thumbnails has lost its mark"):
        mend(place)
    log = mend(place, accept_empty=["thumbnails"])
    assert log.done_lines[0] == "thumbnails/ is accepted as it is, and marked again"
    assert failing(place.check()) == {}


@pytest.mark.parametrize("name", ["recordings", "secrets", "../x"])
def test_repair_accepts_only_a_media_folder_that_lost_its_mark(place: Copy, name: str) -> None:
    with pytest.raises(InputError):
        mend(place, accept_empty=[name])


def test_repair_accepts_no_folder_of_another_store(place: Copy) -> None:
    other = place.data_dir.parent / "other"
    (other / "recordings").mkdir(parents=True)
    (other / "store.json").write_text(json.dumps({"store_id": "x", "generation": 1}))
    make_media_marks(other, "x")
    (place.data_dir / "recordings" / ".iris-store").write_text("x")
    with pytest.raises(InputError, match="recordings has its mark"):
        mend(place, accept_empty=["recordings"])


def test_command_says_what_it_did_and_checks_again(
    place: Copy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(place.data_dir))
    monkeypatch.chdir(tmp_path)
    _orphan(place)
    arguments = argparse.Namespace(full=False, json=False, repair=True, accept_empty=[])
    assert check_command(arguments) == 0
    out = capsys.readouterr().out
    assert out.startswith("done   moved 1 thing(s)")
    assert out.splitlines()[-1] == "everything holds"
    arguments.json = True
    assert check_command(arguments) == 0
    assert json.loads(capsys.readouterr().out)["repair"] == {"done": [], "left": []}
