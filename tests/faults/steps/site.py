"""What the steps work on: one data directory with a database and one camera, opened as its processes would."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from activities.clips import ClipActivities
from activities.events import EventActivities
from activities.operations import OperationActivities
from activities.removal import EventFileActivities, RemovalActivities
from iris.adapters.event_files import DiskEventFiles
from iris.adapters.jpeg import encode_jpeg
from iris.adapters.pending import PendingFiles
from iris.base.errors import IrisError
from iris.base.ids import CameraId
from iris.config import Settings
from iris.contracts.events import EventMessage, EventStart
from iris.domain.camera import CameraSpec, CameraTuning
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.marks import RelayMarks
from iris.outbox.reader import CameraDbReader
from iris.outbox.rows import message_from_json, message_to_json
from iris.outbox.segments import SegmentIndex
from iris.outbox.writer import EventOutbox
from iris.pipeline.clip_workshop import NodeClipWorkshop, NodeHooks
from iris.pipeline.drain import Drain, DrainParts
from iris.store.cameras import CameraDraft
from iris.store.engine import Store, open_store
from iris.store.event_records import StoreEventRecords
from iris.store.migrate import migrate
from iris.store.operation_records import StoreEventRemovals, StoreOperationRecords
from tests.builders.drain_camera import CountingIds
from tests.builders.events import CAMERA_ID, NODE_ID
from tests.fakes.clock import SimulatedClock
from tests.faults.steps.said import Said
from tests.faults.steps.temporal import MOST_ATTEMPTS, Temporal
from workers.check_command import run_check
from workers.check_report import CheckReport
from workers.wiring.pairing import pair_store
from workflows.event import EventWorkflow

R = TypeVar("R")
S = 1_000_000
T = 1_700_000_000 * S
CAMERA = CameraId(CAMERA_ID)
# Nothing is seen for a second: the event is over. Its window ends where it was last seen.
SPEC = CameraSpec(
    camera_id=CAMERA, name="door", rtsp_url="rtsp://camera", pre_seconds=3, post_seconds=0, trigger_cooldown=1
)
RULES_THAT_ALWAYS_HOLD = ("integrity", "window", "clip", "thumbnail")


@dataclass(frozen=True, slots=True)
class CameraSide:
    """What a camera process has open."""

    db: CameraDb
    index: SegmentIndex
    outbox: EventOutbox
    drain: Drain


@dataclass(frozen=True, slots=True)
class NodeSide:
    """What node and worker have open."""

    store: Store
    marks: RelayMarks
    reader: CameraDbReader
    temporal: Temporal


class Site:
    """A data directory; `camera` and `node` are processes on it."""

    def __init__(self, data_dir: Path, said: Said, wall_us: int = T) -> None:
        self.data_dir, self.said = data_dir, said
        self.clock = SimulatedClock(wall_us)
        self.ids = CountingIds()
        self.settings = Settings(_env_file=None, data_dir=data_dir)

    def make(self) -> None:
        """A fresh pair of database and data directory."""
        migrate(self.settings.main_database_url)
        store = open_store(self.settings.main_database_url)
        (self.data_dir / "node").mkdir(exist_ok=True)
        (self.data_dir / "node" / "id").write_text(NODE_ID)
        pair_store(store, self.data_dir, self.ids)
        with store.writing() as work:
            draft = CameraDraft(name="door", rtsp_url_sealed=b"sealed", rtsp_url_masked="rtsp://camera")
            work.cameras.add(CAMERA, draft, self.clock.wall_us())
        store.close()

    def patiently(self, what: str, act: Callable[[], R]) -> R:
        """As the loops of the product do: an error of Iris is said, and what failed is done again a second later."""
        for _ in range(MOST_ATTEMPTS - 1):
            try:
                return act()
            except IrisError as error:
                if not error.retryable:
                    raise
                self.said.say("failed", doing=what, code=error.code, sentence=str(error))
                self.clock.advance_s(1)
        return act()

    @contextmanager
    def camera(self) -> Iterator[CameraSide]:
        """A start of the camera process's part that keeps events."""
        db = CameraDb(camera_db_path(self.data_dir, CAMERA))
        reader = CameraDbReader(self.data_dir)
        outbox = EventOutbox(db, self.clock)
        parts = DrainParts(
            outbox=outbox, index=reader, files=PendingFiles(self.data_dir), clock=self.clock, ids=self.ids,
            encode_jpeg=encode_jpeg, notify=lambda: self._accepted(reader),
        )  # fmt: skip
        try:
            yield CameraSide(db, SegmentIndex(db), outbox, Drain(SPEC, CameraTuning(), NODE_ID, parts))
        finally:
            reader.close()
            db.close()

    def _accepted(self, reader: CameraDbReader) -> None:
        """P0 of every event with a row; said again with each further row."""
        for _, message in reader.rows_after(CAMERA, 0, 1000):
            self.said.say("accepted", event_id=message.event_id, window_start_us=message.window_start_us)

    @contextmanager
    def node(self) -> Iterator[NodeSide]:
        """A start of node and worker."""
        store = open_store(self.settings.main_database_url)
        marks = RelayMarks(self.data_dir / "node" / "relay.db")
        reader = CameraDbReader(self.data_dir)
        hooks = NodeHooks(
            is_running=lambda _camera_id: False,
            post_us=lambda _camera_id: 0,
            mark_terminal=lambda _camera_id, event_id: marks.mark_terminal(event_id, CAMERA, self.clock.wall_us()),
        )
        workshop = NodeClipWorkshop(self.data_dir, reader, reader, self.clock, hooks)
        try:
            families = (
                ClipActivities(workshop, self.clock),
                EventActivities(StoreEventRecords(store, self.clock)),
                RemovalActivities(StoreEventRemovals(store, self.clock)),
                EventFileActivities(DiskEventFiles(self.data_dir)),
                OperationActivities(StoreOperationRecords(store, self.clock)),
            )
            yield NodeSide(store, marks, reader, Temporal(self.said, self.clock, families))
        finally:
            reader.close()
            marks.close()
            store.close()

    def see_events_through(self) -> None:
        """Relay and Event workflows take what lies in the outbox to its end; then the rows go."""
        self.patiently("relay", self._deliver)
        self.patiently("workflow", self._run_workflows)
        self.patiently("forget", self._forget)

    def _deliver(self) -> None:
        with self.node() as node:
            for message in node.marks.undelivered(node.reader.rows_after(CAMERA, 0, 1000)):
                self.said.say("signal", message=message_to_json(message))
                node.marks.mark_delivered(message)

    def _run_workflows(self) -> None:
        signals = [message_from_json(values["message"]) for values in self.said.all("signal")]
        with self.node() as node:
            for event_id in dict.fromkeys(message.event_id for message in signals):
                self._see_through(node, [message for message in signals if message.event_id == event_id])

    def _forget(self) -> None:
        with self.node() as node:
            terminal = node.marks.terminal_events(CAMERA)
        with self.camera() as camera:
            camera.drain.forget(terminal)
            camera.drain.step()
        with self.node() as node:
            node.marks.forget(terminal)

    def _see_through(self, node: NodeSide, messages: Sequence[EventMessage]) -> None:
        start = EventStart(messages[0].event_id, CAMERA, NODE_ID)
        event = EventWorkflow(start)
        for message in messages:
            event.message(message)
        outcome = node.temporal.run(start.event_id, lambda: event.run(start))
        self.said.say("outcome", event_id=start.event_id, state=outcome.state)

    def check(self) -> CheckReport:
        """`iris check --full`; nothing is at work, so one look is enough."""
        return run_check(self.settings, full=True, pause=lambda _seconds: None)

    def problems(self, *, at_rest: bool) -> list[str]:
        """What `iris check` says; before the next start only what must hold at any moment."""
        return [
            f"{rule.name}: {problem}"
            for rule in self.check().rules
            if at_rest or rule.name in RULES_THAT_ALWAYS_HOLD
            for problem in rule.problems
            # Who only reads cannot take back a transaction that was cut off; the file's owner does at its start.
            if at_rest or "attempt to write a readonly database" not in problem
        ]

    def empty_files(self) -> list[str]:
        """Files of nothing under a finished name."""
        names = ("segments/*/*.mp4", "recordings/*/*.mp4", "thumbnails/*.jpg", "pending/*/*.mp4", "pending/*/*.jpg")
        return [
            f"{path.relative_to(self.data_dir)} has 0 bytes"
            for name in names
            for path in self.data_dir.glob(name)
            if path.stat().st_size == 0
        ]
