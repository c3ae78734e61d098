"""The audit of a node with real camera processes: what the supervisor missed is repaired, what is not ours is left."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from iris.adapters.clock import SystemClock
from iris.adapters.live_feed import CameraStart, encode_json, start_to_json
from iris.adapters.lock_holders import lock_holders
from iris.adapters.node_cameras import NodeCameras, SealedCamera
from iris.adapters.process import hold_lock
from iris.base.errors import StoreError
from iris.base.ids import CameraId
from iris.contracts.node import NodeReport
from iris.domain.camera import CameraTuning, DetectorBackend
from tests.workers.test_supervisor import CAMERA, NODE, Heard, recording, spec_of, until
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim
from workers.node_audit import NodeAudit
from workers.node_cameras import CameraKeeper
from workers.supervisor import CameraSupervisor

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def camera() -> Iterator[CameraSim]:
    with CameraSim(SceneSpec(fps=10)) as camera:
        yield camera


class Host:
    """A node's part that runs cameras, and the database that says which."""

    def __init__(self, data_dir: Path, camera: CameraSim) -> None:
        self.data_dir = data_dir
        self.lock = hold_lock(data_dir / "node" / "lock", patience_s=0)
        self.supervisor = CameraSupervisor(data_dir, NODE, CameraTuning(), SystemClock(), Heard().events())
        copy = NodeCameras(data_dir / "node" / "cameras.db")
        self.keeper = CameraKeeper(copy, self.supervisor, lambda sealed, _context: sealed.decode())
        self.spec = replace(spec_of(camera), detector_backend=DetectorBackend.NONE)
        self.wanted: dict[CameraId, SealedCamera] = {}
        self.away = False
        self.audit = NodeAudit(self.keeper, self.supervisor, self.read, data_dir, SystemClock())
        self.beats: list[str] = []

    def want(self, **changes: object) -> None:
        """The database wants the camera, with these changes."""
        spec = replace(self.spec, **changes)  # type: ignore[arg-type]  # fields of the spec
        self.wanted = {CAMERA: SealedCamera(1, replace(spec, rtsp_url=""), self.spec.rtsp_url.encode(), None)}

    def read(self) -> dict[CameraId, SealedCamera]:
        if self.away:
            raise StoreError("away")
        return dict(self.wanted)

    async def reconcile(self) -> NodeReport:
        return await asyncio.to_thread(self.audit.reconcile, lambda step, *_: self.beats.append(step))


@pytest.fixture
async def host(camera: CameraSim, tmp_path: Path) -> AsyncIterator[Host]:
    host = Host(tmp_path, camera)
    yield host
    await host.supervisor.stop()
    os.close(host.lock)


def actions(report: NodeReport) -> list[str]:
    assert report.repair_count == len(report.repairs)
    return [repair.action for repair in report.repairs]


