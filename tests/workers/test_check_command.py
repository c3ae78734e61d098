"""`iris check` over a real data directory: one clip made by the real workshop, then one thing broken at a time."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.pins import pending_dir, pin_segment
from iris.base.errors import StoreError
from iris.base.ids import CameraId, EventId, NodeId
from iris.base.sqlite import connect
from iris.config import Settings
from iris.contracts.events import AssembleClip, EventMessage, EventRef, FinaliseEvent
from iris.domain.event import OpenEvent
from iris.domain.operation import OperationKind, RemovalReason
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.marks import RelayMarks
from iris.outbox.writer import EventOutbox
from iris.pipeline.clip_workshop import NodeClipWorkshop, NodeHooks
from iris.store import tables
from iris.store.engine import Store, open_store, sqlite_url
from iris.store.migrate import migrate
from iris.store.operations import OperationDraft
from iris.store.tombstones import Tombstone
from tests.builders.events import NODE_ID, S, event_message, uuid_of
from tests.builders.recorded_camera import RecordedCamera, make_film
from workers.check_command import check_command, run_check
from workers.check_report import CheckReport
from workers.wiring.pairing import pair_store

CAMERA = CameraId(uuid_of(1, "c"))


class Place:
    """A stopped system with one ready event (1), one partial (2), and one still open in the outbox (3)."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        url = sqlite_url(data_dir / "vms.db")
        migrate(url)
        self.store: Store = open_store(url)
        self.settings = Settings(_env_file=None, data_dir=data_dir)
        pair_store(self.store, data_dir, Uuid7Source())
        now_us = SystemClock().wall_us()
        self.start_us = now_us - 60 * S
        camera = RecordedCamera(data_dir, CAMERA)
        camera.record(make_film(data_dir / "film.mp4", seconds=12, b_frames=2, sound=True), self.start_us)
        (data_dir / "film.mp4").unlink()
        (data_dir / "node" / "id").write_text(NODE_ID)
        hooks = NodeHooks(is_running=lambda _c: False, post_us=lambda _c: 0, mark_terminal=self._release)
        self.workshop = NodeClipWorkshop(data_dir, camera.reader, camera.reader, SystemClock(), hooks)
        self.finish(self.message(1, 3, 7))
        self.finish(self.message(2, 8, 14))
        self.open = self.message(3, 9, 11)
        with closing(CameraDb(camera_db_path(data_dir, CAMERA))) as db:
            outbox = EventOutbox(db, SystemClock())
            held = OpenEvent(
                self.open.event_id,
                self.open.started_us,
                self.open.last_seen_us,
                self.open.window_start_us,
                ("person",),
                0,
            )
            outbox.begin(held)
            message = replace(self.open, kind="opened", window_end_us=None, end_reason=None)
            outbox.append(message)
        with self.store.writing() as work:
            work.events.record(message, now_us)
        pin_segment(data_dir, self.open.event_id, camera.segments[-1])
        camera.close()

    def _release(self, camera_id: str, event_id: str) -> None:
        with closing(RelayMarks(self.data_dir / "node" / "relay.db")) as marks:
            marks.mark_terminal(event_id, CameraId(camera_id), 1)

    def message(self, number: int, start_s: int, end_s: int) -> EventMessage:
        return event_message(
            number, "closed", camera_id=CAMERA, window_start_us=self.start_us + (start_s - 1) * S,
            started_us=self.start_us + start_s * S, last_seen_us=self.start_us + end_s * S,
            window_end_us=self.start_us + (end_s + 1) * S,
        )  # fmt: skip

    def finish(self, message: EventMessage) -> None:
        assert message.window_end_us is not None
        ref = EventRef(message.event_id, CAMERA, NODE_ID)
        request = AssembleClip(message.event_id, CAMERA, message.window_start_us, message.window_end_us)
        clip = self.workshop.assemble(request, lambda _step, _done, _total: None)
        thumbnails = self.data_dir / "thumbnails"
        thumbnails.mkdir(exist_ok=True)
        (thumbnails / f"{message.event_id}.jpg").write_bytes(b"\xff\xd8\xff\xd9")
        with self.store.writing() as work:
            work.events.finalise(
                FinaliseEvent(message, clip, f"thumbnails/{message.event_id}.jpg"), message.last_seen_us
            )
        self.workshop.release(ref)

    def clip(self, number: int) -> Path:
        return self.data_dir / "recordings" / CAMERA / f"{uuid_of(number)}.mp4"

    def sql(self, text: str) -> None:
        with self.store.engine.begin() as connection:
            connection.execute(sa.text(text))

    def camera_sql(self, text: str) -> None:
        with closing(connect(camera_db_path(self.data_dir, CAMERA))) as db:
            db.execute(text)

    def check(self, *, full: bool = False) -> CheckReport:
        return run_check(self.settings, full=full, pause=lambda _s: None)

    def entomb(self, number: int, *, age_s: int, buried: bool = False, row_stays: bool = False) -> None:
        """A removed event, without what removes its files."""
        then_us = SystemClock().wall_us() - age_s * S
        with self.store.writing() as work:
            row = work.events.get(EventId(uuid_of(number)))
            stone = Tombstone(
                event_id=row.event_id, camera_id=row.camera_id, node_id=row.node_id, operation_id=None,
                reason=RemovalReason.DELETED, started_us=row.started_us, last_seen_us=row.last_seen_us, size_bytes=1,
                created_us=then_us,
            )  # fmt: skip
            if row_stays:
                work.tombstones.add([stone])
            else:
                work.tombstones.entomb([row.event_id], RemovalReason.DELETED, then_us)
            if buried:
                work.tombstones.bury([row.event_id], then_us)

    def ask_operation(self, kind: OperationKind = OperationKind.BACKUP, *, age_s: int = 0) -> str:
        """An operation that was asked for and not begun."""
        operation_id = Uuid7Source().new_id()
        camera = CAMERA if kind is OperationKind.CAMERA_DELETION else None
        draft = OperationDraft(
            operation_id=operation_id, kind=kind, workflow_id=operation_id, camera_id=camera, request={}
        )
        with self.store.writing() as work:
            work.operations.ask(draft, SystemClock().wall_us() - age_s * S)
        return operation_id

    def delete_camera(self) -> None:
        """Only the word that it was deleted."""
        operation_id = self.ask_operation(OperationKind.CAMERA_DELETION)
        with self.store.writing() as work:
            work.operations.finish(operation_id, SystemClock().wall_us(), result={})

    def add_camera(self, **marks: int) -> None:
        """The camera's row, perhaps marked."""
        columns = {column.name: column for column in tables.cameras.columns}
        values: dict[str, object] = {
            "camera_id": CAMERA, "name": "x", "rtsp_url_sealed": b"x", "rtsp_url_masked": "x", "enabled": True,
            "recording_mode": "track", "trigger_classes": "[]", "detect_conf": 0.5, "detect_fps": 5, "pre_seconds": 5,
            "post_seconds": 5, "trigger_cooldown": 5, "created_us": 1, "updated_us": 1, "version": 1, **marks,
        }  # fmt: skip
        assert values.keys() <= columns.keys()
        with self.store.engine.begin() as connection:
            connection.execute(sa.insert(tables.cameras), values)

    def notify(self, *, due_s_ago: int) -> None:
        """A notification that waits."""
        due_us = SystemClock().wall_us() - due_s_ago * S
        values = {
            "notification_id": uuid_of(1, "e"), "kind": "event", "event_id": E1, "body": "{}", "created_us": due_us,
            "due_us": due_us, "attempt_count": 0,
        }  # fmt: skip
        with self.store.engine.begin() as connection:
            connection.execute(sa.insert(tables.notifications), values)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished place, built once."""
    data_dir = tmp_path_factory.mktemp("template") / "data"
    Place(data_dir).store.close()
    return data_dir


class Copy(Place):
    """A place that is broken by a test."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.store = open_store(sqlite_url(data_dir / "vms.db"))
        self.settings = Settings(_env_file=None, data_dir=data_dir)


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Iterator[Copy]:
    shutil.copytree(template, tmp_path / "data")
    copy = Copy(tmp_path / "data")
    yield copy
    copy.store.close()


