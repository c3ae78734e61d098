"""Receives one camera and has it recorded: connects for ever, feeds the recorder and the taps, tells how it goes.

Two threads: `ingest` receives and never waits for the disk or for analysis; `recorder` writes. Between them a
`PacketBuffer` of bounded size. A lost camera is tried again every second for two minutes, then ever more rarely; a
refused password or a wrong path at once more rarely.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from iris.adapters.av_segments import FRAGMENT_US
from iris.base.backoff import backoff_delay_s
from iris.base.errors import (
    CameraAddressError,
    CameraAuthError,
    CameraError,
    CameraStalledError,
    CameraStreamError,
    CameraUnreachableError,
    StorageError,
)
from iris.base.log import get_logger
from iris.base.stop import StopToken
from iris.base.timebase import US_PER_S, seconds_to_us
from iris.camera_ports import PacketSource, PacketSourceOpener, PacketTap, SegmentListener
from iris.domain.camera import CameraSpec, CameraState, CameraTuning
from iris.domain.packet import EncodedPacket, MediaKind
from iris.domain.segment import GapReason, RunStart
from iris.domain.status import COUNTER_GAP_US
from iris.outbox.camera_db import CameraDb
from iris.outbox.segments import SegmentIndex
from iris.pipeline.packet_buffer import Away, EndRun, PacketBuffer
from iris.pipeline.recorder import Recorder, RecorderSpec
from iris.pipeline.session import Session, SessionCounters
from iris.ports import Clock, IdSource

QUICK_RETRIES_US = 120 * US_PER_S
QUICK_RETRY_S = 0.5
SLOW_RETRY_S = 2.0
# The writer looks at its buffer so often although nothing seems worth writing: the rest of what a camera sent.
WRITER_PATIENCE_S = 1.0
# A thread that waits inside the media library for a dead camera is left behind; the process is ending.
JOIN_RECEIVER_S = 1.5
JOIN_WRITER_S = 5.0
# How long a stop waits for the last picture that was sent before it; two pictures of a slow camera.
HELD_BACK_S = 1.0
FPS_WINDOW_US = 2 * US_PER_S


@dataclass(frozen=True, slots=True)
class IngestPorts:
    """What ingest needs from outside. `jitter` gives numbers in 0..1."""

    opener: PacketSourceOpener
    clock: Clock
    ids: IdSource
    jitter: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class IngestStatus:
    """How reception and recording go. Times are wall time in microseconds, None where it never happened."""

    state: CameraState
    sentence: str = ""
    error_code: str | None = None
    connected_since_us: int | None = None
    last_packet_us: int | None = None
    last_segment_end_us: int | None = None
    fps: float = 0.0
    width_px: int = 0
    height_px: int = 0
    video_codec: str = ""
    audio_codec: str = ""
    counters: dict[str, int] = field(default_factory=dict)


class Ingest:
    """Reception and recording of one camera."""

    def __init__(
        self,
        spec: CameraSpec,
        tuning: CameraTuning,
        db: CameraDb,
        data_dir: Path,
        ports: IngestPorts,
        listeners: Sequence[SegmentListener] = (),
    ) -> None:
        self._url = spec.rtsp_url
        self._ports = ports
        self._taps: list[PacketTap] = []
        self._stop = StopToken()
        self._finish = threading.Event()
        self._held_back_taken = threading.Event()
        self._wanted_pictures = 0
        self._stop_reason = GapReason.STOPPED
        self._buffer = PacketBuffer(hand_over_us=FRAGMENT_US)
        self._counters = SessionCounters()
        self._index = SegmentIndex(db)
        recorder = RecorderSpec(spec.camera_id, data_dir, tuning.segment_seconds, tuning.segment_retention_seconds)
        self._recorder = Recorder(recorder, self._index, ports.clock, listeners)
        self._source: PacketSource | None = None
        self._session: Session | None = None
        self._error: CameraError | None = None
        self._recovery_error: StorageError | None = None
        self._stall_us = seconds_to_us(tuning.stall_timeout_s)
        self._heard_us = 0  # monotonic time of the last packet, or of the connection
        self._stalled = False
        self._connected_since_us: int | None = None
        self._last_packet_us: int | None = None
        self._rate = _Rate()
        self._reconnect_count = 0
        self._log = get_logger(camera_id=spec.camera_id)
        self._receiver = threading.Thread(target=self._receive, name="ingest", daemon=True)
        self._writer = threading.Thread(target=self._write, name="recorder", daemon=True)

    def add_tap(self, tap: PacketTap) -> None:
        """Have the video packets sent to `tap`; before `start` only."""
        self._taps.append(_GuardedTap(tap, self._log))

    def start(self) -> None:
        """Start both threads; footage that a killed process left is adopted first, by the writer."""
        self._writer.start()
        self._receiver.start()

    def stop(self, reason: GapReason = GapReason.STOPPED) -> None:
        """End the session, publish the current segment, return when it is durable; idempotent.

        Args:
            reason: Why footage is missing from now on.
        """
        self._stop_reason = reason
        self._wait_for_held_back()
        self._stop.stop()
        source = self._source
        if source is not None:
            source.close()
        self._receiver.join(JOIN_RECEIVER_S)
        if self._receiver.is_alive():
            # It waits inside the media library and puts nothing more: what came before is complete.
            self._buffer.mark(EndRun(reason))
        self._finish.set()
        self._buffer.stir()
        self._writer.join(JOIN_WRITER_S)

    def _wait_for_held_back(self) -> None:
        """Take what was sent before the stop.

        libavformat gives out a picture when the next one begins, and one more may be under way to this thread.
        """
        if self._session is not None and not self._stop.stopped:
            self._wanted_pictures = 2
            self._held_back_taken.wait(HELD_BACK_S)

    def status(self) -> IngestStatus:
        """A snapshot; any thread."""
        now_us = self._ports.clock.wall_us()
        source, failure = self._source, self._recorder.failure or self._recovery_error
        streams = source.streams if source is not None else ()
        error: CameraError | StorageError | None = self._error or failure
        video = streams[0] if streams else None
        return IngestStatus(
            state=self._state(failure),
            sentence=str(error) if error is not None else str(getattr(source, "note", "")),
            error_code=error.code if error is not None else None,
            connected_since_us=self._connected_since_us,
            last_packet_us=self._last_packet_us,
            last_segment_end_us=self._recorder.covered_until_us,
            fps=self._rate.per_second(now_us),
            width_px=video.width_px if video is not None else 0,
            height_px=video.height_px if video is not None else 0,
            video_codec=video.codec if video is not None else "",
            audio_codec=streams[1].codec if len(streams) > 1 else "",
            counters=self._counts(),
        )

    def _state(self, failure: StorageError | None) -> CameraState:
        if self._error is not None or failure is not None:
            return CameraState.ERROR
        session = self._session
        recording = session is not None and session.recording
        return CameraState.RECORDING if recording else CameraState.CONNECTING

    def _counts(self) -> dict[str, int]:
        counters = self._counters
        return {
            "packets": counters.packets,
            "runs": counters.runs,
            "discontinuities": counters.discontinuities,
            "audio_packets_dropped": counters.audio_dropped,
            "packets_before_keyframe": counters.keyframe_waits,
            "packets_dropped": self._buffer.dropped_packet_count,
            "reconnects": self._reconnect_count,
            "segments": self._recorder.segment_count,
            "storage_failures": self._recorder.failure_count,
            **{f"{COUNTER_GAP_US}{reason}": us for reason, us in self._recorder.gap_counts().items()},
        }

    def _receive(self) -> None:
        lost_at_us = self._ports.clock.monotonic_us()
        away: GapReason | None = None
        attempt = 0
        delay_s = 0.0
        while not self._stop.wait(delay_s):
            packets_before, silent_since_us = self._counters.packets, self._ports.clock.wall_us()
            error = self._one_session()
            if self._stop.stopped:
                return
            now_us = self._ports.clock.monotonic_us()
            if self._counters.packets > packets_before:
                lost_at_us, attempt = now_us, 0
                silent_since_us = self._ports.clock.wall_us()
            if gap_reason(error) is not away:
                away = gap_reason(error)
                self._buffer.mark(Away(away, silent_since_us))
            attempt += 1
            if attempt == 1 or type(error) is not type(self._error):
                self._log.warning("camera lost", code=error.code, sentence=str(error))
            self._error = error
            self._connected_since_us = None
            self._reconnect_count += 1
            delay_s = _retry_delay_s(error, attempt, now_us - lost_at_us, self._ports.jitter())

    def _one_session(self) -> CameraError:
        """Connect and receive until the session ends, for the reason returned."""
        try:
            source = self._ports.opener.open(self._url)
        except CameraError as error:
            return error
        self._stalled, self._heard_us = False, self._ports.clock.monotonic_us()
        self._source = source
        session = Session(
            self._buffer, self._taps, self._ports.clock, self._ports.ids, self._counters, self._longest_gop_us
        )
        self._session = session
        ended: CameraError = CameraUnreachableError("the camera ended the stream; it is tried again")
        try:
            for packet in source.packets():
                if self._stop.stopped:
                    break
                self._received(packet)
                session.feed(packet, source.streams, self._heard_us)
            if self._stalled:
                ended = CameraStalledError("the connection stands, but the camera sends nothing; it is tried again")
        except CameraError as error:
            ended = error
        except Exception as error:  # noqa: BLE001 - the boundary of this thread: recording must go on after a bug, too
            self._log.exception("session failed", error=error)
            ended = CameraStreamError("the camera's stream could not be handled; it is tried again")
        finally:
            source.close()
            self._session = self._source = None
        session.end(self._stop_reason if self._stop.stopped else gap_reason(ended), str(ended))
        return ended

    def _watch(self) -> None:
        """End a session in which no packet comes although its connection is alive; on the writer's thread."""
        source, heard_us = self._source, self._heard_us
        if source is not None and self._ports.clock.monotonic_us() - heard_us > self._stall_us:
            self._stalled = True
            source.close()

    def _received(self, packet: EncodedPacket) -> None:
        now_us = self._ports.clock.wall_us()
        self._last_packet_us = now_us
        self._heard_us = self._ports.clock.monotonic_us()
        if packet.kind is not MediaKind.VIDEO:
            return
        if self._wanted_pictures:
            self._wanted_pictures -= 1
            if not self._wanted_pictures:
                self._held_back_taken.set()
        if self._connected_since_us is None:
            self._connected_since_us, self._error = now_us, None
            self._log.info("camera connected")
        self._rate.count(now_us)

    def _longest_gop_us(self) -> int | None:
        try:
            return self._index.longest_gop_us()
        except StorageError:
            return None

    def _write(self) -> None:
        if not self._recover():
            return
        while True:
            self._buffer.wait(WRITER_PATIENCE_S)
            finishing = self._finish.is_set()
            self._watch()
            if self._recorder.ready() or finishing:
                self._recorder.handle_all(self._buffer.take_all())
            if finishing:
                self._recorder.close()
                return

    def _recover(self) -> bool:
        """Adopt what is there; tried again until the disk allows it. False where the process ends before."""
        while True:
            try:
                self._recorder.recover()
            except StorageError as error:
                if self._recovery_error is None:
                    self._log.error("recording cannot start", error=error)
                self._recovery_error = error
                if self._finish.wait(QUICK_RETRY_S):
                    return False
            else:
                self._recovery_error = None
                return True


