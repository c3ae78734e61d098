"""One camera, one node, one database, and Temporal's delivery: everything but the last is the product's own code."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from iris.adapters.event_files import DiskEventFiles
from iris.adapters.id_source import Uuid7Source
from iris.base.ids import CameraId, EventId
from iris.contracts.removal import EventPlace, RemovedEvents
from iris.domain.operation import RemovalReason
from iris.outbox.marks import RelayMarks
from iris.outbox.reader import CameraDbReader
from iris.outbox.relay import Relay
from iris.pipeline.clip_workshop import NodeClipWorkshop, NodeHooks
from iris.store.cameras import CameraDraft
from iris.store.check import walk_events
from iris.store.engine import open_store, sqlite_url
from iris.store.event_records import StoreEventRecords
from iris.store.events import EventRow
from iris.store.migrate import migrate
from tests.builders.drain_camera import SPEC, T0, S
from tests.builders.events import NODE_ID
from tests.fakes.clock import SimulatedClock
from tests.faults.model_camera import TUNING, Footage, KilledError, ModelCamera
from tests.faults.model_temporal import Hands, ModelTemporal
from workers.check.look import look
from workers.check.view import CheckTask
from workers.check_report import CheckReport
from workers.wiring.pairing import pair_store

# Beyond the presence machine's hold and settling times, so that whatever is open closes.
_QUIET_S = 10.0
_AUDIT_S = 61.0
_MOST_TURNS = 300


@dataclass(frozen=True)
class Template:
    """What each world starts from: a data directory paired with an empty database, and one real segment."""

    data_dir: Path
    footage: Footage

    @staticmethod
    def make(folder: Path) -> Template:
        """Migrate and encode once."""
        data_dir = folder / "data"
        url = sqlite_url(data_dir / "vms.db")
        migrate(url)
        store = open_store(url)
        pair_store(store, data_dir, Uuid7Source())
        with store.writing() as work:
            work.cameras.add(
                SPEC.camera_id, CameraDraft(name="door", rtsp_url_sealed=b"sealed", rtsp_url_masked="rtsp://camera"), T0
            )
        store.close()
        (data_dir / "node").mkdir(exist_ok=True)
        (data_dir / "node" / "id").write_text(NODE_ID)
        (folder / "footage").mkdir()
        return Template(data_dir, Footage.make(folder / "footage"))


class World:
    """Moves only when told; every method leaves files and databases as a real process would."""

    def __init__(self, template: Template, data_dir: Path) -> None:
        shutil.copytree(template.data_dir, data_dir)
        self.data_dir = data_dir
        self.clock = SimulatedClock(wall_us=T0)
        self.store = open_store(sqlite_url(data_dir / "vms.db"))
        self.records = StoreEventRecords(self.store, self.clock)
        self.temporal = ModelTemporal()
        self.camera = ModelCamera(data_dir, footage=template.footage, clock=self.clock)
        self.loop = asyncio.new_event_loop()
        self.accepted: set[str] = set()
        self.removed: set[str] = set()
        self.ended: dict[str, str] = {}
        self.seqs: dict[str, int] = {}
        self._start_node()

    def close(self) -> None:
        """Give everything back."""
        self.camera.kill()
        self._close_node()
        self.store.close()
        self.loop.close()

    # The node

    def _start_node(self) -> None:
        self.marks = RelayMarks(self.data_dir / "node" / "relay.db")
        self.reader = CameraDbReader(self.data_dir)
        self.relay = Relay(self.reader, self.temporal, self.marks, self.clock, jitter=lambda: 0.5)
        hooks = NodeHooks(
            is_running=lambda _camera_id: True,
            post_us=lambda _camera_id: round(SPEC.post_seconds * S),
            mark_terminal=self._mark_terminal,
        )
        self.workshop = NodeClipWorkshop(self.data_dir, self.reader, self.reader, self.clock, hooks)
        self._ask_to_forget(self.marks.terminal_events(SPEC.camera_id))

    def _close_node(self) -> None:
        self.marks.close()
        self.reader.close()

    def restart_node(self) -> None:
        """kill -9 of the node: words between it and the camera are lost, the camera goes with it."""
        self.camera.forgotten.clear()
        self._close_node()
        self.camera.die(away_s=1.0)
        self._start_node()

    def _mark_terminal(self, camera_id: str, event_id: str) -> None:
        self.marks.mark_terminal(event_id, CameraId(camera_id), self.clock.wall_us())
        self._ask_to_forget([event_id])

    def _ask_to_forget(self, event_ids: list[str]) -> None:
        if event_ids:
            self.camera.drain.forget(event_ids)

    def hear_camera(self) -> None:
        """The node takes the camera's word of what it has forgotten."""
        self.marks.forget(list(self.camera.forgotten))
        self.camera.forgotten.clear()

    def relay_turn(self) -> None:
        """The relay looks, and hands over what is due."""

        async def turn() -> None:
            await self.relay._round()
            while self.relay._tasks:
                await asyncio.gather(*self.relay._tasks, return_exceptions=True)

        self.loop.run_until_complete(turn())

    def work(self, pick: int, *, again: bool = False) -> bool:
        """A worker does one step of one workflow; whether there was any."""
        return self.temporal.advance(Hands(self.records, self.workshop, self.clock), pick, again=again)

    # The camera

    def live(self, seconds: float, *, person: bool, kill_at: int = 0, away_s: float = 0.0) -> None:
        """Time passes; with `kill_at` the process dies at that moment among its writes, if it comes to it."""
        self.camera.fuse.left = kill_at
        try:
            self.camera.live(seconds, person=person)
            self.camera.fuse.left = 0
        except KilledError:
            self.note_accepted()  # what was committed before the kill counts
            self.camera.die(away_s)
            self._ask_to_forget(self.marks.terminal_events(SPEC.camera_id))
        self.note_accepted()

    # Removal by a person

    def remove(self, event_id: str, steps: int) -> None:
        """One event: tombstone, files, tombstone closed; `steps` of these are done before the worker dies."""
        with self.store.writing() as work:
            stones = work.tombstones.entomb([event_id], RemovalReason.DELETED, self.clock.wall_us())
        if stones:
            self.removed.add(event_id)
            if steps > 1:
                self._purge([EventPlace(event_id, stones[0].camera_id)])
            if steps > 2:
                self._bury([event_id])

    def finish_removals(self) -> None:
        """The next worker takes up what is not buried."""
        with self.store.reading() as work:
            stones = work.tombstones.unburied()
        if stones:
            self._purge([EventPlace(stone.event_id, stone.camera_id) for stone in stones])
            self._bury([stone.event_id for stone in stones])

    def _purge(self, places: list[EventPlace]) -> None:
        DiskEventFiles(self.data_dir).purge(RemovedEvents(tuple(places)), lambda *_: None)

    def _bury(self, event_ids: list[str]) -> None:
        with self.store.writing() as work:
            work.tombstones.bury(event_ids, self.clock.wall_us())

    # Looking

    def rows(self) -> dict[str, EventRow]:
        """Every event of the database."""
        return {str(row.event_id): row for row in walk_events(self.store)}

    def note_accepted(self) -> None:
        """Which events have an `opened` row now."""
        rows = self.reader.rows_after(SPEC.camera_id, 0, 100_000)
        self.accepted |= {message.event_id for _, message in rows}

    def tombstone_ids(self) -> set[str]:
        """Events that were removed."""
        with self.store.reading() as work:
            return {
                event_id for event_id in self.accepted if work.tombstones.forbids(EventId(event_id), SPEC.camera_id)
            }

    def check(self) -> CheckReport:
        """What `iris check` says, by the world's own clock."""
        task = CheckTask(self.store, self.data_dir, round(TUNING.event_max_seconds * S), self.clock.wall_us)
        return look(task)

    def settle(self) -> None:
        """Nothing goes wrong any more, and everything comes to its end.

        Raises:
            AssertionError: It does not.
        """
        self.temporal.up, self.temporal.answers_to_lose = True, 0
        self.live(_QUIET_S, person=False)
        self.clock.advance_us(round(_AUDIT_S * S))
        for turn in range(_MOST_TURNS):
            self.relay_turn()
            while self.work(turn):
                pass
            self.live(1.0, person=False)
            self.hear_camera()
            self.note_accepted()
            if not self.busy():
                break
        self.finish_removals()
        assert not self.busy(), f"it does not come to rest: {self.busy()}"

    def busy(self) -> list[str]:
        """What still has something to do."""
        return [
            *(f"run {event_id} is at {run.step}" for event_id, run in self.temporal.runs.items() if not run.done),
            *(f"row of {m.event_id}" for _, m in self.reader.rows_after(SPEC.camera_id, 0, 100)),
            *(f"mark of {event_id}" for _, event_id in self.marks.unfinished_events()),
            *(f"terminal mark of {event_id}" for event_id in self.marks.terminal_events(SPEC.camera_id)),
        ]
