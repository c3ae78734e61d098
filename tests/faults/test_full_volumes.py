"""Each volume full once, without inodes, or read-only: Iris goes on, says why, and is back soon after the space is.

Reliability cases R13 and R16. One Iris whose folders lie on disks of their own in memory; eviction is switched off, so
that full means full. Recording stops only where its own disks are struck, as a recorded gap; a clip, a picture or a
row that finds no room is made once there is some.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from iris.adapters.node_cameras import NodeCameras, SealedCamera
from iris.base.errors import DiskFullError
from iris.base.ids import CameraId
from iris.base.sqlite import connect_readonly
from iris.domain.camera import CameraSpec
from tests.e2e.running_iris import RunningIris, wait_until
from tests.faults.disks import Ballast, memory_disk, need_mounts, set_readonly
from tests.faults.ledger import Ledger, rounds
from tests.faults.stage import SETTINGS, FaultStage, wall_us

# Requirement: recording is back so soon after there is room.
# Footage of so long on a full disk: nothing new was needed there.
GOES_ON_US = 10_000_000
BACK_WITHIN_S = 10.0
# A step of a workflow that failed a few times waits half a minute before it is tried again.
ENDS_WITHIN_S = 60.0
VOLUMES = {"data": 96, "recordings": 32, "footage": 32, "database": 32, "thumbnails": 32}


class Volumes:
    """An Iris over five disks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data" / "iris"
        self.data_dir.mkdir()
        for name, volume in (
            ("recordings", "recordings"), ("thumbnails", "thumbnails"), ("segments", "footage"), ("pending", "footage"),
        ):  # fmt: skip
            (folder / volume / name).mkdir()
            (self.data_dir / name).symlink_to(folder / volume / name)
        self.settings = {**SETTINGS, "DATABASE_URL": f"sqlite:///{folder / 'database' / 'vms.db'}"}


@pytest.fixture
def volumes(memory_path: Path) -> Iterator[Volumes]:
    need_mounts()
    with ExitStack() as stack:
        for name, size_mib in VOLUMES.items():
            stack.enter_context(memory_disk(memory_path / name, size_mib, inodes=2000))
        yield Volumes(memory_path)


class Trial:
    """One fault on one volume of a running Iris."""

    def __init__(self, stage: FaultStage, volumes: Volumes, ledger: Ledger) -> None:
        self.stage, self._volumes, self._ledger = stage, volumes, ledger
        [self.camera_id] = stage.cameras
        self.problems: list[str] = []

    def status(self) -> dict[str, Any]:
        """What the camera says; {} while nobody answers."""
        try:
            return self.stage.iris.status(self.camera_id)
        except Exception:  # noqa: BLE001 - parts may be away while their disk is full
            return {}

    def recording_stops(self, name: str, break_it: Callable[[], None], mend_it: Callable[[], None], says: str) -> None:
        """The camera's own disks: it says why it does not record, a gap says it too, and it is back soon."""
        break_it()
        broken_us = wall_us()

        def goes_on() -> bool:
            # A database needs no new block for as long as it has pages that were given free.
            return name == "data full" and (self._newest_end_us() or 0) > broken_us + GOES_ON_US

        try:
            wait_until(
                lambda: says in self.status().get("sentence", "") or goes_on(),
                30, f"{name}: status says {says!r}: {self.status()}",
            )  # fmt: skip
        finally:
            mend_it()
        mended_us = wall_us()
        self._back(name, mended_us)
        reasons = [
            reason
            for start_us, end_us, reason in self.gaps()
            if start_us < mended_us and (end_us is None or end_us > broken_us)
        ]
        if goes_on() and not reasons:
            return
        if not any(reason in ("disk_full", "storage_error") for reason in reasons):
            self.problems.append(f"{name}: the gap has the reasons {reasons}")

    def events_wait(self, name: str, ballast: Ballast) -> None:
        """Any other disk: recording goes on, events end once there is room."""
        before = {gap[0] for gap in self.gaps()}
        ballast.fill()
        try:
            accepted = self.stage.until_accepted(1)
            # Its presence, its hold time and the wait for its last segment; then its end is tried in vain.
            wait_until(lambda: self._closed(accepted), 30, f"{name}: an event is closed")
            time.sleep(2)  # the fault's length: the steps behind the close are tried in it
            if self.status().get("state") != "recording":
                self.problems.append(f"{name}: the camera is {self.status()}")
            ended = accepted & set(self.stage.witness.ended)
            if ended and name != "database":
                states = {event_id: self.stage.witness.ended[event_id] for event_id in ended}
                self.problems += [f"{name}: {states} on a full disk"] if "failed" in states.values() else []
        finally:
            ballast.free()
        mended_us = wall_us()
        wait_until(lambda: not accepted - set(self.stage.witness.ended), ENDS_WITHIN_S, f"{name}: the events end")
        self._ledger.sample(f"{name}_ended_s", (wall_us() - mended_us) / 1e6)
        if {gap[0] for gap in self.gaps()} != before:
            self.problems.append(f"{name}: recording was interrupted: {self.gaps()}")

    def gaps(self) -> list[tuple[int, int | None, str]]:
        """The camera's gaps."""
        connection = connect_readonly(self._volumes.data_dir / "node" / f"{self.camera_id}.db")
        try:
            return connection.execute("SELECT start_us, end_us, reason FROM gaps ORDER BY start_us").fetchall()
        finally:
            connection.close()

    def _closed(self, event_ids: set[str]) -> bool:
        connection = connect_readonly(self._volumes.data_dir / "node" / f"{self.camera_id}.db")
        try:
            open_ids = {row[0] for row in connection.execute("SELECT event_id FROM open_events")}
        finally:
            connection.close()
        return not event_ids & open_ids

    def _newest_end_us(self) -> int | None:
        connection = connect_readonly(self._volumes.data_dir / "node" / f"{self.camera_id}.db")
        try:
            found: int | None = connection.execute(
                "SELECT max(end_us) FROM segments WHERE state = 'durable'"
            ).fetchone()[0]
        finally:
            connection.close()
        return found

    def _back(self, name: str, mended_us: int) -> None:
        wait_until(
            lambda: (self._newest_end_us() or 0) > mended_us,
            60,
            f"{name}: a segment from after the space came back; {self.status()}",
        )
        wait_until(lambda: self.status().get("state") == "recording", 30, f"{name}: recording; {self.status()}")
        gap_ends = [end_us for _, end_us, _ in self.gaps() if end_us is not None]
        back_s = max(0.0, (max(gap_ends, default=mended_us) - mended_us) / 1e6)
        self._ledger.sample(f"{name}_back_s", back_s)
        if back_s > BACK_WITHIN_S:
            self.problems.append(f"{name}: recorded again {back_s:.1f} s after the space came back")