def failing(report: CheckReport) -> dict[str, tuple[str, ...]]:
    return {rule.name: rule.problems for rule in report.rules if rule.problems}


@pytest.mark.parametrize("full", [False, True])
def test_check_holds_on_a_sound_place(place: Copy, full: bool) -> None:
    report = place.check(full=full)
    assert failing(report) == {}
    assert {rule.name: rule.checked_count for rule in report.rules} == {
        "integrity": 3, "pair": 1, "single": 1, "window": 2, "clip": 2, "thumbnail": 2, "vector": 0, "deadline": 1,
        "tombstone": 0, "orphan": 4, "pending": 1, "segment": 6, "camera": 0, "operation": 0, "notification": 0,
    }  # fmt: skip


def _flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


def _segment(place: Copy) -> Path:
    return sorted((place.data_dir / "segments" / CAMERA).iterdir())[2]


def _recount(place: Copy) -> None:
    """A file and its row that agree on size and hash, but not on what is inside."""
    place.sql(f"UPDATE clip_files SET video_packet_count = video_packet_count - 1 WHERE event_id = '{uuid_of(1)}'")


def _other_clip(place: Copy) -> None:
    place.sql(f"UPDATE clip_files SET duration_us = duration_us + 2000000 WHERE event_id = '{uuid_of(1)}'")


