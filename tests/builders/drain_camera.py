"""A camera's drain on real files: segments come and somebody walks in when the test says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iris.adapters.jpeg import encode_jpeg
from iris.adapters.pending import PendingFiles
from iris.adapters.pins import pinned_files
from iris.base.ids import CameraId, RunId
from iris.contracts.events import EventMessage
from iris.domain.camera import CameraSpec, CameraTuning
from iris.domain.segment import GapReason, Segment
from iris.domain.track import Track, TrackState
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.reader import CameraDbReader
from iris.outbox.segments import DurableSegment, RunRow, SegmentIndex
from iris.outbox.writer import EventOutbox
from iris.pipeline.drain import Drain, DrainParts
from tests.builders.events import CAMERA_ID, NODE_ID, uuid_of
from tests.fakes.clock import SimulatedClock
from tests.fakes.picture import FakePicture

S = 1_000_000
T0 = 1_700_000_000 * S
SPEC = CameraSpec(
    camera_id=CameraId(CAMERA_ID),
    name="door",
    rtsp_url="rtsp://camera",
    pre_seconds=2,
    post_seconds=3,
    trigger_cooldown=5,
)


class CountingIds:
    """Implements `iris.ports.IdSource`; a new process goes on counting."""

    def __init__(self) -> None:
        self.count = 0

    def new_id(self) -> str:
        self.count += 1
        return uuid_of(self.count)


@dataclass
class DrainCamera:
    """Time runs from T0; all seconds are since then. Segments last two seconds."""

    data_dir: Path
    tuning: CameraTuning = field(default_factory=CameraTuning)
    spec: CameraSpec = SPEC
    wrap_files: Callable[[PendingFiles], PendingFiles] = lambda files: files
    wrap_outbox: Callable[[EventOutbox], EventOutbox] = lambda outbox: outbox
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(wall_us=T0))
    ids: CountingIds = field(default_factory=CountingIds)
    looks_per_s: int = 5
    notified: int = 0
    forgotten: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader = CameraDbReader(self.data_dir)
        self._segment_count = 0
        self._first_us: int | None = None
        self.start()
        self.index.begin_run(RunRow(RunId("run"), T0, "params", "h264", 1280, 720, ""))

    def start(self) -> None:
        """A new process on the same files."""
        self.db = CameraDb(camera_db_path(self.data_dir, self.spec.camera_id))
        self.index = SegmentIndex(self.db)
        self.files = self.wrap_files(PendingFiles(self.data_dir))
        parts = DrainParts(
            outbox=self.wrap_outbox(EventOutbox(self.db, self.clock)),
            index=self.reader,
            files=self.files,
            clock=self.clock,
            ids=self.ids,
            encode_jpeg=encode_jpeg,
            notify=self._notify,
            forgotten=self.forgotten.extend,
        )
        self.drain = Drain(self.spec, self.tuning, NODE_ID, parts)
        self._first_us = None

    def kill(self) -> None:
        """The process is gone, its files stay."""
        self.db.close()

    @property
    def now_s(self) -> float:
        return (self.clock.wall_us() - T0) / S

    def play(
        self, until_s: float, *, person: bool = False, labels: Sequence[str] = ("person",), step: bool = True
    ) -> None:
        """Time passes to `until_s` with looks and a segment every two seconds."""
        if not person:
            self._first_us = None
        while self.now_s < until_s:
            self.clock.advance_us(S // self.looks_per_s)
            now_us = self.clock.wall_us()
            tracks = []
            if person:
                self._first_us = self._first_us if self._first_us is not None else now_us
                tracks = [
                    Track(number, TrackState.CONFIRMED, label, 0.9, (400, 200, 600, 600), self._first_us, now_us, 3)
                    for number, label in enumerate(labels)
                ]
            self.drain.observe(tracks, FakePicture(now_us), now_us)
            self.drain.tick(now_us)
            if (now_us - T0) % (2 * S) == 0:
                self.record(self.now_s - 2, self.now_s)
            if step:
                self.drain.step()

    def record(self, start_s: float, end_s: float) -> Segment:
        """A segment becomes durable and is heard of."""
        start_us, end_us = T0 + round(start_s * S), T0 + round(end_s * S)
        path = f"segments/{self.spec.camera_id}/seg_{start_us}.mp4"
        file = self.data_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"footage" * 100)
        number = self.index.begin_segment(RunId("run"), path + ".part", start_us - T0)
        self.index.finish_segment(number, DurableSegment(path, start_us, end_us, 700, 30, 0, "0" * 64, S))
        segment = next(s for s in self.reader.segments_between(self.spec.camera_id, start_us, end_us) if s.path == path)
        self.drain.segment_published(segment)
        return segment

    def lose_camera(self, reason: GapReason = GapReason.CAMERA_OFFLINE) -> None:
        self.index.open_gap(self.clock.wall_us(), reason)
        self.drain.run_ended(self.clock.wall_us(), reason)

    def wait(self, until_s: float) -> None:
        """Time passes without frames and segments."""
        while self.now_s < until_s:
            self.clock.advance_us(S // 2)
            self.drain.tick(self.clock.wall_us())
            self.drain.step()

    @property
    def messages(self) -> list[EventMessage]:
        return [message for _, message in self.reader.rows_after(self.spec.camera_id, 0, 1000)]

    def pinned_s(self, event_id: str) -> list[float]:
        """Starts of the pinned segments, seconds."""
        names = pinned_files(self.data_dir, event_id)
        return [(int(name.removeprefix("seg_").removesuffix(".mp4")) - T0) / S for name in names]

    def _notify(self) -> None:
        self.notified += 1
