"""The supervisor with real camera processes and a real camera: started, watched, restarted, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from iris.adapters.clock import SystemClock
from iris.base.errors import NotFoundError, StorageError
from iris.base.ids import CameraId, NodeId
from iris.domain.camera import CameraSpec, CameraState, CameraTuning, DetectorBackend
from iris.domain.segment import GapReason
from iris.outbox.camera_db import camera_db_path
from iris.outbox.reader import CameraDbReader
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim
from workers.supervisor import STOP_PATIENCE_S, CameraSupervisor, SupervisorEvents

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

CAMERA = CameraId("0193b0a0-0000-7000-8000-000000000001")
NODE = NodeId("0193b0a0-0000-7000-8000-0000000000ff")


class Heard:
    """What the supervisor told."""

    def __init__(self) -> None:
        self.outbox: list[CameraId] = []
        self.forgotten: list[str] = []
        self.started: list[CameraId] = []

    def events(self) -> SupervisorEvents:
        return SupervisorEvents(self.outbox.append, self._forgot, self.started.append)

    def _forgot(self, _camera_id: CameraId, event_ids: Sequence[str]) -> None:
        self.forgotten.extend(event_ids)


@pytest.fixture(scope="module")
def camera() -> Iterator[CameraSim]:
    # Somebody is in view nearly always, so that an event is open soon.
    with CameraSim(SceneSpec(loop_s=20, walk_at_s=1, walk_s=18, fps=10)) as camera:
        yield camera


@pytest.fixture
async def supervisor(tmp_path: Path, heard: Heard) -> AsyncIterator[CameraSupervisor]:
    supervisor = CameraSupervisor(tmp_path, NODE, CameraTuning(), SystemClock(), heard.events())
    yield supervisor
    await supervisor.stop()


@pytest.fixture
def heard() -> Heard:
    return Heard()


def spec_of(camera: CameraSim) -> CameraSpec:
    return CameraSpec(
        CAMERA, "gate", camera.url, detector_backend=DetectorBackend.MOTION, post_seconds=1, trigger_cooldown=1
    )


async def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, what
        await asyncio.sleep(0.02)


def state(supervisor: CameraSupervisor) -> CameraState:
    return supervisor.status()[0].state


async def recording(supervisor: CameraSupervisor) -> int:
    """Wait until it records; the pid of its process."""
    await until(lambda: state(supervisor) is CameraState.RECORDING, "the camera records")
    return supervisor.status()[0].pid


async def test_camera_records_and_shows_its_picture_and_is_gone_when_no_longer_wanted(
    camera: CameraSim, supervisor: CameraSupervisor, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    (other / "workers").mkdir(parents=True)
    (other / "workers" / "__init__.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(other)  # a camera process finds the product in whatever folder it starts
    await supervisor.apply({CAMERA: spec_of(camera)})
    pid = await recording(supervisor)
    assert (await supervisor.snapshot(CAMERA)).startswith(b"\xff\xd8")
    assert "walk-in" not in " ".join(psutil.Process(pid).cmdline())
    await until(lambda: bool(heard.outbox), "an event is accepted")
    await supervisor.apply({})
    assert supervisor.status() == []
    assert not psutil.pid_exists(pid)
    rows = [message for _, message in CameraDbReader(tmp_path).rows_after(CAMERA, 0, 100)]
    assert (rows[-1].kind, rows[-1].end_reason) == ("closed", "stopped"), "a camera switched off closes its event"
    with pytest.raises(NotFoundError):
        await supervisor.snapshot(CAMERA)


async def test_killed_process_is_started_again_and_goes_on_with_its_event(
    camera: CameraSim, supervisor: CameraSupervisor, heard: Heard, tmp_path: Path
) -> None:
    # Longer than a restart takes, also on a busy machine: the event is held open meanwhile.
    await supervisor.apply({CAMERA: replace(spec_of(camera), trigger_cooldown=20)})
    pid = await recording(supervisor)
    await until(lambda: bool(heard.outbox), "an event is accepted")
    [before] = CameraDbReader(tmp_path).open_events(CAMERA)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: supervisor.status()[0].pid not in (0, pid), "another process")
    await recording(supervisor)
    assert supervisor.status()[0].restart_count == 1
    assert heard.started == [CAMERA, CAMERA]
    [after] = CameraDbReader(tmp_path).open_events(CAMERA)
    assert after.event_id == before.event_id


async def test_damaged_file_of_a_camera_is_said_by_its_process_until_it_can_be_used(
    camera: CameraSim, supervisor: CameraSupervisor, tmp_path: Path
) -> None:
    path = camera_db_path(tmp_path, CAMERA)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database" * 1000)
    await supervisor.apply({CAMERA: spec_of(camera)})
    await until(lambda: "is damaged" in supervisor.status()[0].sentence, "it says why it does not record")
    said = supervisor.status()[0]
    assert (said.state, said.error_code, said.restart_count) == (CameraState.ERROR, "storage_error", 0)
    assert path.read_bytes() == b"no database" * 1000
    supervisor.forget(CAMERA, ["01890000-0000-7000-8000-0000000000e1"])  # what comes meanwhile is not lost
    path.rename(path.with_suffix(".aside"))
    assert await recording(supervisor) == said.pid


async def test_camera_with_a_damaged_file_leaves_at_once_when_no_longer_wanted(
    camera: CameraSim, supervisor: CameraSupervisor, tmp_path: Path
) -> None:
    path = camera_db_path(tmp_path, CAMERA)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database" * 1000)
    await supervisor.apply({CAMERA: spec_of(camera)})
    await until(lambda: "is damaged" in supervisor.status()[0].sentence, "it says why it does not record")
    pid = supervisor.status()[0].pid
    async with asyncio.timeout(STOP_PATIENCE_S / 2):
        await supervisor.apply({})
    assert not psutil.pid_exists(pid)


async def test_name_changes_nothing_running_and_an_address_restarts(
    camera: CameraSim, supervisor: CameraSupervisor
) -> None:
    spec = spec_of(camera)
    await supervisor.apply({CAMERA: spec})
    pid = await recording(supervisor)
    await supervisor.apply({CAMERA: replace(spec, name="door")})
    assert supervisor.status()[0].pid == pid
    await supervisor.apply({CAMERA: replace(spec, pre_seconds=1)})
    assert not psutil.pid_exists(pid)
    await until(lambda: bool(supervisor.status()) and supervisor.status()[0].pid not in (0, pid), "another process")


async def test_hung_process_is_ended_and_reads_as_offline(
    camera: CameraSim, supervisor: CameraSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.supervisor.STALE_US", 2_000_000)
    await supervisor.apply({CAMERA: spec_of(camera)})
    pid = await recording(supervisor)
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: state(supervisor) in (CameraState.OFFLINE, CameraState.ERROR), "offline")
    await until(lambda: not psutil.pid_exists(pid), "the hung process is ended")
    await recording(supervisor)


async def test_process_is_ended_and_started_again_when_it_left_its_feed_and_stays(
    camera: CameraSim, supervisor: CameraSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.supervisor.STOP_PATIENCE_S", 1.0)
    await supervisor.apply({CAMERA: spec_of(camera)})
    pid = await recording(supervisor)
    os.kill(pid, signal.SIGSTOP)  # it can neither beat nor leave
    writer = supervisor._cameras[CAMERA].writer
    assert writer is not None
    writer.close()
    await until(lambda: not psutil.pid_exists(pid), "the process that stayed is ended")
    await until(lambda: supervisor.status()[0].pid not in (0, pid), "another process")
    assert supervisor.status()[0].counters["restarts_hung"] == 1


async def test_camera_is_started_again_when_those_who_listen_fail(camera: CameraSim, tmp_path: Path) -> None:
    failures = [StorageError("relay.db cannot be read"), StorageError("database or disk is full")]

    def fail(_camera_id: CameraId) -> None:
        if failures:
            raise failures.pop()

    heard = Heard().events()
    supervisor = CameraSupervisor(tmp_path, NODE, CameraTuning(), SystemClock(), replace(heard, started=fail))
    await supervisor.apply({CAMERA: spec_of(camera)})
    await recording(supervisor)
    assert supervisor.status()[0].counters["restarts_watch_failed"] == 2
    await supervisor.stop()


async def test_process_leaves_in_order_when_its_node_is_killed(camera: CameraSim, tmp_path: Path) -> None:
    program = (
        "import asyncio,sys\nfrom pathlib import Path\nfrom tests.workers.test_supervisor import *\n"
        "async def main():\n"
        "    s = CameraSupervisor(Path(sys.argv[1]), NODE, CameraTuning(), SystemClock(), Heard().events())\n"
        "    await s.apply({CAMERA: replace(CameraSpec(CAMERA, 'gate', sys.stdin.read()), "
        "detector_backend=DetectorBackend.NONE)})\n"
        "    await recording(s)\n    print(s.status()[0].pid, flush=True)\n    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    import sys

    node = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert node.stdin is not None
    assert node.stdout is not None
    node.stdin.write(camera.url.encode())
    node.stdin.close()
    pid = int(await asyncio.wait_for(node.stdout.readline(), 30))
    node.kill()
    await node.wait()
    await until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", "the camera left", 8)
    folder = tmp_path / "segments" / CAMERA
    assert not list(folder.glob("*.part")), "it published its unfinished segment first"
    gaps = CameraDbReader(tmp_path).gaps_between(CAMERA, 0, 1 << 60)
    assert [gap.reason for gap in gaps] == [GapReason.PROCESS_DIED], "nobody stopped it"
