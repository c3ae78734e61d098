"""A whole Iris with cameras for fault tests: people come and go every few seconds, faults come in between.

Everything is real: `iris up` with its own Temporal, RTSP cameras, files on disk. Faults are the tests' business;
this brings the system up, says when it is back, and gives the verdict at the end.
"""

from __future__ import annotations

import contextlib
import time
from functools import partial
from types import TracebackType
from typing import Any, Self

from iris.adapters.clock import SystemClock
from tests.e2e.footage import recorded_marks
from tests.e2e.running_iris import RunningIris, wait_until
from tests.faults.ledger import Ledger
from tests.faults.verdict import Verdict, judge
from tests.faults.witness import Witness
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

# A presence every 6 s that is an event of its own: 2.5 s in view, the next one comes later than cooldown and settling.
SCENE = SceneSpec(width_px=320, height_px=180, fps=10, loop_s=6, walk_at_s=1, walk_s=2.5, keyframe_interval_s=1)
TUNING: dict[str, Any] = {
    "detector_backend": "motion", "trigger_cooldown": 1, "pre_seconds": 1, "post_seconds": 1,
}  # fmt: skip
# Nothing is pruned, so that every recorded picture can be counted at the end.
SETTINGS = {"SEGMENT_RETENTION_SECONDS": "7200", "EVENT_MAX_SECONDS": "60"}

# Requirement: recording is back within 5 s on a quiet machine; beyond this it is broken on any.
RECORDING_WITHIN_S = 30.0
HEALTHY_WITHIN_S = 60.0
ENDED_WITHIN_S = 120.0


def wall_us() -> int:
    """Now, by the clock that cameras and Iris use."""
    return SystemClock().wall_us()


class FaultStage:
    """Cameras, Iris and a witness; a context manager.

    Args:
        iris: Not started yet; mostly `RunningIris(folder, **SETTINGS)`.
        cameras: How many.
        scene: What they show.
        tuning: Of each camera, beside `TUNING`.
    """

    def __init__(
        self, iris: RunningIris, *, cameras: int = 1, scene: SceneSpec = SCENE, tuning: dict[str, Any] | None = None
    ) -> None:
        self.iris = iris
        self.cameras: dict[str, CameraSim] = {}
        self.witness = Witness(iris.data_dir, iris.environment.get("DATABASE_URL"))
        self._sims = [CameraSim(scene) for _ in range(cameras)]
        self._tuning = TUNING | (tuning or {})
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            for sim in self._sims:
                exits.enter_context(sim)
            exits.enter_context(self.iris)
            exits.enter_context(self.witness)
            for number, sim in enumerate(self._sims):
                camera = self.iris.add_camera(name=f"camera {number}", rtsp_url=sim.url, **self._tuning)
                self.cameras[camera["id"]] = sim
            self.until_recording()
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.__exit__(kind, error, trace)

    def until_recording(self) -> float:
        """Wait until every camera says that it records; the seconds it took.

        A requirement, not a measurement: it fails where recording does not come back.
        """
        began = time.monotonic()
        for camera_id in self.cameras:
            wait_until(
                partial(self._records, camera_id), RECORDING_WITHIN_S,
                f"camera {camera_id} records again; log: {self.iris.log()[-3000:]}",
            )  # fmt: skip
        return time.monotonic() - began

    def until_healthy(self) -> None:
        """Wait until nothing is degraded any more."""
        wait_until(lambda: self.iris.health().get("status") == "ok", HEALTHY_WITHIN_S, f"health: {self.iris.health()}")

    def until_accepted(self, more: int, within_s: float = 60.0) -> set[str]:
        """Wait until so many further events were accepted; they."""
        before = set(self.witness.accepted)
        wait_until(
            lambda: len(set(self.witness.accepted) - before) >= more, within_s, f"{more} more events are accepted"
        )
        return set(self.witness.accepted) - before

    def unended(self) -> set[str]:
        """Accepted events that have not been seen to end."""
        return set(self.witness.accepted) - set(self.witness.ended)

    def _records(self, camera_id: str) -> bool:
        with contextlib.suppress(Exception):  # no answer, or none that can be read, while parts come and go
            return self.iris.status(camera_id).get("state") == "recording"
        return False

    def end_presences(self) -> None:
        """Switch the cameras off: whatever is open closes, and nothing new comes."""
        for camera_id in self.cameras:
            wait_until(partial(self._disabled, camera_id), 30, f"camera {camera_id} is off")

    def _disabled(self, camera_id: str) -> bool:
        with contextlib.suppress(Exception):
            return self.iris.call("POST", f"/api/cameras/{camera_id}/disable").status_code == 200
        return False

    def verdict(self, ledger: Ledger, *, runs: bool = True, may_fail: bool = False) -> Verdict:
        """Let everything come to its end, and compare what was accepted with what became of it.

        Args:
            ledger: Gets the counts.
            runs: Whether Temporal knows every event, so that one completed run each is required.
            may_fail: Whether `failed` is an acceptable end; elsewhere it counts as a violation.
        """
        self.end_presences()
        found = judge(self.iris, self.witness, ended_within_s=ENDED_WITHIN_S, runs=runs, may_fail=may_fail)
        ledger.events += found.events
        ledger.failed(len(found.lost), len(found.duplicates), len(found.violations))
        return found

    def numbers(self, camera_id: str) -> list[int]:
        """Numbers of all recorded pictures of a camera, in order; each is there once."""
        return [mark.number for mark in recorded_marks(self.iris.data_dir, camera_id)]

    def assert_recorded_without_a_hole(self, from_us: int, to_us: int) -> None:
        """Every picture that the cameras sent in a span of wall time is on disk."""
        for camera_id in self.cameras:
            marks = recorded_marks(self.iris.data_dir, camera_id)
            numbers = [mark.number for mark in marks if from_us <= mark.sent_wall_us <= to_us]
            assert numbers, "nothing was recorded"
            missing = sorted(set(range(numbers[0], numbers[-1] + 1)) - set(numbers))
            assert not missing, f"camera {camera_id} lost pictures {missing}"
