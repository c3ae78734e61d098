"""The analysis of one camera: its thread, its tap for packets, its newest picture and its status.

The ingest thread calls the tap, which only queues. The analysis thread decodes, detects, tracks and tells the
observer. When it lags it looks at the newest picture only. With the backend `none` nothing is decoded; a picture
is made from the newest keyframe when somebody asks for one.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from iris.base.errors import NotFoundError
from iris.base.log import get_logger
from iris.camera_ports import FrameDecoderOpener, JpegEncoder, Picture
from iris.domain.detection import DetectorReport
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from iris.domain.segment import GapReason, RunStart
from iris.pipeline.decode import DecodeStage, PacketQueue, PacketsDropped, QueueItem, Sight
from iris.pipeline.detect import DetectLoop

_TICK_US = 500_000
_WAIT_S = 0.5
# Where nothing is decoded, only the open event of an earlier start waits for the time to pass.
_IDLE_WAIT_S = 2.0


@dataclass(frozen=True, slots=True)
class AnalysisStatus:
    """What the analysis is doing, for the heartbeat."""

    report: DetectorReport
    detect_fps: float = 0.0
    in_view: tuple[str, ...] = ()
    counters: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Keyframe:
    """The newest keyframe, encoded."""

    video: CodecParams
    packet: EncodedPacket
    wall_us: int


class Analysis:
    """Implements `iris.ports.PacketTap`.

    Args:
        loop: The detect loop.
        decoders: Opens decoders.
        encode_jpeg: For snapshots.
        decodes: False for the backend `none`: packets are not even queued.
        queue: The door between the threads.
    """

    def __init__(
        self,
        loop: DetectLoop,
        decoders: FrameDecoderOpener,
        encode_jpeg: JpegEncoder,
        *,
        decodes: bool = True,
        queue: PacketQueue | None = None,
    ) -> None:
        self._loop = loop
        self._decoders = decoders
        self._encode_jpeg = encode_jpeg
        self._decodes = decodes
        self._queue = queue or PacketQueue()
        self._stage = DecodeStage(decoders)
        self._video: CodecParams | None = None
        self._keyframe: _Keyframe | None = None
        self._newest: Picture | None = None
        self._skipped_count = 0
        self._error_count = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="analysis", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End the thread; false when it still works (a hung network) after `timeout_s`."""
        self._stopping.set()
        self._queue.stir()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def run_started(self, run: RunStart) -> None:
        """A new run began; the decoder is made anew."""
        self._video = run.video
        if self._decodes:
            self._queue.put_run(run)

    def packet(self, packet: EncodedPacket, wall_us: int) -> None:
        """One video packet with the wall time of its PTS; never blocks."""
        if packet.kind is not MediaKind.VIDEO or self._video is None:
            return
        if packet.is_keyframe:
            self._keyframe = _Keyframe(self._video, packet, wall_us)
        if self._decodes:
            self._queue.put(packet, wall_us)

    def run_ended(self, reason: GapReason, sentence: str) -> None:
        """The run is over; the observer goes on hearing ticks."""

    def snapshot_jpeg(self) -> bytes:
        """The newest picture as JPEG; encoded, and where needed decoded, only now. Any thread may call it.

        Raises:
            NotFoundError: No picture came yet.
        """
        keyframe, newest = self._keyframe, self._newest
        if newest is not None and (keyframe is None or newest.wall_us >= keyframe.wall_us):
            return self._encode_jpeg(newest.frame().rgb)
        if keyframe is not None:
            picture = self._decoders.open(keyframe.video).decode_keyframe(keyframe.packet, keyframe.wall_us)
            newest = picture or newest
        if newest is None:
            raise NotFoundError("the camera has sent no picture yet")
        return self._encode_jpeg(newest.frame().rgb)

    def status(self) -> AnalysisStatus:
        """What the analysis is doing now. Any thread may call it."""
        loop, stage, queue = self._loop, self._stage, self._queue
        report = loop.report if self._decodes else DetectorReport(backend="none")
        if stage.sentence:
            report = DetectorReport(report.backend, report.device, report.onnx_providers, stage.sentence)
        return AnalysisStatus(
            report=report,
            detect_fps=loop.detect_fps,
            in_view=loop.in_view,
            counters={
                "frames_decoded": stage.decoded_count,
                "frames_looked_at": loop.look_count,
                "frames_skipped": self._skipped_count,
                "detector_calls": loop.detector_call_count,
                "detections": loop.detection_count,
                "gate_closed": loop.gate_closed_count,
                "decode_errors": stage.damaged_count,
                "inference_errors": loop.inference_error_count,
                "analysis_errors": self._error_count,
                "analysis_queue_overflows": queue.overflow_count,
                "analysis_packets_dropped": queue.dropped_count,
            },
        )

    def handle(self, items: Sequence[QueueItem]) -> None:
        """Work through what was queued; of several pictures that are due, the newest is looked at."""
        waiting: Picture | None = None
        first_us = 0
        for item in items:
            if isinstance(item, RunStart):
                self._stage.run_started(item)
                self._loop.run_started()
                continue
            if isinstance(item, PacketsDropped):
                self._stage.dropped()
                continue
            due = self._loop.due(item.wall_us)
            for sight in self._stage.feed(item, idle=self._loop.idle_at(item.wall_us), due=due):
                self._newest = sight.picture
                if sight.glance:
                    self._glance(sight)
                elif self._loop.due(sight.picture.wall_us):
                    first_us = first_us if waiting else sight.picture.wall_us
                    waiting = sight.picture
        if waiting is not None:
            self._skipped_count += max(0, waiting.wall_us - first_us) // self._loop.interval_us(waiting.wall_us)
            self._loop.look(waiting)

    def _glance(self, sight: Sight) -> None:
        """A keyframe of an idle scene. Somebody there: look at the second before it, in order."""
        if not self._loop.glance(sight.picture):
            return
        first = True
        for earlier in self._stage.resume():
            if first:
                self._loop.look_again_from(earlier.picture.wall_us)
                first = False
            self._newest = earlier.picture
            if self._loop.due(earlier.picture.wall_us):
                self._loop.look(earlier.picture)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._decodes:
                    self._loop.load()
                self.handle(self._queue.take_all(_WAIT_S if self._decodes else _IDLE_WAIT_S))
                self._loop.tick(every_us=_TICK_US)
            except Exception:  # noqa: BLE001 - the boundary of the thread
                # Whatever fails here, recording and the next picture go on.
                self._error_count += 1
                get_logger().exception("analysis_failed")