def gap_reason(error: CameraError) -> GapReason:
    """Why footage is missing after this error."""
    if isinstance(error, CameraAuthError):
        return GapReason.CAMERA_AUTH
    if isinstance(error, CameraStalledError):
        return GapReason.CAMERA_STALLED
    return GapReason.CAMERA_OFFLINE


def _retry_delay_s(error: CameraError, attempt: int, away_us: int, jitter: float) -> float:
    """Seconds until the next try.

    >>> _retry_delay_s(CameraError("away"), 30, 60_000_000, 0.5)
    0.5
    """
    hopeless = isinstance(error, CameraAuthError | CameraStreamError | CameraAddressError)
    if not hopeless and away_us < QUICK_RETRIES_US:
        return backoff_delay_s(1, first_s=QUICK_RETRY_S, jitter=jitter)
    slow = attempt if hopeless else max(1, attempt - int(QUICK_RETRIES_US / US_PER_S / QUICK_RETRY_S))
    return backoff_delay_s(slow, first_s=SLOW_RETRY_S, jitter=jitter)


class _GuardedTap:
    """Keeps a fault of analysis away from recording: it is logged, and this tap gets no more of the run."""

    def __init__(self, tap: PacketTap, log: FilteringBoundLogger) -> None:
        self._tap = tap
        self._log = log
        self._failed = False

    def run_started(self, run: RunStart) -> None:
        self._failed = False
        self._call(lambda: self._tap.run_started(run))

    def packet(self, packet: EncodedPacket, wall_us: int) -> None:
        if not self._failed:
            self._call(lambda: self._tap.packet(packet, wall_us))

    def run_ended(self, reason: GapReason, sentence: str) -> None:
        self._call(lambda: self._tap.run_ended(reason, sentence))

    def _call(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - the boundary between recording and analysis
            self._failed = True
            self._log.exception("packet tap failed", error=error)


class _Rate:
    """Pictures per second over the last two seconds; one thread counts, any reads."""

    def __init__(self) -> None:
        self._since_us = 0
        self._count = 0
        self._rate = 0.0
        self._last_us = 0

    def count(self, now_us: int) -> None:
        """One picture came."""
        self._last_us = now_us
        passed_us = now_us - self._since_us
        if not 0 <= passed_us <= 2 * FPS_WINDOW_US:
            self._since_us, self._count = now_us, 0
            return
        self._count += 1
        if passed_us >= FPS_WINDOW_US:
            self._rate = self._count * US_PER_S / passed_us
            self._since_us, self._count = now_us, 0

    def per_second(self, now_us: int) -> float:
        """The rate; 0 where nothing came lately."""
        return self._rate if abs(now_us - self._last_us) < 2 * FPS_WINDOW_US else 0.0
