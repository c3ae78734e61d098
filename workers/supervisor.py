"""Keeps one camera process per enabled camera: spawn, heartbeat watch, back-off, one writer.

Runs in the node's event loop on its main thread (the kernel's parent-death signal is tied to the thread that
started a child). Needs no database and no Temporal. A camera process is not trusted: what it sends is checked, a
violation ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from iris.adapters.live_feed import (
    CameraStart,
    JsonObject,
    encode_json,
    read_message_within,
    recording_from_json,
    start_to_json,
    status_from_json,
)
from iris.base.backoff import backoff_delay_s
from iris.base.errors import InputError, NotFoundError, UnavailableError
from iris.base.ids import CameraId, NodeId
from iris.base.log import get_logger
from iris.domain.camera import CameraSpec, CameraState, CameraTuning
from iris.domain.recording import ManualRecording
from iris.domain.status import COUNTER_RESTARTS, CameraStatus
from iris.ports import Clock
from workers.children import product_environment

# A camera whose heartbeat (one a second) is older is offline to everybody, and its process is ended as hung.
STALE_US = 15_000_000
# The first restart comes at once: recording is to be back within 5 s of a kill, start included.
FIRST_RESTART_S = 0.3
# A process that ran this long starts its back-off anew.
HEALTHY_S = 30.0
# An orderly stop publishes the unfinished segment; slow disks included it takes well under this.
STOP_PATIENCE_S = 8.0
# A process that is heard of by nobody for longer is ended by the audit, where the watch over it did not do so.
UNHEARD_US = STALE_US + 5_000_000
ANSWER_PATIENCE_S = 3.0
# One thread per library, read when it is loaded: a process per camera must not spread over all cores (measured: twice
# the cost for nothing). A value in the environment wins.
_ONE_THREAD = {"OMP_NUM_THREADS": "1"}


@dataclass(slots=True)
class _Camera:
    spec: CameraSpec
    task: asyncio.Task[None] | None = None
    process: asyncio.subprocess.Process | None = None
    writer: asyncio.StreamWriter | None = None
    status: CameraStatus | None = None
    restarts: Counter[str] = field(default_factory=Counter)
    heard_us: int = 0  # monotonic: its newest message, or when its process was started
    leaving: bool = False
    close_event: bool = False
    told: asyncio.Event = field(default_factory=asyncio.Event)
    asked: dict[int, asyncio.Future[tuple[JsonObject, bytes]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` had to do."""

    started: tuple[CameraId, ...] = ()
    restarted: tuple[CameraId, ...] = ()
    stopped: tuple[CameraId, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.started or self.restarted or self.stopped)


class _Ending(NamedTuple):
    """How a camera process ended: a fixed word for counting, a sentence's end for people."""

    cause: str
    sentence: str


@dataclass(frozen=True, slots=True)
class SupervisorEvents:
    """Whom the supervisor tells, on the event loop's thread."""

    outbox_changed: Callable[[CameraId], None]
    forgotten: Callable[[CameraId, Sequence[str]], None]
    started: Callable[[CameraId], None]


