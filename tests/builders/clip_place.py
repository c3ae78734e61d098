"""A node's clip workshop over one camera with real files, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from iris.contracts.events import AssembleClip, ClipResult, EventRef
from iris.pipeline.clip_workshop import NodeClipWorkshop, NodeHooks
from tests.builders.recorded_camera import RecordedCamera
from tests.fakes.clock import SimulatedClock

T = 1_700_000_000_000_000
S = 1_000_000
EVENT = "01890000-0000-7000-8000-0000000000e1"
NODE = "01890000-0000-7000-8000-0000000000a1"


def quiet(step: str, done: int, total: int) -> None:
    """Nobody listens."""


@dataclass
class Place:
    """A node with one camera."""

    camera: RecordedCamera
    clock: SimulatedClock = field(default_factory=lambda: SimulatedClock(T))
    running: bool = True
    terminal: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        hooks = NodeHooks(
            is_running=lambda camera_id: self.running,
            post_us=lambda camera_id: 10 * S,
            mark_terminal=lambda camera_id, event_id: self.terminal.append((camera_id, event_id)),
        )
        self.workshop = NodeClipWorkshop(
            self.camera.data_dir, self.camera.reader, self.camera.reader, self.clock, hooks
        )
        self.ref = EventRef(EVENT, self.camera.camera_id, NODE)

    def request(self, start_s: float, end_s: float) -> AssembleClip:
        return AssembleClip(EVENT, self.camera.camera_id, T + round(start_s * S), T + round(end_s * S))

    def assemble(self, start_s: float, end_s: float) -> ClipResult:
        return self.workshop.assemble(self.request(start_s, end_s), quiet)

    def clips(self) -> list[str]:
        return sorted(path.name for path in (self.camera.data_dir / "recordings").glob("*/*"))

    def path(self, name: str) -> Path:
        return self.camera.data_dir / name