def _forget_gap(place: Copy) -> None:
    place.sql(f"DELETE FROM event_ranges WHERE event_id = '{E2}' AND reason IS NOT NULL")


def _reopen(place: Copy) -> None:
    place.sql(f"UPDATE events SET state = 'open', finalised_us = NULL WHERE event_id = '{E1}'")


def _forget_outbox(place: Copy) -> None:
    place.sql(f"UPDATE events SET created_us = 1 WHERE event_id = '{E3}'")
    place.camera_sql("DELETE FROM outbox")
    place.camera_sql("DELETE FROM open_events")


def _two_open_gaps(place: Copy) -> None:
    place.camera_sql("INSERT INTO gaps (start_us, reason) VALUES (1, 'unknown'), (2, 'unknown')")


def _unknown_node_file(place: Copy) -> None:
    """A camera's file that has nothing left to do, of a camera that nobody knows."""
    other = camera_db_path(place.data_dir, uuid_of(2, "c"))
    with closing(CameraDb(other)):
        pass


E1, E2, E3 = uuid_of(1), uuid_of(2), uuid_of(3)
FAULTS: list[tuple[str, Callable[[Copy], object], str]] = [
    ("clip", lambda p: p.clip(1).unlink(), "No such file"),
    ("clip", lambda p: _cut(p.clip(1)), "bytes, recorded were"),
    ("clip", lambda p: _flip_byte(p.clip(2)), "its bytes have changed"),
    ("clip", _recount, "video and audio packets, recorded were"),
    ("clip", _other_clip, "long, recorded were"),
    ("clip", lambda p: p.sql(f"UPDATE events SET state = 'ready' WHERE event_id = '{E2}'"), "ready although"),
    ("clip", lambda p: p.sql(f"DELETE FROM clip_files WHERE event_id = '{E1}'"), "ready with 0 clip files"),
    ("window", lambda p: p.sql(f"UPDATE event_ranges SET end_us = end_us - 1 WHERE event_id = '{E1}'"), "do not make"),
    ("window", _forget_gap, "do not make"),
    ("thumbnail", lambda p: (p.data_dir / "thumbnails" / f"{E1}.jpg").unlink(), "is missing"),
    ("orphan", lambda p: shutil.copy(p.clip(1), p.clip(9)), "belongs to no event"),
    ("orphan", lambda p: p.clip(1).with_suffix(".mp4.part").touch(), "belongs to no event"),
    ("orphan", lambda p: (p.data_dir / "thumbnails" / f"{uuid_of(9)}.jpg").touch(), "belongs to no event"),
    ("pending", lambda p: pending_dir(p.data_dir, E1).mkdir(), "is finished and released"),
    ("pending", lambda p: pending_dir(p.data_dir, uuid_of(9)).mkdir(), "is not known"),
    ("segment", lambda p: _segment(p).unlink(), "the file is missing"),
    ("segment", lambda p: _cut(_segment(p)), "the index says"),
    ("segment", lambda p: shutil.copy(_segment(p), _segment(p).with_name("seg_5.mp4")), "is in no index"),
    ("deadline", _reopen, "released"),
    ("deadline", _forget_outbox, "does not know"),
    ("pair", lambda p: p.sql("UPDATE store SET generation = 2"), "generation"),
    ("pair", lambda p: (p.data_dir / "store.json").unlink(), "has no store.json"),
    ("integrity", lambda p: p.sql("UPDATE alembic_version SET version_num = '0'"), "schema 0, needed is"),
    ("integrity", _two_open_gaps, "2 gaps are open"),
    ("pair", lambda p: (p.data_dir / "recordings" / ".iris-store").unlink(), "recordings has lost its mark"),
    ("pair", lambda p: (p.data_dir / "segments" / ".iris-store").write_text("other"), "belongs to store other"),
    ("tombstone", lambda p: p.entomb(1, age_s=1000, row_stays=True), "has a row and a tombstone"),
    ("tombstone", lambda p: p.entomb(1, age_s=1000), "its files may still be there"),
    ("tombstone", lambda p: p.entomb(1, age_s=1000, buried=True), "was removed and its files were, too"),
    ("camera", lambda p: p.delete_camera(), f"event {E1} is of a camera that was deleted"),
    ("camera", lambda p: p.delete_camera(), f"was deleted, but recordings/{CAMERA} is there"),
    ("camera", lambda p: p.delete_camera(), f"was deleted, but node/{CAMERA}.db is there"),
    ("camera", _unknown_node_file, "belongs to no camera"),
    ("camera", lambda p: p.add_camera(deleting_us=1), "nobody deletes it"),
    ("camera", lambda p: p.add_camera(purging_us=1), "nobody purges it"),
    ("operation", lambda p: p.ask_operation(age_s=90_000), "has made no progress for more than a day"),
    ("notification", lambda p: p.notify(due_s_ago=90_000), "was due more than a day ago"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "fault", "said"), FAULTS, ids=[f"{r}-{said}" for r, _f, said in FAULTS])
