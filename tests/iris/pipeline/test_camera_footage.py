"""Everything of a camera on a node's disk, with real files and databases; clips are made beside the removal."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from iris.adapters.process import hold_lock
from iris.base.errors import InputError, UnavailableError
from iris.base.ids import NodeId
from iris.contracts.camera_removal import CameraEventsPage
from iris.contracts.events import AssembleClip, ClipResult, EventRef
from iris.domain.segment import Gap, GapReason
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.marks import RelayMarks
from iris.outbox.rows import message_to_json
from iris.pipeline.camera_footage import NodeCameraFootage
from iris.pipeline.camera_gate import CameraGate
from iris.pipeline.clip_workshop import NodeClipWorkshop, NodeHooks
from tests.builders.clip_place import EVENT, NODE, S, T, quiet
from tests.builders.events import event_message, uuid_of
from tests.builders.recorded_camera import RecordedCamera, make_film
from tests.fakes.clock import SimulatedClock

OTHER = uuid_of(2, "c")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4", seconds=6)


@dataclass
class Place:
    """A node with a recorded camera, its footage, and the workshop that makes its clips."""

    camera: RecordedCamera
    marks: RelayMarks
    gate: CameraGate
    footage: NodeCameraFootage
    workshop: NodeClipWorkshop

    @property
    def data_dir(self) -> Path:
        return self.camera.data_dir

    @property
    def camera_id(self) -> str:
        return self.camera.camera_id

    @property
    def request(self) -> AssembleClip:
        return AssembleClip(EVENT, self.camera_id, T, T + 6 * S)

    def file(self, name: str) -> None:
        path = self.data_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 100)

    def accept(self, number: int, *, mark: bool = True) -> str:
        """An event in the camera's outbox, with a pin and a mark of the relay."""
        message = event_message(number, camera_id=self.camera_id)
        with self.camera._db.transaction() as connection:
            connection.execute(
                "INSERT INTO outbox (event_id, seq, message, created_us) VALUES (?, ?, ?, 1)",
                (message.event_id, message.seq, message_to_json(message)),
            )
        self.file(f"pending/{message.event_id}/seg_1.mp4")
        if mark:
            self.marks.mark_delivered(message)
        return message.event_id

    def files(self) -> list[str]:
        found = (path.relative_to(self.data_dir).as_posix() for path in self.data_dir.rglob("*") if path.is_file())
        return sorted(name for name in found if not name.startswith("node/relay.db"))


@pytest.fixture
def place(tmp_path: Path, film: Path) -> Iterator[Place]:
    camera = RecordedCamera(tmp_path)
    camera.record(film, T)
    marks, gate = RelayMarks(tmp_path / "node" / "relay.db"), CameraGate()
    footage = NodeCameraFootage(tmp_path, NodeId(NODE), camera.reader, marks, gate, marks.forget_camera)
    hooks = NodeHooks(lambda _: False, lambda _: 0, lambda _camera, _event: None)
    workshop = NodeClipWorkshop(tmp_path, camera.reader, camera.reader, SimulatedClock(T + 60 * S), hooks, gate)
    yield Place(camera, marks, gate, footage, workshop)
    camera.close()
    marks.close()


def test_survey_counts_everything_and_removes_nothing(place: Place) -> None:
    place.accept(1)
    place.camera.add_gap(Gap(T, T + S, GapReason.CAMERA_OFFLINE))
    place.workshop.assemble(place.request, quiet)
    before = place.files()
    survey = place.footage.survey(place.camera_id, quiet)
    segments = list((place.data_dir / "segments" / place.camera_id).iterdir())
    assert survey.segment_files == len(segments) >= 3
    assert survey.segment_bytes == sum(path.stat().st_size for path in segments)
    assert (survey.clip_files, survey.pending_files, survey.outbox_rows, survey.gap_rows) == (1, 1, 1, 1)
    assert place.files() == before


def test_events_of_the_camera_come_in_pages_by_id(place: Place) -> None:
    ids = [place.accept(number) for number in range(1, 204)]
    first = place.footage.events(CameraEventsPage(place.camera_id)).events
    assert [event.event_id for event in first] == ids[:200]
    assert {event.node_id for event in first} == {NODE}
    rest = place.footage.events(CameraEventsPage(place.camera_id, first[-1].event_id)).events
    assert [event.event_id for event in rest] == ids[200:]
    assert place.footage.events(CameraEventsPage(place.camera_id, ids[-1])).events == ()


