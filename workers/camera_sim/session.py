"""One connection of a viewer: answers its requests and sends it packets at their time. Runs on a thread of its own."""

from __future__ import annotations

import select
import socket
import struct
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from iris.ports import Clock
from workers.camera_sim.faults import Faults
from workers.camera_sim.film import Film
from workers.camera_sim.nal import Mark, is_parameter_set, mark_nal
from workers.camera_sim.rtp import RtpSender, interleave
from workers.camera_sim.rtsp import Gatekeeper, ProtocolError, Request, answer, interleaved_channel, take_request
from workers.camera_sim.sdp import describe, payload_type
from workers.camera_sim.stage import Due, Showing, schedule

_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
_SESSION_ID = "1A2B3C4D"
_SSRC = 0x49524953
_REPORT_EVERY_US = 5_000_000
# How late a session may see a switched film or fault; each turn costs some microseconds.
_TURN_US = 100_000
# A viewer that takes nothing for so long is dropped.
_SEND_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """What a session needs of its camera; all of it outlives the session."""

    clock: Clock
    faults: Faults
    showing: Callable[[], Showing | None]
    asked: Callable[[Request], None]
    played: Callable[[int], None]
    finished: Callable[[], None]
    rtp_start: int
    path: str
    mark_frames: bool
    from_keyframe: bool


class _EndOfSessionError(Exception):
    """The viewer or the camera ends the session."""