class CameraSupervisor:
    """Runs camera processes so that they match the wanted specs."""

    def __init__(
        self, data_dir: Path, node_id: NodeId, tuning: CameraTuning, clock: Clock, events: SupervisorEvents
    ) -> None:
        self._data_dir = data_dir
        self._node_id = node_id
        self._tuning = tuning
        self._clock = clock
        self._events = events
        self._cameras: dict[CameraId, _Camera] = {}
        self._stopped = False
        self._request_ids = iter(range(1, 2**62))
        self._log = get_logger(part="supervisor")

    async def apply(self, wanted: dict[CameraId, CameraSpec]) -> Applied:
        """Start, restart and stop until what runs matches; returns once all stops are done.

        A camera that is no longer wanted closes its open event (reason `stopped`); one whose spec changed is
        restarted and goes on with it. A changed name alone restarts nothing.
        """
        gone = [camera_id for camera_id in self._cameras if camera_id not in wanted]
        changed = [
            camera_id
            for camera_id, camera in self._cameras.items()
            if camera_id in wanted and replace(camera.spec, name="") != replace(wanted[camera_id], name="")
        ]
        await asyncio.gather(
            *(self._stop(camera_id, close_event=True) for camera_id in gone),
            *(self._stop(camera_id, close_event=False) for camera_id in changed),
        )
        started = []
        for camera_id, spec in wanted.items():
            if camera_id in self._cameras:
                self._cameras[camera_id].spec = spec
            elif not self._stopped:
                started.append(camera_id)
                camera = _Camera(spec)
                self._cameras[camera_id] = camera
                camera.task = asyncio.create_task(self._keep_running(camera), name=f"camera {camera_id}")
        return Applied(tuple(c for c in started if c not in changed), tuple(changed), tuple(gone))

    def revive(self) -> list[tuple[CameraId, str]]:
        """Put right what the watch over a camera cannot have missed, and did; says what and why."""
        now_us = self._clock.monotonic_us()
        revived = []
        for camera_id, camera in self._cameras.items():
            if camera.leaving or camera.task is None:
                continue
            if camera.task.done():
                revived.append((camera_id, "nobody watched over it"))
                camera.task = asyncio.create_task(self._keep_running(camera), name=f"camera {camera_id}")
            elif _is_alive(camera) and now_us - camera.heard_us > UNHEARD_US:
                revived.append((camera_id, "it hung"))
                _kill(camera.process)
        return revived

    def known_pids(self) -> frozenset[int]:
        """Processes that the supervisor watches over."""
        return frozenset(camera.process.pid for camera in self._cameras.values() if camera.process is not None)

    def counts(self) -> tuple[int, int]:
        """Cameras that should run, and how many of these have a process that gave a sign of life lately."""
        now_us, cameras = self._clock.monotonic_us(), self._cameras.values()
        return len(cameras), sum(_is_alive(camera) and now_us - camera.heard_us <= STALE_US for camera in cameras)

    async def stop(self) -> None:
        """Stop all camera processes in order and start none any more; open events stay open for the next start."""
        self._stopped = True
        await asyncio.gather(*(self._stop(camera_id, close_event=False) for camera_id in [*self._cameras]))

    async def all_told(self, patience_s: float) -> None:
        """Wait until every wanted camera has given its first sign of life, for `patience_s` at most."""
        told = asyncio.gather(*(camera.told.wait() for camera in self._cameras.values()))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told, patience_s)

    def is_running(self, camera_id: CameraId) -> bool:
        """Whether this node means to run the camera (its process may be between two starts)."""
        return camera_id in self._cameras

    def status(self) -> list[CameraStatus]:
        """Status of all wanted cameras; a stale heartbeat reads as offline."""
        return [self._status_of(camera) for camera in self._cameras.values()]

    def _status_of(self, camera: _Camera) -> CameraStatus:
        status = camera.status
        if status is None:
            return CameraStatus(
                camera.spec.camera_id, CameraState.CONNECTING, "The camera process is starting.",
                restart_count=camera.restarts.total(),
            )  # fmt: skip
        if self._clock.wall_us() - status.heartbeat_us > STALE_US:
            return replace(
                status, state=CameraState.OFFLINE, sentence="The camera process gives no sign of life; it is restarted."
            )
        restarts = {f"{COUNTER_RESTARTS}{cause}": count for cause, count in camera.restarts.items()}
        return replace(status, restart_count=camera.restarts.total(), counters={**status.counters, **restarts})

    async def snapshot(self, camera_id: CameraId) -> bytes:
        """Newest picture as JPEG.

        Raises:
            NotFoundError: No such camera here, or no picture yet.
            UnavailableError: Its process did not answer in time.
        """
        camera = self._cameras.get(camera_id)
        if camera is None or camera.writer is None:
            raise NotFoundError("the camera is not running, so there is no picture of it")
        _, jpeg = await self._ask(camera, {"type": "snapshot"})
        if not jpeg:
            raise NotFoundError("no picture of this camera has arrived yet")
        return jpeg

    async def record(
        self, camera_id: CameraId, action: str, most_seconds: float | None = None
    ) -> ManualRecording | None:
        """Start or stop the manual recording of a camera; durable when this returns. None: nothing to stop.

        Raises:
            NotFoundError: No such camera here.
            UnavailableError: Its process is between two starts, or did not answer in time.
            StorageError: Its disk refused it.
        """
        camera = self._cameras.get(camera_id)
        if camera is None:
            raise NotFoundError("the camera is not running, so it cannot record")
        if camera.writer is None:
            raise UnavailableError("the camera process is just being started; try again in a moment")
        answer, _ = await self._ask(camera, {"type": "record", "action": action, "most_seconds": most_seconds})
        if not answer:
            raise UnavailableError("the camera process ended before it answered; look whether the recording runs")
        return recording_from_json(answer, action)

    async def _ask(self, camera: _Camera, question: JsonObject) -> tuple[JsonObject, bytes]:
        """Ask a camera process and await its answer; an empty one means that it ended meanwhile.

        Raises:
            UnavailableError: It did not answer in time.
        """
        number = next(self._request_ids)
        answer: asyncio.Future[tuple[JsonObject, bytes]] = asyncio.get_running_loop().create_future()
        camera.asked[number] = answer
        try:
            self._send(camera, {**question, "id": number})
            async with asyncio.timeout(ANSWER_PATIENCE_S):
                return await answer
        except TimeoutError as error:
            raise UnavailableError("the camera process did not answer in time") from error
        finally:
            camera.asked.pop(number, None)

    def forget(self, camera_id: CameraId, event_ids: Sequence[str]) -> None:
        """Ask the camera process to drop the outbox rows of finished events; answered by `forgotten`."""
        camera = self._cameras.get(camera_id)
        if camera is not None and event_ids:
            self._send(camera, {"type": "forget", "events": list(event_ids)})

    def _send(self, camera: _Camera, message: JsonObject) -> None:
        if camera.writer is not None and not camera.writer.is_closing():
            camera.writer.write(encode_json(message))

    async def _stop(self, camera_id: CameraId, *, close_event: bool) -> None:
        camera = self._cameras[camera_id]
        camera.leaving = True
        # A word, not a signal: a signal also comes from the kernel when the node dies, and then nobody asked.
        self._send(camera, {"type": "stop", "close_event": close_event})
        process = camera.process
        if process is not None and process.returncode is None:
            try:
                await asyncio.wait_for(process.wait(), STOP_PATIENCE_S)
            except TimeoutError:
                self._log.warning("camera process killed, it did not stop", camera_id=camera_id)
                _kill(process)
        if camera.task is not None:
            camera.task.cancel()
            await asyncio.gather(camera.task, return_exceptions=True)
        self._cameras.pop(camera_id, None)

    async def _keep_running(self, camera: _Camera) -> None:
        attempt = 0
        while True:
            started_us = self._clock.monotonic_us()
            try:
                ending = await self._run_once(camera)
            except OSError as error:
                ending = _Ending("not_started", f"could not be started: {error.strerror}")
            except Exception as error:  # noqa: BLE001 - the boundary of a camera: whatever fails, it is started again
                self._log.error("a camera's watch failed", camera_id=camera.spec.camera_id, error=error, exc_info=True)
                ending = _Ending("watch_failed", "was not watched over for a moment")
            if camera.leaving:
                return
            attempt = 1 if self._clock.monotonic_us() - started_us > HEALTHY_S * 1_000_000 else attempt + 1
            camera.restarts[ending.cause] += 1
            delay_s = backoff_delay_s(attempt, first_s=FIRST_RESTART_S, jitter=random.random())  # noqa: S311 - spread only
            self._log.warning(
                "camera process ended",
                camera_id=camera.spec.camera_id,
                reason=ending.sentence,
                restart_in_s=round(delay_s, 1),
            )
            camera.status = CameraStatus(
                camera.spec.camera_id, CameraState.ERROR,
                f"The camera process {ending.sentence}; it is started again in {delay_s:.1f} s.",
                error_code="process_died", heartbeat_us=self._clock.wall_us(), restart_count=camera.restarts.total(),
            )  # fmt: skip
            await asyncio.sleep(delay_s)

    async def _run_once(self, camera: _Camera) -> _Ending:
        """Run the process until it ends; says how it ended."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 - the library's own signature
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "workers.camera",
                str(theirs.fileno()), str(os.getpid()), str(self._data_dir),
                pass_fds=(theirs.fileno(),), start_new_session=True, stdin=asyncio.subprocess.DEVNULL,
                env=product_environment({**_ONE_THREAD, **os.environ}),
            )  # fmt: skip
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        camera.process, camera.heard_us = process, self._clock.monotonic_us()
        reader, camera.writer = await asyncio.open_unix_connection(sock=ours, limit=1024 * 1024)
        violation: _Ending | None = None
        try:
            self._send(camera, start_to_json(CameraStart(camera.spec, self._tuning, self._node_id)))
            self._events.started(camera.spec.camera_id)
            violation = await self._listen(camera, reader)
        finally:
            camera.writer.close()
            camera.writer = None
            for waiting in camera.asked.values():
                if not waiting.done():
                    waiting.set_result(({}, b""))
            if violation is not None:
                _kill(process)
        ending = await _ending_of(process)
        return violation or ending

    async def _listen(self, camera: _Camera, reader: asyncio.StreamReader) -> _Ending | None:
        """Take messages until the process leaves (None) or must be ended (why)."""
        while True:
            try:
                message, payload = await read_message_within(reader, STALE_US / 1_000_000)
                camera.heard_us = self._clock.monotonic_us()
                self._take(camera, message, payload)
            except (asyncio.IncompleteReadError, ConnectionError):
                return None
            except TimeoutError:
                return _Ending("hung", "hung (no heartbeat for 15 s)")
            except (InputError, KeyError, TypeError, ValueError):
                return _Ending("violation", "sent what is not acceptable")

    def _take(self, camera: _Camera, message: JsonObject, payload: bytes) -> None:
        camera_id = camera.spec.camera_id
        match message["type"]:
            case "status":
                camera.status = status_from_json(camera_id, message)
                if camera.status.state is not CameraState.CONNECTING:
                    camera.told.set()
            case "outbox":
                self._events.outbox_changed(camera_id)
            case "forgot":
                events = message["events"]
                self._events.forgotten(camera_id, [str(e) for e in events] if isinstance(events, list) else [])
            case "snapshot" | "recording":
                waiting = camera.asked.get(int(str(message["id"])))
                if waiting is not None and not waiting.done():
                    waiting.set_result((message, payload))
            case other:
                raise InputError(f"unknown live feed message {other!r}")


async def _ending_of(process: asyncio.subprocess.Process) -> _Ending:
    """Wait for a process that closed its feed; it publishes its last segment, and must not take for ever."""
    try:
        code = await asyncio.wait_for(process.wait(), STOP_PATIENCE_S)
    except TimeoutError:
        _kill(process)
        await process.wait()
        return _Ending("hung", "hung when it should have ended")
    return _Ending("signal", f"was ended by signal {-code}") if code < 0 else _Ending("exit", f"ended with code {code}")


def _is_alive(camera: _Camera) -> bool:
    return camera.process is not None and camera.process.returncode is None


def _kill(process: asyncio.subprocess.Process | None) -> None:
    if process is not None and process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