def crash_loops(log: str, turns: int) -> list[str]:
    """Parts that were started again; a full disk is no reason for more than one end of each a turn."""
    ends = re.findall(r"(?:part ended, starting it again|camera process ended).*", log)
    return [f"{len(ends)} parts ended: {ends}"] if len(ends) > 3 * turns else []


@pytest.mark.e2e
@pytest.mark.timeout(3600)
def test_iris_goes_on_and_comes_back_when_a_volume_is_full_without_inodes_or_readonly(
    volumes: Volumes, tmp_path: Path
) -> None:
    with Ledger("R13", "each volume full, without inodes, read-only", "faults") as ledger:
        iris = RunningIris(volumes.data_dir, **volumes.settings)
        iris.log_path = tmp_path / "iris.log"
        with FaultStage(iris) as stage:
            assert iris.call("PUT", "/api/retention", json={"by_space": False}).status_code == 200
            [sim] = stage.cameras.values()
            trial = Trial(stage, volumes, ledger)
            ballast = {name: Ballast(volumes.folder / name) for name in VOLUMES}
            footage = volumes.folder / "footage"

            def make_readonly() -> None:
                # The kernel takes writing away only while no file is open for it.
                sim.vanish()
                wait_until(lambda: _readonly(footage), 30, "the disk can be made read-only")
                sim.come_back()

            turns = rounds(1, 5)
            for _ in range(turns):
                trial.recording_stops("segments full", ballast["footage"].fill, ballast["footage"].free, "full")
                trial.events_wait("recordings", ballast["recordings"])
                trial.events_wait("thumbnails", ballast["thumbnails"])
                trial.events_wait("database", ballast["database"])
                trial.recording_stops("no inodes", ballast["footage"].fill_inodes, ballast["footage"].free, "full")
                trial.recording_stops(
                    "read-only", make_readonly, lambda: set_readonly(footage, readonly=False), "Read-only"
                )
                trial.recording_stops("data full", ballast["data"].fill, ballast["data"].free, "full")
                stage.until_healthy()
                ledger.rounds += 7
            found = stage.verdict(ledger)
            problems = trial.problems + crash_loops(iris.log(), turns)
            ledger.failed(violations=len(problems))
        found.expect_clean()
        assert not problems, "\n".join(problems)


def _readonly(folder: Path) -> bool:
    try:
        set_readonly(folder, readonly=True)
    except RuntimeError:
        return False
    return True


def test_copy_of_the_cameras_is_written_again_once_a_full_disk_has_room(memory_path: Path) -> None:
    need_mounts()
    camera_id = CameraId("0193b0a0-0000-7000-8000-000000000001")
    wanted = {camera_id: SealedCamera(1, CameraSpec(camera_id, "gate", ""), b"sealed" * 2000)}
    with memory_disk(memory_path / "node", 1) as folder:
        cameras, ballast = NodeCameras(folder / "cameras.db"), Ballast(folder)
        ballast.fill()
        with pytest.raises(DiskFullError):
            cameras.replace(wanted)
        ballast.free()
        cameras.replace(wanted)
        assert cameras.load() == wanted
        del cameras


@pytest.mark.e2e
def test_start_is_refused_with_a_sentence_when_segments_and_pending_are_on_two_disks(memory_path: Path) -> None:
    need_mounts()
    data_dir = memory_path / "data"
    data_dir.mkdir()
    with memory_disk(memory_path / "segments", 8) as segments, memory_disk(memory_path / "pending", 8) as pending:
        (data_dir / "segments").symlink_to(segments)
        (data_dir / "pending").symlink_to(pending)
        iris = RunningIris(data_dir, TEMPORAL_ADDRESS="127.0.0.1:1")
        done = subprocess.run(
            [sys.executable, "-m", "workers.cli", "node"], env=iris.environment, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        assert "must be on one file system that has hard links" in done.stderr + done.stdout
        assert "Traceback" not in done.stderr + done.stdout
        assert sorted(path.name for path in segments.iterdir()) == []
