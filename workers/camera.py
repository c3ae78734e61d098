"""The camera process: `python -m workers.camera FD PARENT_PID DATA_DIR`, started by a node and by nobody else.

Hostile territory: it parses what a camera sends. It holds one camera's secret (taken over the socket, never from
an argument), no Temporal client, no main database, no web framework. It ends with its parent, publishing the
unfinished segment first, and never lasts longer than `LAST_SECONDS` after being asked to stop.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iris.adapters.clock import SystemClock
from iris.adapters.live_feed import (
    CameraFeed,
    CameraStart,
    JsonObject,
    recording_to_json,
    start_from_json,
    status_to_json,
)
from iris.adapters.process import (
    cap_memory,
    die_with_parent,
    forbid_core_dumps,
    hold_lock,
    on_signals,
    prefer_as_oom_victim,
)
from iris.base.errors import ConflictError, StorageError
from iris.base.log import configure_logging, get_logger
from iris.base.stop import StopToken
from iris.domain.camera import CameraState
from iris.domain.recording import ManualAnswer
from iris.domain.segment import GapReason
from iris.domain.status import CameraStatus

if TYPE_CHECKING:
    from iris.pipeline.camera import CameraRuntime

# Decoder, one network and buffers take under 500 MB; beyond this something is wrong with this camera's stream.
MEMORY_CAP_BYTES = 2 * 1024**3
# An orderly stop takes about a second; a hung disk or driver must not keep the lock from the next process.
LAST_SECONDS = 7.0
# A predecessor that is publishing its last segment holds the lock for so long at most.
LOCK_PATIENCE_S = LAST_SECONDS + 3.0
HEARTBEAT_S = 1.0
EXIT_LOCKED = 75


def _leave_after(seconds: float) -> None:
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()


class _Process:
    """Ties the feed to the runtime; the main thread beats, a second one listens."""

    def __init__(self, feed: CameraFeed, stop: StopToken) -> None:
        self._feed = feed
        self._stop = stop
        self._close_event = False
        self._asked = False
        self._early: list[JsonObject] = []  # came before there was a runtime

    def run(self, data_dir: Path) -> int:
        message = self._feed.receive()
        if message is None:
            return 0
        start = start_from_json(message)
        # The descriptor is kept open by this frame for the life of the process: it is the one-writer lock.
        lock = hold_lock(data_dir / "node" / f"{start.spec.camera_id}.lock", patience_s=LOCK_PATIENCE_S)
        if self._stop.stopped:  # told to leave while it waited for the lock: the camera may be gone by now
            os.close(lock)
            return 0
        runtime = self._built(start, data_dir)
        if runtime is None:
            os.close(lock)
            return 0
        runtime.start()
        threading.Thread(target=self._listen, args=(runtime,), name="feed", daemon=True).start()
        try:
            while not self._stop.wait(HEARTBEAT_S):
                self._send_status(runtime.status())
        finally:
            _leave_after(LAST_SECONDS)
            # Where the node died nobody asked: for whoever looks for footage that is no orderly stop.
            reason = GapReason.STOPPED if self._asked else GapReason.PROCESS_DIED
            runtime.stop(close_event=self._close_event, reason=reason)
            self._say_outbox()
            os.close(lock)
        return 0

    def _built(self, start: CameraStart, data_dir: Path) -> CameraRuntime | None:
        """The camera, as soon as its own file can be used; says meanwhile why not. None where it has to leave before.

        A process that ended instead would be started again and again, and nobody would read its reason.
        """
        from workers.wiring.camera import build_camera

        said = ""
        while not self._stop.stopped:
            try:
                return build_camera(start, data_dir, on_outbox=self._say_outbox, on_forgotten=self._say_forgotten)
            except StorageError as error:
                if str(error) != said:
                    get_logger(camera_id=start.spec.camera_id).error("recording cannot start", reason=str(error))
                said, code = str(error), error.code
            self._send_status(
                CameraStatus(
                    start.spec.camera_id, CameraState.ERROR, said, error_code=code,
                    heartbeat_us=SystemClock().wall_us(), pid=os.getpid(),
                )
            )  # fmt: skip
            self._take_early(HEARTBEAT_S)
        return None

    def _take_early(self, seconds: float) -> None:
        """Keep what the node says meanwhile for later, but for a word to stop."""
        if not self._feed.waits(seconds):
            return
        message = self._feed.receive()
        if message is None or message["type"] == "stop":
            self._stop.stop()
        else:
            self._early.append(message)

    def _send_status(self, status: CameraStatus) -> None:
        try:
            self._feed.send(status_to_json(status))
        except OSError:
            self._stop.stop()  # the node is gone

    def _say_outbox(self) -> None:
        try:
            self._feed.send({"type": "outbox"})
        except OSError:
            self._stop.stop()

    def _say_forgotten(self, event_ids: Sequence[str]) -> None:
        # Only now: the node drops its marks of them, and rows without marks would be delivered again.
        try:
            self._feed.send({"type": "forgot", "events": list(event_ids)})
        except OSError:
            self._stop.stop()

    def _record(self, runtime: CameraRuntime, message: JsonObject) -> None:
        def answered(answer: ManualAnswer) -> None:
            with contextlib.suppress(OSError):  # the node is gone; the recording is kept all the same
                self._feed.send(recording_to_json(message["id"], answer))

        seconds = message.get("most_seconds")
        runtime.record(str(message["action"]), answered, float(seconds) if isinstance(seconds, int | float) else None)

    def _listen(self, runtime: CameraRuntime) -> None:
        try:
            while (message := self._early.pop(0) if self._early else self._feed.receive()) is not None:
                match message["type"]:
                    case "snapshot":
                        jpeg = runtime.snapshot_jpeg() or b""
                        self._feed.send_bytes({"type": "snapshot", "id": message["id"], "bytes": True}, jpeg)
                    case "record":
                        self._record(runtime, message)
                    case "forget":
                        events = [str(e) for e in message["events"]] if isinstance(message["events"], list) else []
                        runtime.forget(events)
                    case "stop":
                        self._asked = True
                        self._close_event = message.get("close_event") is True
                        return
        except OSError:
            pass  # the node is gone: the same as an end of the feed
        finally:
            self._stop.stop()


def main(arguments: list[str]) -> int:
    """Run until told to stop; the exit code says why it could not."""
    descriptor, parent_pid, data_dir = int(arguments[0]), int(arguments[1]), Path(arguments[2])
    stop = StopToken()
    on_signals(stop.stop, signal.SIGTERM, signal.SIGINT)
    die_with_parent(parent_pid)
    forbid_core_dumps()
    cap_memory(MEMORY_CAP_BYTES)
    prefer_as_oom_victim(500)
    configure_logging("camera", level=os.environ.get("LOG_LEVEL", "info"))
    feed = CameraFeed(socket.socket(fileno=descriptor))
    try:
        return _Process(feed, stop).run(data_dir)
    except ConflictError as error:
        get_logger().error("camera process ends", reason=str(error))
        return EXIT_LOCKED
    finally:
        feed.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