async def test_audit_takes_up_a_change_of_the_database_and_calls_it_no_repair(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.node_audit._YOUNG_S", 0)  # the node's own process is not spared for its age
    assert actions(await host.reconcile()) == []
    host.want()
    assert actions(await host.reconcile()) == []
    pid = await recording(host.supervisor)
    report = await host.reconcile()
    assert (actions(report), report.wanted_count, report.running_count, report.store_answered) == ([], 1, 1, True)
    host.want(pre_seconds=1.0)
    assert actions(await host.reconcile()) == []
    assert await recording(host.supervisor) != pid
    host.away = True
    report = await host.reconcile()
    assert (actions(report), report.wanted_count, report.store_answered) == ([], 1, False)
    host.away, host.wanted = False, {}
    assert actions(await host.reconcile()) == []
    assert host.supervisor.counts() == (0, 0)


async def test_audit_repairs_what_the_node_missed_of_a_known_camera(host: Host) -> None:
    host.want()
    await host.reconcile()
    await recording(host.supervisor)
    await host.supervisor.apply({})
    assert actions(await host.reconcile()) == ["started"]
    await host.supervisor.apply({CAMERA: replace(host.spec, pre_seconds=1.0)})
    assert actions(await host.reconcile()) == ["restarted"]
    host.wanted = {}
    await host.reconcile()
    await host.supervisor.apply({CAMERA: host.spec})
    assert actions(await host.reconcile()) == ["stopped"]


async def test_audit_starts_nothing_when_the_node_is_stopping(host: Host) -> None:
    host.want()
    await host.supervisor.stop()
    report = await host.reconcile()
    assert (actions(report), report.wanted_count) == ([], 0)


async def test_audit_leaves_a_killed_process_to_the_node_itself(host: Host) -> None:
    host.want()
    await host.reconcile()
    pid = await recording(host.supervisor)
    os.kill(pid, signal.SIGKILL)
    for _ in range(5):
        assert actions(await host.reconcile()) == []
    await until(lambda: host.supervisor.status()[0].pid not in (0, pid), "another process")
    assert host.supervisor.status()[0].counters["restarts_signal"] == 1


async def test_audit_has_a_camera_watched_again_when_nobody_does(host: Host) -> None:
    host.want()
    await host.reconcile()
    pid = await recording(host.supervisor)
    task = host.supervisor._cameras[CAMERA].task
    assert task is not None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    report = await host.reconcile()
    assert [(r.action, r.reason) for r in report.repairs] == [("restarted", "nobody watched over it")]
    await until(lambda: host.supervisor.status()[0].pid not in (0, pid), "another process")
    await recording(host.supervisor)


async def test_audit_ends_a_process_that_is_heard_of_by_nobody(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.want()
    await host.reconcile()
    pid = await recording(host.supervisor)
    os.kill(pid, signal.SIGSTOP)
    monkeypatch.setattr("workers.supervisor.UNHEARD_US", 1_500_000)  # before the supervisor's own 15 s are over
    camera = host.supervisor._cameras[CAMERA]
    await until(lambda: SystemClock().monotonic_us() - camera.heard_us > 1_600_000, "a silence")
    report = await host.reconcile()
    assert [(r.action, r.reason) for r in report.repairs] == [("restarted", "it hung")]
    await until(lambda: host.supervisor.status()[0].pid not in (0, pid), "another process")


@contextmanager
def stray(host: Host, data_dir: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A camera process that records for this folder and that no supervisor knows, as a former node's."""
    ours, theirs = socket.socketpair()
    with ours:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.camera", str(theirs.fileno()), str(os.getpid()),
             str(data_dir or host.data_dir)],
            pass_fds=(theirs.fileno(),), start_new_session=True,
        )  # fmt: skip
        theirs.close()
        ours.sendall(encode_json(start_to_json(CameraStart(host.spec, CameraTuning(), NODE))))
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def recorded(data_dir: Path) -> Callable[[], bool]:
    """Whether a segment is durable."""
    return lambda: any((data_dir / "segments" / CAMERA).glob("seg_*.mp4"))


@pytest.mark.parametrize("stopped", [False, True], ids=["in_order", "hung"])
async def test_audit_ends_a_camera_process_that_the_supervisor_does_not_know(
    host: Host, monkeypatch: pytest.MonkeyPatch, stopped: bool
) -> None:
    monkeypatch.setattr("workers.node_audit._YOUNG_S", 0)
    monkeypatch.setattr("workers.node_audit.STOP_PATIENCE_S", 8 if not stopped else 2)
    with stray(host) as process:
        await until(recorded(host.data_dir), "the stray process records")
        if stopped:
            process.send_signal(signal.SIGSTOP)
        report = await host.reconcile()
        assert [(r.action, r.camera_id) for r in report.repairs] == [("ended", CAMERA)]
        assert process.wait(5) == (-signal.SIGKILL if stopped else 0)
        if not stopped:
            assert not list((host.data_dir / "segments" / CAMERA).glob("*.part")), "it published its last segment first"
        assert actions(await host.reconcile()) == []


async def test_audit_leaves_processes_alone_that_are_young_or_of_another_folder(
    host: Host, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    with stray(host, other) as foreign:
        await until(recorded(other), "it records")
        monkeypatch.setattr("workers.node_audit._YOUNG_S", 0)
        assert actions(await host.reconcile()) == []
        assert foreign.poll() is None
    monkeypatch.setattr("workers.node_audit._YOUNG_S", 3600)
    with stray(host) as young:
        await until(recorded(host.data_dir), "it records")
        assert actions(await host.reconcile()) == []
        assert young.poll() is None


async def test_stray_process_and_the_nodes_own_never_write_both(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.node_audit._YOUNG_S", 0)
    lock = host.data_dir / "node" / f"{CAMERA}.lock"
    with stray(host) as process:
        await until(recorded(host.data_dir), "the stray process records")
        host.want()
        await host.keeper.look(host.read)  # the node's own process waits for the lock now
        assert lock_holders(host.data_dir / "node" / "lock", [lock]) == {lock: process.pid}
        report = await host.reconcile()
        assert actions(report) == ["ended"]
        pid = await recording(host.supervisor)
        assert lock_holders(host.data_dir / "node" / "lock", [lock]) == {lock: pid}


def test_holders_of_locks_are_told_for_files_of_the_same_folder_only(tmp_path: Path) -> None:
    own, free, missing = tmp_path / "own", tmp_path / "free", tmp_path / "missing"
    free.touch()
    assert lock_holders(own, [free]) == {}, "without a lock of our own nothing is certain"
    descriptor = hold_lock(own, patience_s=0)
    theirs = tmp_path / "theirs"
    program = "import sys,time\nfrom pathlib import Path\nfrom iris.adapters.process import hold_lock\n"
    program += "hold_lock(Path(sys.argv[1]), patience_s=0)\nprint('held', flush=True)\ntime.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", program, str(theirs)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert lock_holders(own, [own, free, missing, theirs]) == {own: os.getpid(), theirs: process.pid}
        process.kill()
    os.close(descriptor)
