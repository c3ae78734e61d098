"""A node with finished events: clips of a known size on a disk of a known size; real database, real files."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from iris.adapters.disk_room import DiskReserve
from iris.adapters.event_files import DiskEventFiles
from iris.base.errors import CorruptMediaError
from iris.base.ids import NodeId
from iris.contracts.events import FinaliseEvent
from iris.domain.operation import OperationKind
from iris.domain.storage import DiskFigures
from iris.pipeline.clock_watch import ClockWatch
from iris.pipeline.eviction import EvictionParts, Evictor
from iris.retention.clock_rule import ClockReading
from iris.retention.policy import RetentionPolicy
from iris.store.engine import Store
from iris.store.events import EventFilters
from iris.store.operations import OperationDraft
from tests.builders.events import CAMERA_ID, NODE_ID, clip_of, event_message, uuid_of
from tests.fakes.clock import SimulatedClock

CLIP_BYTES = 10_000
DAY_S = 86_400
NODE = NodeId(NODE_ID)


@dataclass
class MemoryMark:
    """Implements `MarkFile`."""

    mark: ClockReading | None = None

    def read(self) -> ClockReading | None:
        return self.mark

    def write(self, reading: ClockReading) -> None:
        self.mark = reading


@dataclass
class KeptFootage:
    """The node. Its disk holds 100 clips; what is used beside clips is `foreign_bytes`."""

    store: Store
    data_dir: Path
    policy: RetentionPolicy = field(default_factory=RetentionPolicy)
    clock: SimulatedClock = field(default_factory=SimulatedClock)
    mark: MemoryMark = field(default_factory=MemoryMark)
    disk_bytes: int = 100 * CLIP_BYTES
    foreign_bytes: int = 0
    boot_id: str = "boot-1"
    node_id: NodeId = NODE
    paired: bool = True
    write_bytes_per_s: float = 0.0
    slow_s: float = 0.0
    gives_back_after_s: float | None = None
    refuses: bool = False

    def __post_init__(self) -> None:
        self._used: list[tuple[int, int]] = []
        self.files = DiskEventFiles(self.data_dir)
        self.restarted().watch_clock()

    def restarted(self) -> Evictor:
        """The evictor of a new process."""
        self.watch = ClockWatch(
            lambda: ClockReading(self.boot_id, self.clock.wall_us(), self.clock.monotonic_us()), self.mark
        )
        self.evictor = Evictor(
            EvictionParts(
                self.store, self.node_id, self.files, self.disk, DiskReserve(self.data_dir / "reserve"), self.clock,
                self.watch, self.policy, lambda: self.paired,
            )
        )  # fmt: skip
        return self.evictor

    def disk(self) -> DiskFigures:
        """As full as the clips make it; each look takes `slow_s`."""
        if self.refuses:
            raise CorruptMediaError("a failure that no second try mends")
        self.clock.advance_s(self.slow_s)
        clips = sum(path.stat().st_size for path in self.data_dir.glob("recordings/*/*.mp4"))
        used = min(self.disk_bytes, clips + self.foreign_bytes)
        if self.gives_back_after_s is not None:
            now_us = self.clock.monotonic_us()
            self._used.append((now_us, used))
            used = max(seen for at_us, seen in self._used if now_us - at_us < self.gives_back_after_s * 1e6)
        return DiskFigures(used, self.disk_bytes - used, self.write_bytes_per_s)

    def keep(self, number: int, *, age_days: float | None = None, held: bool = False, label: str = "person") -> str:
        """Event `number` with a clip and a thumbnail; events are a minute apart unless their age is given."""
        at_us = self.clock.wall_us() - round((age_days if age_days is not None else 1) * DAY_S * 1e6)
        at_us += 0 if age_days is not None else number * 60_000_000
        times = {"started_us": at_us, "last_seen_us": at_us + 1, "window_start_us": at_us, "window_end_us": at_us + 2}
        message = event_message(number, "closed", node_id=self.node_id, labels=(label,), **times)
        clip = clip_of(message)
        clip = replace(clip, files=(replace(clip.files[0], size_bytes=CLIP_BYTES),))
        with self.store.writing() as work:
            work.events.finalise(FinaliseEvent(message, clip, f"thumbnails/{message.event_id}.jpg"), at_us)
            if held:
                work.holds.put(message.event_id, "evidence", at_us)  # type: ignore[arg-type]  # a plain id
        for path, size in ((clip.files[0].path, CLIP_BYTES), (f"thumbnails/{message.event_id}.jpg", 10)):
            file = self.data_dir / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x" * size)
        return message.event_id

    def open_event(self, number: int, age_days: float) -> str:
        """An event that is not finished."""
        at_us = self.clock.wall_us() - round(age_days * DAY_S * 1e6)
        message = event_message(
            number, node_id=self.node_id, started_us=at_us, last_seen_us=at_us, window_start_us=at_us
        )
        with self.store.writing() as work:
            work.events.record(message, at_us)
        return message.event_id

    def operation(self) -> str:
        """A person asked for a pass."""
        operation_id = uuid_of(9, "b")
        draft = OperationDraft(
            operation_id=operation_id, kind=OperationKind.RETENTION, workflow_id=f"retention:{operation_id}", request={}
        )
        with self.store.writing() as work:
            work.operations.ask(draft, self.clock.wall_us())
        return operation_id

    def events(self) -> set[int]:
        """Numbers of the events that are there; each has its files, and no file is there without its event."""
        with self.store.reading() as work:
            rows, cursor = work.events.page(EventFilters(), limit=500)
        assert cursor is None
        clips = {path.stem for path in self.data_dir.glob(f"recordings/{CAMERA_ID}/*")}
        assert clips == {row.event_id for row in rows if row.state.terminal}
        assert {path.stem for path in self.data_dir.glob("thumbnails/*.jpg")} == clips
        return {int(row.event_id[-12:], 16) for row in rows}

    def tombstones(self) -> dict[int, str]:
        """Reason by number of each event that was removed; all are buried."""
        with self.store.reading() as work:
            stones, _ = work.tombstones.page(limit=500)
        assert all(stone.buried_us is not None for stone in stones)
        return {int(stone.event_id[-12:], 16): stone.reason.value for stone in stones}