def test_purge_leaves_nothing_of_the_camera_and_all_of_others(place: Place, tmp_path: Path) -> None:
    place.accept(1)
    place.workshop.assemble(place.request, quiet)
    place.workshop.release(EventRef(EVENT, place.camera_id, NODE))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"x")
    (place.data_dir / "recordings" / place.camera_id / "link").symlink_to(outside)
    place.file(f"hls/{place.camera_id}/deep/part.m4s")
    for name in (f"recordings/{OTHER}/a.mp4", f"segments/{OTHER}/seg_1.mp4", f"node/{OTHER}.db", "pending/x/seg_1.mp4"):
        place.file(name)
    found = place.footage.remains(place.camera_id)
    assert found.count >= 6
    assert found.examples
    place.footage.purge(place.camera_id, quiet)
    assert place.files() == sorted(
        [f"recordings/{OTHER}/a.mp4", f"segments/{OTHER}/seg_1.mp4", f"node/{OTHER}.db", "pending/x/seg_1.mp4",
         "outside/kept"]
    )  # fmt: skip
    assert place.footage.remains(place.camera_id).count == 0
    place.footage.purge(place.camera_id, quiet)
    assert place.footage.remains(place.camera_id).count == 0, "again it is the same"


@pytest.mark.parametrize("camera_id", ["..", "", "x/../../etc", "*"])
def test_removal_refuses_what_is_no_id(place: Place, camera_id: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: place.footage.purge(camera_id, quiet),
        lambda: place.footage.survey(camera_id, quiet),
        lambda: place.footage.remains(camera_id),
        lambda: place.footage.events(CameraEventsPage(camera_id)),
    ]
    for call in calls:
        with pytest.raises(InputError):
            call()


def test_purge_refuses_while_a_process_of_the_camera_lives(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iris.pipeline.camera_footage._LOCK_PATIENCE_S", 0.1)
    lock = hold_lock(place.data_dir / "node" / f"{place.camera_id}.lock", patience_s=0)
    before = place.files()
    with pytest.raises(UnavailableError, match="process"):
        place.footage.purge(place.camera_id, quiet)
    assert place.files() == before
    os.close(lock)
    place.footage.purge(place.camera_id, quiet)
    assert place.files() == []


class Assembly:
    """A clip in the making, in a thread of its own, held at its first sign of progress until `go_on`."""

    def __init__(self, place: Place) -> None:
        self.begun, self._go_on = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor(2)
        self.result: Future[ClipResult] = self._pool.submit(place.workshop.assemble, place.request, self._report)
        assert self.begun.wait(10)

    def _report(self, step: str, done: int, total: int) -> None:
        self.begun.set()
        assert self._go_on.wait(10)

    def purge(self, place: Place) -> Future[None]:
        return self._pool.submit(place.footage.purge, place.camera_id, quiet)

    def go_on(self) -> None:
        self._go_on.set()
        self._pool.shutdown(wait=False)


def test_clip_in_the_making_ends_and_leaves_nothing_when_its_camera_is_purged(place: Place) -> None:
    assembly = Assembly(place)
    purge = assembly.purge(place)
    closing = threading.Event()

    def is_closed() -> bool:
        try:
            with place.gate.working(place.camera_id):
                return False
        except UnavailableError:
            return True

    for _ in range(1000):
        if is_closed():
            break
        closing.wait(0.01)
    assert is_closed(), "the removal has asked for the camera"
    assert not purge.done(), "it waits for the clip"
    assert (place.data_dir / "segments" / place.camera_id).is_dir(), "and touches nothing meanwhile"
    assembly.go_on()
    with pytest.raises(UnavailableError):
        assembly.result.result(20)
    purge.result(20)
    assert place.files() == []
    late = place.workshop.assemble(place.request, quiet)
    assert (late.state, late.files) == ("failed", ())
    assert place.workshop.publish_thumbnail(EventRef(EVENT, place.camera_id, NODE)).path is None
    assert place.files() == [], "what comes late has nothing to publish"


def test_purge_gives_up_when_a_clip_does_not_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iris.pipeline.camera_footage._GATE_PATIENCE_S", 0.05)
    assembly = Assembly(place)
    with pytest.raises(UnavailableError, match="clip"):
        assembly.purge(place).result(10)
    assembly.go_on()
    assert assembly.result.result(20).state == "ready", "the gate is open again"


def test_next_file_of_the_camera_is_whole_when_the_old_one_was_being_read(place: Place) -> None:
    place.accept(1)
    assert len(place.camera.reader.known_events(place.camera.camera_id)) == 1
    place.camera._db.close()
    place.footage.purge(place.camera_id, quiet)
    assert not [name for name in opened_files() if place.camera_id in name], "a removed file that is open is not gone"
    new = CameraDb(camera_db_path(place.data_dir, place.camera_id))
    message = event_message(2, camera_id=place.camera_id)
    with new.transaction() as connection:
        connection.execute(
            "INSERT INTO outbox (event_id, seq, message, created_us) VALUES (?, 1, ?, 1)",
            (message.event_id, message_to_json(message)),
        )
    reader = place.camera.reader
    assert [event.event_id for event in reader.known_events(place.camera.camera_id)] == [message.event_id]
    reader.close()
    new.close()
    assert [event.event_id for event in reader.known_events(place.camera.camera_id)] == [message.event_id]


def opened_files() -> list[str]:
    """What this process has open, as the kernel names it."""
    names = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(str(descriptor.readlink()))
    return names
