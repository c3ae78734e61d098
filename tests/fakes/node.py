"""A node as the api sees it, and the probes beside it: values that a test sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iris.base.errors import NotFoundError, UnavailableError
from iris.base.ids import CameraId
from iris.domain.camera import CameraState
from iris.domain.dead_letter import DeadLetter
from iris.domain.recording import ManualRecording
from iris.domain.status import CameraStatus, GpuMemory, NodeFacts

T_US = 1_700_000_000_000_000
FACTS = NodeFacts(
    node_id="018bcfe5-6800-7000-800d-000000000001",
    version="0.1.0",
    backend="onnx",
    device="cpu",
    onnx_providers=("CPUExecutionProvider",),
    class_names=("person", "car"),
    outbox_depth=3,
    outbox_oldest_age_s=1.5,
)


def recording(camera_id: str, **values: object) -> CameraStatus:
    """A camera that records."""
    status = {
        "state": CameraState.RECORDING, "heartbeat_us": 1_700_000_000_000_000, "fps": 15.0, "width_px": 1920,
        "height_px": 1080, "video_codec": "h264", "backend": "onnx", "device": "cpu",
        "last_segment_end_us": 1_699_999_999_000_000, "onnx_providers": ("CPUExecutionProvider",),
        "in_view": ("person",), "counters": {"segments": 7, "packets": 9}, "pid": 42,
    }  # fmt: skip
    return CameraStatus(CameraId(camera_id), **{**status, **values})  # type: ignore[arg-type]  # checked by the dataclass's users


class FakeNodeLink:
    """Implements `iris.ports.NodeLink` and `iris.node_ports.DeadLetterDesk`."""

    def __init__(self) -> None:
        self.up = True
        self.statuses: list[CameraStatus] = []
        self.pictures: dict[str, bytes] = {}
        self.node_facts = FACTS
        self.changed_count = 0
        self.recordings: dict[str, ManualRecording] = {}
        self.refused: list[DeadLetter] = []

    async def camera_status(self) -> Sequence[CameraStatus]:
        self._check()
        return self.statuses

    async def snapshot(self, camera_id: CameraId) -> bytes:
        self._check()
        if camera_id not in self.pictures:
            raise NotFoundError("there is no picture of this camera yet")
        return self.pictures[camera_id]

    async def record(
        self, camera_id: CameraId, action: str, most_seconds: float | None = None
    ) -> ManualRecording | None:
        self._check()
        if camera_id not in [status.camera_id for status in self.statuses]:
            raise NotFoundError("the camera is not running, so it cannot record")
        running = self.recordings.get(camera_id)
        if action == "stop":
            self.recordings.pop(camera_id, None)
            return None if running is None else replace(running, ended_us=T_US + 5_000_000, fresh=True)
        started = ManualRecording(FACTS.node_id, T_US, T_US + round((most_seconds or 600) * 1e6), None, fresh=True)
        self.recordings.setdefault(camera_id, replace(started, fresh=False))
        return started if running is None else running

    async def changed(self) -> None:
        self.changed_count += 1

    async def facts(self) -> NodeFacts:
        self._check()
        return self.node_facts

    async def dead_letters(self) -> Sequence[DeadLetter]:
        self._check()
        return self.refused

    async def retry_dead_letters(self) -> int:
        self._check()
        count, self.refused = len(self.refused), []
        return count

    def _check(self) -> None:
        if not self.up:
            raise UnavailableError("the node does not answer; is `iris node` running?")


class FakeNodeHub:
    """Implements `web.api.node_app.NodeHub` over a `FakeNodeLink`'s values."""

    def __init__(self) -> None:
        self.link = FakeNodeLink()

    def status(self) -> Sequence[CameraStatus]:
        return self.link.statuses

    async def snapshot(self, camera_id: CameraId) -> bytes:
        return await self.link.snapshot(camera_id)

    async def record(self, camera_id: CameraId, action: str, most_seconds: float | None) -> ManualRecording | None:
        return await self.link.record(camera_id, action, most_seconds)

    def changed(self) -> None:
        self.link.changed_count += 1

    def facts(self) -> NodeFacts:
        return self.link.node_facts

    async def dead_letters(self) -> Sequence[DeadLetter]:
        return await self.link.dead_letters()

    async def retry_dead_letters(self) -> int:
        return await self.link.retry_dead_letters()


class FakeTemporalProbe:
    """Implements `iris.ports.TemporalProbe`."""

    def __init__(self) -> None:
        self.up = True

    async def answers(self) -> bool:
        return self.up


class FakeGpuProbe:
    """Implements `iris.ports.GpuProbe`."""

    def __init__(self) -> None:
        self.value: GpuMemory | None = None

    def memory(self) -> GpuMemory | None:
        return self.value