class Session:
    """Serves one viewer until it leaves or is thrown out."""

    def __init__(self, connection: socket.socket, plan: SessionPlan, gatekeeper: Gatekeeper) -> None:
        self._socket = connection
        self._plan = plan
        self._gatekeeper = gatekeeper
        self._buffer = bytearray()
        self._film: Film | None = None
        self._channels: dict[int, int] = {}
        self._senders: dict[int, RtpSender] = {}
        self._showing: Showing | None = None
        self._due: Iterator[Due] = iter(())
        self._next: Due | None = None
        self._base_us: int | None = None
        self._reported_us: int | None = None
        self._interrupted = False
        self._reset = False

    @property
    def is_playing(self) -> bool:
        """Whether packets are being sent."""
        return self._showing is not None

    def throw_out(self, *, reset: bool = False) -> None:
        """End the session from another thread: with FIN, or with RST when `reset`."""
        self._reset = reset
        try:
            # A reset is made by the session's own thread, which this wakes.
            self._socket.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
        except OSError:
            return  # The viewer has gone already.

    def run(self) -> None:
        """Serve until the end; closes the connection."""
        self._socket.settimeout(_SEND_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                self._turn()
        except (_EndOfSessionError, ProtocolError, OSError):
            pass  # All of them end this session and nothing else.
        finally:
            self._showing = None
            if self._reset:
                # Linger of zero seconds makes close() send RST.
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.close()

    def _turn(self) -> None:
        wait_us = _TURN_US
        if self._next is not None:
            wait_us = min(wait_us, max(0, self._next.due_us - self._plan.clock.monotonic_us()))
        readable, _, _ = select.select([self._socket], [], [], wait_us / 1e6)
        if readable:
            data = self._socket.recv(65_536)
            if not data or self._reset:
                raise _EndOfSessionError
            self._buffer += data
            self._handle_requests()
        self._follow_stage()
        self._send_due()

    # Requests

    def _handle_requests(self) -> None:
        while (request := take_request(self._buffer)) is not None:
            self._plan.asked(request)
            if not self._plan.faults.frozen:
                self._handle(request)

    def _handle(self, request: Request) -> None:
        if request.method == "OPTIONS":
            self._answer(request, 200, {"Public": _METHODS})
        elif not self._gatekeeper.admits(request):
            self._answer(request, 401, {"WWW-Authenticate": self._gatekeeper.challenge()})
        elif request.method == "DESCRIBE":
            self._describe(request)
        elif request.method == "SETUP":
            self._set_up(request)
        elif request.method == "PLAY":
            self._play(request)
        elif request.method in ("GET_PARAMETER", "SET_PARAMETER"):
            self._answer(request, 200, {"Session": _SESSION_ID})
        elif request.method == "TEARDOWN":
            self._answer(request, 200)
            raise _EndOfSessionError
        else:
            self._answer(request, 405, {"Allow": _METHODS})

    def _answer(self, request: Request, status: int, headers: dict[str, str] | None = None, body: str = "") -> None:
        self._socket.sendall(answer(request, status, headers, body))

    def _describe(self, request: Request) -> None:
        faults = self._plan.faults
        showing = self._plan.showing()
        if faults.redirect_to is not None:
            self._answer(request, 302, {"Location": faults.redirect_to})
        elif faults.answer_status is not None:
            extra = {"WWW-Authenticate": self._gatekeeper.challenge()} if faults.answer_status == 401 else None
            self._answer(request, faults.answer_status, extra)
        elif showing is None or urllib.parse.urlsplit(request.url).path.rstrip("/") != self._plan.path:
            self._answer(request, 404)
        else:
            self._film = showing.film
            body = describe(showing.film.streams, video=not faults.without_video, known_codec=not faults.unknown_codec)
            self._answer(request, 200, {"Content-Base": request.url.rstrip("/") + "/"}, body)

    def _set_up(self, request: Request) -> None:
        _, _, number = request.url.rpartition("trackID=")
        channel = interleaved_channel(request)
        if self._film is None or not number.isdigit() or int(number) >= len(self._film.streams):
            self._answer(request, 404)
        elif channel is None:
            self._answer(request, 461)
        else:
            index = int(number)
            stream = self._film.streams[index]
            self._channels[index] = channel
            self._senders[index] = RtpSender(stream, payload_type(index, stream), _SSRC + index)
            transport = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1};ssrc={_SSRC + index:08X}"
            self._answer(request, 200, {"Transport": transport, "Session": f"{_SESSION_ID};timeout=60"})

    def _play(self, request: Request) -> None:
        showing = self._plan.showing()
        if showing is None or not self._channels:
            self._answer(request, 454)
            return
        now_us = self._plan.clock.monotonic_us()
        if showing.once:
            showing = Showing(showing.film, now_us, once=True)
        self._showing = showing
        self._start(now_us)
        base = request.url.rstrip("/")
        streams = ",".join(f"url={base}/trackID={index};seq=0" for index in self._channels)
        self._answer(request, 200, {"Session": _SESSION_ID, "Range": "npt=0.000-", "RTP-Info": streams})
        self._plan.played(self._plan.clock.wall_us())

    # Packets

    def _start(self, now_us: int) -> None:
        if self._showing is not None:
            self._due = schedule(self._showing, now_us, from_keyframe=self._plan.from_keyframe)
            self._next = next(self._due, None)
            self._reported_us = None

    def _follow_stage(self) -> None:
        """Go over to another film where the camera shows one now; time goes on."""
        showing = self._plan.showing()
        if self._showing is None or showing is None or self._showing.once or showing is self._showing:
            return
        if self._plan.clock.monotonic_us() >= showing.epoch_us:
            # The numbers go on from here: a picture that was due before is sent although this turn came late.
            self._send_before(showing.epoch_us)
            self._showing = showing
            self._start(showing.epoch_us)

    def _send_due(self) -> None:
        faults = self._plan.faults
        now_us = self._plan.clock.monotonic_us()
        if self._showing is None:
            return
        if self._interrupted and not (faults.stalled or faults.frozen):
            # A camera that comes to itself goes on with what happens now, from a keyframe.
            self._interrupted = False
            self._start(now_us)
        self._send_before(now_us + 1)
        if self._next is None:
            self._plan.finished()
            raise _EndOfSessionError

    def _send_before(self, moment_us: int) -> None:
        faults = self._plan.faults
        while self._next is not None and self._next.due_us < moment_us:
            if faults.stalled or faults.frozen:
                self._interrupted = True
            else:
                self._send(self._next)
            self._next = next(self._due, None)

    def _send(self, due: Due) -> None:
        assert self._showing is not None
        index = due.unit.stream_index
        sender = self._senders.get(index)
        if sender is None:
            return
        if self._base_us is None:
            self._base_us = due.media_us
        stream = self._showing.film.streams[index]
        parts = due.unit.parts
        if stream.is_video and self._plan.mark_frames:
            sets = tuple(part for part in parts if is_parameter_set(stream.codec, part))
            mark = mark_nal(stream.codec, Mark(due.number, self._plan.clock.wall_us()))
            parts = (*sets, mark, *(part for part in parts if part not in sets))
        self._report(due)
        data = bytearray()
        for packet in sender.packets(parts, self._rtp_time(due.loop_start_us, stream.clock_hz) + due.unit.rtp_ticks):
            if self._plan.faults.packets_to_lose > 0:
                self._plan.faults.packets_to_lose -= 1
            else:
                data += interleave(self._channels[index], packet)
        self._socket.sendall(data)

    def _report(self, due: Due) -> None:
        """Sender reports of all streams for one moment, first of all and every 5 s."""
        assert self._showing is not None
        if self._reported_us is not None and due.due_us - self._reported_us < _REPORT_EVERY_US:
            return
        self._reported_us = due.due_us
        wall_us = self._plan.clock.wall_us()
        for index, sender in self._senders.items():
            rtp_time = self._rtp_time(due.media_us, self._showing.film.streams[index].clock_hz)
            self._socket.sendall(interleave(self._channels[index] + 1, sender.sender_report(wall_us, rtp_time)))

    def _rtp_time(self, media_us: int, clock_hz: int) -> int:
        """RTP time of a moment of the camera's clock; the first packet of a session has `rtp_start`."""
        assert self._base_us is not None
        elapsed_us = media_us - self._base_us + self._plan.faults.jump_us
        return self._plan.rtp_start + round(elapsed_us * clock_hz / 1_000_000)
