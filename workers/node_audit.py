"""The node's side of the Node workflow: compares the cameras that should run with those that do, and repairs.

It works through the keeper and the supervisor, which start and restart cameras without it: what it finds is what they
missed. The one thing it ends by itself is a camera process of this DATA_DIR that the supervisor does not know. Called
on a thread of the Temporal worker; what belongs to the event loop is done there.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import psutil

from iris.adapters.lock_holders import lock_holders
from iris.adapters.node_cameras import SealedCamera
from iris.base.errors import InputError
from iris.base.ids import CameraId, parse_id
from iris.base.timebase import US_PER_S
from iris.contracts.node import REPAIR_ENDED, REPAIR_RESTARTED, REPAIR_STARTED, REPAIR_STOPPED, NodeReport, Repair
from iris.ports import Clock, ProgressSink
from workers.node_cameras import CameraKeeper
from workers.supervisor import STOP_PATIENCE_S, CameraSupervisor

# Between its start and the moment at which the supervisor knows its pid lie milliseconds.
_YOUNG_S: Final = 10.0
_MOST_TOLD: Final = 50
# How often a long step gives a sign of life.
_BEAT_S: Final = 1.0

T = TypeVar("T")


class NodeAudit:
    """Implements `CameraAudit`; one per node, made on its event loop."""

    def __init__(
        self,
        keeper: CameraKeeper,
        supervisor: CameraSupervisor,
        read: Callable[[], dict[CameraId, SealedCamera]],
        data_dir: Path,
        clock: Clock,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._keeper = keeper
        self._supervisor = supervisor
        self._read = read
        self._data_dir = data_dir
        self._clock = clock

    def reconcile(self, progress: ProgressSink) -> NodeReport:
        """See `CameraAudit.reconcile`."""
        repairs, store_answered = self._on_loop(self._compare(), progress)
        known = self._on_loop(self._known_pids(), progress)
        repairs += [self._end(camera_id, process, progress) for camera_id, process in self._strays(known)]
        wanted_count, running_count = self._on_loop(self._counts(), progress)
        return NodeReport(
            checked_us=self._clock.wall_us(),
            wanted_count=wanted_count,
            running_count=running_count,
            repairs=tuple(repairs[:_MOST_TOLD]),
            repair_count=len(repairs),
            store_answered=store_answered,
        )

    # On the event loop

    async def _compare(self) -> tuple[list[Repair], bool]:
        """What had to be repaired; a change of the database that is taken up here, before the node did, is none."""
        look = await self._keeper.look(self._read)
        applied = [
            *(Repair(camera_id, REPAIR_STARTED, "it should run and did not") for camera_id in look.applied.started),
            *(Repair(camera_id, REPAIR_RESTARTED, "it ran with old settings") for camera_id in look.applied.restarted),
            *(Repair(camera_id, REPAIR_STOPPED, "it ran and should not") for camera_id in look.applied.stopped),
        ]
        revived = [Repair(camera_id, REPAIR_RESTARTED, reason) for camera_id, reason in self._supervisor.revive()]
        repairs = [repair for repair in applied if repair.camera_id not in look.changed] + revived
        return repairs, look.store_answered

    async def _known_pids(self) -> frozenset[int]:
        return self._supervisor.known_pids()

    async def _counts(self) -> tuple[int, int]:
        return self._supervisor.counts()

    # On the thread

    def _on_loop(self, work: Coroutine[Any, Any, T], progress: ProgressSink) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        beats = 0
        while not concurrent.futures.wait([future], _BEAT_S).done:
            beats += 1
            progress("compare cameras", beats, 0)
        return future.result()

    def _strays(self, known: Collection[int]) -> list[tuple[CameraId, psutil.Process]]:
        """Processes that hold the lock of a camera of this folder and are not the supervisor's, for certain."""
        locks = {path: camera_id for path in (self._data_dir / "node").glob("*.lock") if (camera_id := _id_of(path))}
        found = []
        for path, pid in lock_holders(self._data_dir / "node" / "lock", locks).items():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if pid not in known and self._is_camera_process(process):
                    found.append((locks[path], process))
        return found

    def _is_camera_process(self, process: psutil.Process) -> bool:
        command = process.cmdline()
        age_s = self._clock.wall_us() / US_PER_S - process.create_time()
        return "workers.camera" in command and command[-1] == str(self._data_dir) and age_s > _YOUNG_S

    def _end(self, camera_id: CameraId, process: psutil.Process, progress: ProgressSink) -> Repair:
        """Ask it to leave in order, which publishes its last segment; end it when it does not."""
        reason = f"process {process.pid} recorded it, and this node did not know of it"
        with contextlib.suppress(psutil.Error):
            process.terminate()
            for second in range(round(STOP_PATIENCE_S / _BEAT_S)):
                with contextlib.suppress(psutil.TimeoutExpired):
                    process.wait(_BEAT_S)
                    return Repair(camera_id, REPAIR_ENDED, reason)
                progress("end a stray process", second, round(STOP_PATIENCE_S))
            process.kill()
        return Repair(camera_id, REPAIR_ENDED, f"{reason}, nor did it stop when asked")


def _id_of(path: Path) -> CameraId | None:
    try:
        return CameraId(parse_id(path.stem))
    except InputError:
        return None
