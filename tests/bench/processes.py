"""Processes under measurement: a camera that sends in real time, ours and naive ones that take it, and their cost."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from iris.adapters.clock import SystemClock
from iris.base.ids import CameraId, NodeId
from iris.domain.camera import CameraSpec, CameraTuning, DetectorBackend
from iris.domain.status import CameraStatus
from tests.assets import model
from tests.bench.naive import ffmpeg_recorder, read_counts
from tests.builders.events import NODE_ID, uuid_of
from tests.tree import ROOT
from workers.supervisor import CameraSupervisor, SupervisorEvents

WARM_UP_S, WINDOW_S = 9.0, 30.0
NAIVE_MODEL, OUR_MODEL = "yolov8n_int8.onnx", "yolov8n_static_640x384.onnx"
Counts = dict[str, int]


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU (user + system, seconds per second) and memory of processes and their children, and what they did meanwhile.

    PSS shares a library's pages among all that have it loaded, RSS counts them in full.
    """

    cpu: float
    pss_mb: float
    rss_mb: float
    counts: Counts


@contextlib.contextmanager
def camera_server(film: Path) -> Iterator[str]:
    """The address of a camera in a process of its own that loops a film; its CPU is not counted."""
    command = [sys.executable, "-m", "workers.cli", "camera-sim", "--video", str(film), "--auth", "none"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


class OurCameras:
    """Camera processes as a node starts them, by its supervisor."""

    def __init__(self, data_dir: Path, tuning: CameraTuning) -> None:
        data_dir.mkdir()
        nothing = SupervisorEvents(lambda _: None, lambda _camera, _events: None, lambda _: None)
        self._supervisor = CameraSupervisor(data_dir, NodeId(NODE_ID), tuning, SystemClock(), nothing)

    async def start(self, url: str, backend: DetectorBackend, count: int) -> None:
        """Start them and wait until all record."""
        ids = [CameraId(uuid_of(number, "c")) for number in range(count)]
        specs = [CameraSpec(camera_id, "bench", url, detector_backend=backend) for camera_id in ids]
        await self._supervisor.apply({spec.camera_id: spec for spec in specs})
        deadline = time.monotonic() + 60
        while not all(status.counters.get("segments", 0) for status in self._supervisor.status()):
            assert time.monotonic() < deadline, self._supervisor.status()
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Stop them in order."""
        await self._supervisor.stop()

    @property
    def statuses(self) -> list[CameraStatus]:
        """Their newest heartbeats."""
        return self._supervisor.status()

    @property
    def pids(self) -> list[int]:
        """Their processes."""
        return [status.pid for status in self.statuses]

    def counts(self) -> Counts:
        """What all of them did so far."""
        sums: Counts = {}
        for status in self.statuses:
            for name, value in status.counters.items():
                sums[name] = sums.get(name, 0) + value
        return sums


@contextlib.asynccontextmanager
async def our_cameras(data_dir: Path, url: str, backend: DetectorBackend, count: int = 1) -> AsyncIterator[OurCameras]:
    """Camera processes that record `url`."""
    path = str(model(OUR_MODEL)) if backend is DetectorBackend.ONNX else None
    cameras = OurCameras(data_dir, CameraTuning(detector_model_path=path, detector_device="cpu"))
    try:
        await cameras.start(url, backend, count)
        yield cameras
    finally:
        await cameras.stop()


@contextlib.contextmanager
def children(commands: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Run commands as children; gives their pids, ends them in order."""
    running = [subprocess.Popen(command, cwd=ROOT) for command in commands]
    try:
        yield [child.pid for child in running]
        assert all(child.poll() is None for child in running), "a process ended while it was measured"
    finally:
        for child in running:
            child.terminate()
        for child in running:
            child.wait(20)


async def cost_of_ours(data_dir: Path, url: str, backend: DetectorBackend, count: int = 1) -> Cost:
    """Run camera processes and measure them."""
    async with our_cameras(data_dir, url, backend, count) as cameras:
        return await measured(lambda: cameras.pids, cameras.counts)


async def cost_of_naive(folder: Path, url: str) -> Cost:
    """Run the naive pipeline and measure it."""
    command = [sys.executable, "-m", "tests.bench.naive", url, str(model(NAIVE_MODEL)), str(folder)]
    with children([command]) as pids:
        await _until(lambda: read_counts(folder)["detections"] > 0)
        return await measured(lambda: pids, lambda: read_counts(folder))


async def cost_of_ffmpeg(folder: Path, url: str, count: int) -> Cost:
    """Run ffmpeg processes that record, one per camera, and measure them."""
    folders = [folder / str(number) for number in range(count)]
    for each in folders:
        each.mkdir(parents=True)
    with children([ffmpeg_recorder(url, each) for each in folders]) as pids:
        await _until(lambda: all(read_counts(each)["segments"] for each in folders))
        return await measured(lambda: pids, lambda: {"segments": sum(read_counts(f)["segments"] for f in folders)})


async def measured(pids: Callable[[], Sequence[int]], counts: Callable[[], Counts]) -> Cost:
    """Warm up, then measure over the window; fails where a process was replaced meanwhile."""
    await asyncio.sleep(WARM_UP_S)
    before, processes, cpu_before_s, began = counts(), list(pids()), _cpu_s(pids()), time.monotonic()
    await asyncio.sleep(WINDOW_S)
    cpu = (_cpu_s(processes) - cpu_before_s) / (time.monotonic() - began)
    assert list(pids()) == processes, "a process was started again while it was measured"
    done = {name: value - before.get(name, 0) for name, value in counts().items()}
    memory = [process.memory_full_info() for process in _family(processes)]
    pss_mb, rss_mb = (sum(getattr(each, kind) for each in memory) / 1e6 for kind in ("pss", "rss"))
    return Cost(cpu, pss_mb, rss_mb, {name: value for name, value in done.items() if value})


async def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


def _family(pids: Sequence[int]) -> list[psutil.Process]:
    tops = [psutil.Process(pid) for pid in pids]
    return tops + [child for top in tops for child in top.children(recursive=True)]


def _cpu_s(pids: Sequence[int]) -> float:
    """utime + stime of processes and their children."""
    return sum(sum(process.cpu_times()[:2]) for process in _family(pids))
