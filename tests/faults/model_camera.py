"""The camera process of the event model: real files, real drain; killed between any two of its writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from iris.adapters.media_files import unlink_durably
from iris.adapters.pending import PendingFiles
from iris.base.ids import RunId
from iris.domain.camera import CameraTuning
from iris.domain.segment import GapReason, Segment
from iris.domain.track import Track, TrackState
from iris.media.pruning import PruneCandidate, segments_to_prune
from iris.outbox.segments import DurableSegment, RunRow
from iris.outbox.writer import EventOutbox
from tests.builders.drain_camera import DrainCamera, S
from tests.builders.recorded_camera import RecordedCamera, make_film
from tests.fakes.picture import FakePicture

# Short enough that a run of the model meets all of them: longest event, pin budget, rolling buffer.
TUNING = CameraTuning(event_max_seconds=30, pin_budget_seconds=40, segment_retention_seconds=20)
_LOOK_US = S // 2
_SEGMENT_US = 2 * S
_SIZE_PX = (160, 120)


class KilledError(BaseException):
    """The process is gone at this very moment."""


@dataclass
class Fuse:
    """Kills at the so-many-th moment before or after a write; unarmed it does nothing."""

    left: int = 0

    def burn(self) -> None:
        """One moment passes."""
        if self.left:
            self.left -= 1
            if self.left == 0:
                raise KilledError


class Fused:
    """Calls through to another object, with a moment to die before and after each call."""

    def __init__(self, inner: object, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._inner, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn()
            result = method(*args, **kwargs)
            self._fuse.burn()
            return result

        return call


@dataclass(frozen=True)
class Footage:
    """A real segment of two seconds, to be copied under any name."""

    path: Path
    facts: Segment

    @staticmethod
    def make(folder: Path) -> Footage:
        """Encode it once."""
        camera = RecordedCamera(folder)
        (segment,) = camera.record(make_film(folder / "film.mp4", seconds=2, size_px=_SIZE_PX), 0, seconds=10)
        camera.close()
        return Footage(folder / segment.path, segment)


@dataclass
class ModelCamera(DrainCamera):
    """Time goes on in half seconds; a segment becomes durable every two."""

    tuning: CameraTuning = field(default_factory=lambda: TUNING)
    footage: Footage = field(kw_only=True)
    fuse: Fuse = field(default_factory=Fuse)
    run_count: int = 1

    def __post_init__(self) -> None:
        self.wrap_outbox = lambda outbox: cast("EventOutbox", Fused(outbox, self.fuse))
        self.wrap_files = lambda files: cast("PendingFiles", Fused(files, self.fuse))
        self._run, self._run_us = RunId("run"), self.clock.wall_us()
        self._segment_us = self._covered_us = self.clock.wall_us()
        super().__post_init__()

    def live(self, seconds: float, *, person: bool) -> None:
        """Time passes with a picture every half second.

        Raises:
            KilledError: The fuse was at its end.
        """
        if not person:
            self._first_us = None
        until_us = self.clock.monotonic_us() + round(seconds * S)
        while self.clock.monotonic_us() < until_us:
            self.clock.advance_us(_LOOK_US)
            now_us = self.clock.wall_us()
            tracks = []
            if person:
                self._first_us = now_us if self._first_us is None else self._first_us
                tracks = [Track(1, TrackState.CONFIRMED, "person", 0.9, (40, 20, 60, 60), self._first_us, now_us, 3)]
            self.drain.observe(tracks, FakePicture(now_us, size_px=_SIZE_PX), now_us)
            self.drain.tick(now_us)
            if now_us >= self._segment_us + _SEGMENT_US:
                self._publish(self._segment_us)
                self._segment_us += _SEGMENT_US
            self.drain.step()

    def die(self, away_s: float) -> None:
        """The process is gone at once and comes back after a while; what it was recording is lost."""
        self.fuse.left = 0
        self.kill()
        self.clock.advance_us(round(away_s * S))
        self.start()
        known_us = self.index.known_until_us()
        if known_us is not None:
            self.index.open_gap(known_us, GapReason.PROCESS_DIED)
        self.begin_run()

    def be_away(self, seconds: float) -> None:
        """The session ends, and the next one begins after so long."""
        self._end_run(GapReason.CAMERA_OFFLINE)
        until_us = self.clock.monotonic_us() + round(seconds * S)
        while self.clock.monotonic_us() < until_us:
            self.clock.advance_us(_LOOK_US)
            self.drain.tick(self.clock.wall_us())
            self.drain.step()
        self.begin_run()

    def step_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock: the run ends, the next one is anchored anew."""
        self._end_run(GapReason.STREAM_CHANGED)
        self.clock.step_wall_us(round(seconds * S))
        self.begin_run()

    def begin_run(self) -> None:
        """A new session with the camera, from now on."""
        self.run_count += 1
        now_us = self.clock.wall_us()
        self.index.close_gap(now_us)
        self._run, self._run_us, self._segment_us = RunId(f"run-{self.run_count}"), now_us, now_us
        self.index.begin_run(RunRow(self._run, now_us, "params", "h264", *_SIZE_PX, ""))

    def prune(self) -> None:
        """As the recorder does: what nothing pins leaves the rolling buffer."""
        candidates = [
            PruneCandidate(number, path, length_us, (self.data_dir / path).stat().st_nlink > 1)
            for number, path, length_us in self.index.durable_segments()
        ]
        old = segments_to_prune(candidates, round(TUNING.segment_retention_seconds * S))
        self.index.mark_deleting([candidate.segment_id for candidate in old])
        for candidate in old:
            unlink_durably(self.data_dir / candidate.path)
        self.index.drop_deleted([candidate.segment_id for candidate in old], self.clock.wall_us())

    def _end_run(self, reason: GapReason) -> None:
        now_us = self.clock.wall_us()
        self.index.open_gap(self._segment_us, reason)
        self.drain.run_ended(now_us, reason)
        self._first_us = None

    def _publish(self, start_us: int) -> None:
        """One more segment, unless the clock was set back onto one that is there."""
        facts, path = self.footage.facts, f"segments/{self.spec.camera_id}/seg_{start_us}.mp4"
        file = self.data_dir / path
        if file.exists():
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.footage.path, file)
        number = self.index.begin_segment(self._run, f"{path}.part", start_us - self._run_us)
        durable = DurableSegment(
            path, start_us, start_us + _SEGMENT_US, facts.size_bytes, facts.video_packet_count, 0, facts.sha256,
            facts.max_gop_us,
        )  # fmt: skip
        self.index.finish_segment(number, durable)
        between = self.reader.segments_between(self.spec.camera_id, start_us, start_us + _SEGMENT_US)
        self._covered_us = start_us + _SEGMENT_US
        self.drain.segment_published(next(segment for segment in between if segment.path == path))
