"""A camera in a few threads: serves a generated scene or a film over RTSP, and misbehaves on request.

`CameraSim` is made for tests and for `iris camera-sim`: one thread accepts, one serves each viewer. Nothing is encoded
while it runs; a viewer costs the copying of its packets.
"""

from __future__ import annotations

import socket
import threading
import urllib.parse
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from iris.adapters.clock import SystemClock
from iris.ports import Clock
from workers.camera_sim.encode import encode_scene
from workers.camera_sim.faults import Faults
from workers.camera_sim.film import Film, read_film
from workers.camera_sim.rtsp import Gatekeeper, Request
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.session import Session, SessionPlan
from workers.camera_sim.stage import Showing

# RTP time just before it wraps: one second at 90 kHz.
RTP_START_BEFORE_WRAP = 2**32 - 90_000
_REQUEST_LOG_COUNT = 1000
_STOP_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class SimOptions:
    """How a camera behaves.

    Attributes:
        host: Address to listen on.
        port: Port to listen on; 0 takes a free one.
        user: User name that viewers must give.
        password: Password that viewers must give.
        auth: `digest`, `basic` or `none`.
        path: Path of the stream.
        once: The film starts with the viewer and plays once; after its end the camera answers 404.
        mark_frames: Every picture gets a mark (`workers.camera_sim.nal.read_mark`).
        from_keyframe: A viewer's first picture is a keyframe; many cameras start anywhere.
        rtp_start: RTP time of the first packet of each session.
    """

    host: str = "127.0.0.1"
    port: int = 0
    user: str = "viewer"
    password: str = field(default="walk-in", repr=False)
    auth: str = "digest"
    path: str = "/stream"
    once: bool = False
    mark_frames: bool = True
    from_keyframe: bool = True
    rtp_start: int = 0x1000_0000

    def __post_init__(self) -> None:
        if self.auth not in ("digest", "basic", "none"):
            raise ValueError("the authentication of a camera is digest, basic or none")


class CameraSim:
    """One camera; a context manager that listens from `__enter__` to `__exit__`.

    >>> with CameraSim(SceneSpec(loop_s=2)) as camera:
    ...     camera.url.startswith('rtsp://viewer:walk-in@127.0.0.1:')
    True
    """

    def __init__(
        self,
        source: Film | SceneSpec | Path | None = None,
        options: SimOptions | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.options = options or SimOptions()
        self.faults = Faults()
        self.requests: deque[Request] = deque(maxlen=_REQUEST_LOG_COUNT)
        self.play_wall_us: list[int] = []
        self.finished = threading.Event()
        self._clock = clock or SystemClock()
        self._changed = threading.Condition()
        self._sessions: list[Session] = []
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self._port = self.options.port
        self._return: threading.Timer | None = None
        self._showing: Showing | None = Showing(_film(source), self._clock.monotonic_us(), once=self.options.once)

    # Life

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        listener = socket.create_server((self.options.host, self._port))
        self._port = listener.getsockname()[1]
        self._listener = listener
        thread = threading.Thread(target=self._accept, args=(listener,), name="camera-sim", daemon=True)
        thread.start()
        self._threads.append(thread)

    def stop(self) -> None:
        """Close everything; no thread is left."""
        if self._return is not None:
            self._return.cancel()
            self._return.join(_STOP_TIMEOUT_S)
        self._stop_listening()
        self.drop()
        for thread in self._threads:
            thread.join(_STOP_TIMEOUT_S)

    @property
    def port(self) -> int:
        """The port; known once it listens."""
        return self._port

    @property
    def url(self) -> str:
        """Address with user name and password."""
        if self.options.auth == "none":
            return self.bare_url
        quoted = [urllib.parse.quote(part, safe="") for part in (self.options.user, self.options.password)]
        return f"rtsp://{':'.join(quoted)}@{self.options.host}:{self._port}{self.options.path}"

    @property
    def bare_url(self) -> str:
        """Address without a password."""
        return f"rtsp://{self.options.host}:{self._port}{self.options.path}"

    # What viewers do

    @property
    def viewer_count(self) -> int:
        """Viewers that receive packets now."""
        return sum(1 for session in list(self._sessions) if session.is_playing)

    def wait_for_viewers(self, count: int, timeout_s: float) -> bool:
        """Wait until at least `count` viewers receive packets."""
        with self._changed:
            return self._changed.wait_for(lambda: self.viewer_count >= count, timeout_s)

    def wait_for_plays(self, count: int, timeout_s: float) -> bool:
        """Wait until PLAY was answered `count` times since the start; `play_wall_us` has the moments."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.play_wall_us) >= count, timeout_s)

    # What goes wrong

    def stall(self, *, frozen: bool = False) -> None:
        """Send no packets, keep connections; `frozen` answers no request either."""
        self.faults.stalled, self.faults.frozen = True, frozen

    def resume(self) -> None:
        """End `stall`: go on with what happens now, from the next keyframe."""
        self.faults.stalled = self.faults.frozen = False

    def drop(self, *, reset: bool = False) -> None:
        """Close all connections, with FIN or with RST; new ones are welcome."""
        for session in list(self._sessions):
            session.throw_out(reset=reset)

    def go_away(self, seconds: float) -> None:
        """Close all connections and refuse new ones for so long; the scene goes on meanwhile."""
        self.vanish()
        self._return = threading.Timer(seconds, self.come_back)
        self._return.start()

    def vanish(self) -> None:
        """Close all connections and refuse new ones until `come_back`."""
        self._stop_listening()
        self.drop()

    def come_back(self) -> None:
        """Listen again on the same port."""
        self.start()

    def jump(self, seconds: float) -> None:
        """Let the time stamps of all packets jump, forward or back."""
        self.faults.jump_us += round(seconds * 1_000_000)

    def show(self, source: Film | SceneSpec | Path) -> None:
        """Go over to another scene or film in mid-stream, with its parameter sets in band and a keyframe first."""
        film = _film(source)
        before = self._showing
        now_us = self._clock.monotonic_us()
        self._showing = Showing(film, now_us, before.number_at(now_us) if before is not None else 0)

    # Threads

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # The listener was closed: the camera stops or went away.
            thread = threading.Thread(target=self._serve, args=(connection,), name="camera-sim-viewer", daemon=True)
            self._threads = [t for t in self._threads if t.is_alive()] + [thread]
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        options = self.options
        session = Session(connection, self._plan(), Gatekeeper(options.auth, options.user, options.password))
        self._sessions.append(session)
        try:
            session.run()
        finally:
            with self._changed:
                self._sessions.remove(session)
                self._changed.notify_all()

    def _plan(self) -> SessionPlan:
        return SessionPlan(
            clock=self._clock,
            faults=self.faults,
            showing=lambda: self._showing,
            asked=self.requests.append,
            played=self._note_play,
            finished=self._withdraw,
            rtp_start=self.options.rtp_start,
            path=self.options.path,
            mark_frames=self.options.mark_frames,
            from_keyframe=self.options.from_keyframe,
        )

    def _note_play(self, wall_us: int) -> None:
        with self._changed:
            self.play_wall_us.append(wall_us)
            self._changed.notify_all()

    def _withdraw(self) -> None:
        self._showing = None
        self.finished.set()

    def _stop_listening(self) -> None:
        if self._listener is not None:
            # Closing alone would leave the accepting thread blocked.
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None


def _film(source: Film | SceneSpec | Path | None) -> Film:
    if isinstance(source, Film):
        return source
    if isinstance(source, Path):
        return read_film(source)
    return encode_scene(source or SceneSpec())