def test_check_names_the_rule_when_one_thing_is_broken(
    place: Copy, rule: str, fault: Callable[[Copy], object], said: str
) -> None:
    fault(place)
    found = failing(place.check())
    assert rule in found
    assert any(said in problem for problem in found[rule]), found


def test_check_finds_changed_segment_bytes_only_when_full(place: Copy) -> None:
    _flip_byte(_segment(place))
    assert failing(place.check()) == {}
    assert "has other bytes" in failing(place.check(full=True))["segment"][0]


def test_check_explains_what_a_killed_process_left(place: Copy) -> None:
    name = f"segments/{CAMERA}/seg_7.mp4"
    (place.data_dir / f"{name}.part").touch()
    (place.data_dir / name).touch()  # renamed, but killed before its row
    place.camera_sql(
        f"INSERT INTO segments (run_id, state, path, run_offset_us) VALUES ('run-1', 'writing', '{name}.part', 0)"
    )
    place.clip(3).touch()  # published, but killed before it was finalised
    assert failing(place.check()) == {}


def test_check_forgives_what_is_gone_at_the_second_look(place: Copy) -> None:
    orphan = place.clip(9)
    orphan.touch()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        orphan.unlink(missing_ok=True)

    assert run_check(place.settings, pause=pause).holds
    assert pauses == [1.0]


def test_check_skips_files_of_events_of_another_node(place: Copy) -> None:
    place.sql(f"UPDATE events SET node_id = '{NodeId(uuid_of(2, 'd'))}' WHERE event_id = '{E1}'")
    place.clip(1).unlink()
    (place.data_dir / "thumbnails" / f"{E1}.jpg").unlink()
    assert failing(place.check()) == {}


def test_check_refuses_when_there_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        run_check(Settings(_env_file=None, data_dir=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_check_explains_what_a_removal_is_doing_now(place: Copy) -> None:
    place.entomb(1, age_s=60)
    place.notify(due_s_ago=60)
    place.ask_operation(age_s=60)
    assert failing(place.check()) == {}


def test_check_explains_files_of_a_camera_that_is_being_deleted(place: Copy) -> None:
    place.ask_operation(OperationKind.CAMERA_DELETION)
    place.add_camera(deleting_us=1)
    shutil.copy(place.clip(1), place.clip(9))
    assert failing(place.check()) == {}


@pytest.mark.parametrize("as_json", [False, True])
def test_command_prints_rule_by_rule_and_fails_when_one_fails(
    place: Copy, as_json: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATA_DIR", str(place.data_dir))
    monkeypatch.chdir(tmp_path)
    arguments = argparse.Namespace(full=False, json=as_json, repair=False, accept_empty=[])
    assert check_command(arguments) == 0
    out = capsys.readouterr().out
    if as_json:
        assert json.loads(out)["holds"] is True
    else:
        assert out.splitlines()[-1] == "everything holds"
        assert all(line.startswith("ok ") for line in out.splitlines()[:-1])
    (place.data_dir / "store.json").unlink()
    assert check_command(arguments) == 1
    assert "store.json" in capsys.readouterr().out
    (place.data_dir / "vms.db").unlink()
    assert check_command(arguments) == 2
    told = capsys.readouterr()
    assert "there is no database" in told.err
    assert (json.loads(told.out)["holds"] is None) if as_json else told.out == ""
