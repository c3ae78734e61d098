"""One camera: ingest, analysis and drain together, with one status and one order of stopping.

Owns nothing of its own but the drain's thread. Recording is started first and stopped last but one: the drain ends
after the recorder, so that the last segment is pinned before the process leaves.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from iris.base.errors import InputError, NotFoundError
from iris.base.stop import StopToken
from iris.domain.camera import CameraSpec
from iris.domain.segment import GapReason
from iris.domain.status import CameraStatus
from iris.outbox.camera_db import CameraDb
from iris.pipeline.analysis import Analysis
from iris.pipeline.drain import Drain
from iris.pipeline.ingest import Ingest
from iris.pipeline.manual import Answer
from iris.pipeline.substream import SubstreamReader
from iris.ports import Clock

# The drain has rows to commit and links to make; a disk that is slower than this is caught up on at the next start.
_DRAIN_PATIENCE_S = 3.0
_ANALYSIS_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class CameraParts:
    """What a camera is made of; built by wiring. `substream` is None where the main stream is analysed."""

    db: CameraDb
    ingest: Ingest
    analysis: Analysis
    drain: Drain
    substream: SubstreamReader | None
    clock: Clock


class CameraRuntime:
    """Runs the parts of one camera."""

    def __init__(self, spec: CameraSpec, parts: CameraParts) -> None:
        self._spec = spec
        self._parts = parts
        self._drain_stop = StopToken()
        self._drain_thread = threading.Thread(
            target=parts.drain.run, args=(self._drain_stop,), name="drain", daemon=True
        )

    def start(self) -> None:
        """Start all threads, recording first."""
        parts = self._parts
        parts.ingest.start()
        self._drain_thread.start()
        parts.analysis.start()
        if parts.substream is not None:
            parts.substream.start()

    def stop(self, *, close_event: bool, reason: GapReason = GapReason.STOPPED) -> None:
        """Publish the current segment and write what waits; bounded in time.

        Args:
            close_event: End the open event now (the camera is switched off); else the next start goes on with it.
            reason: Why footage is missing from now on.
        """
        parts = self._parts
        if parts.substream is not None:
            parts.substream.stop(_ANALYSIS_PATIENCE_S)
        parts.ingest.stop(reason)
        parts.analysis.stop(_ANALYSIS_PATIENCE_S)
        if close_event:
            parts.drain.close_open_event()
        self._drain_stop.stop()
        self._drain_thread.join(_DRAIN_PATIENCE_S)
        if not self._drain_thread.is_alive():
            parts.db.close()

    def snapshot_jpeg(self) -> bytes | None:
        """The newest picture as JPEG; None where none has come yet."""
        try:
            return self._parts.analysis.snapshot_jpeg()
        except NotFoundError:
            return None

    def forget(self, event_ids: Sequence[str]) -> None:
        """These events are terminal: their outbox rows may go."""
        self._parts.drain.forget(event_ids)

    def record(self, action: str, answer: Answer, most_seconds: float | None = None) -> None:
        """Start or stop the manual recording; `answer` is called from another thread once it is durable.

        Raises:
            InputError: The action is neither `start` nor `stop`.
        """
        match action:
            case "start":
                self._parts.drain.start_recording(answer, most_seconds)
            case "stop":
                self._parts.drain.stop_recording(answer)
            case other:
                raise InputError(f"a recording can be started and stopped, not {other!r}")

    def status(self) -> CameraStatus:
        """What the camera is doing now."""
        ingest, analysis = self._parts.ingest.status(), self._parts.analysis.status()
        open_event, manual = self._parts.drain.open_event, self._parts.drain.manual_event
        substream = "" if self._parts.substream is None else self._parts.substream.sentence
        # What is wrong with the stream counts first: without it there is nothing to detect in.
        sentences = [text for text in (ingest.sentence, substream, analysis.report.sentence) if text]
        return CameraStatus(
            camera_id=self._spec.camera_id,
            state=ingest.state,
            sentence=sentences[0] if sentences else "",
            error_code=ingest.error_code,
            heartbeat_us=self._parts.clock.wall_us(),
            connected_since_us=ingest.connected_since_us,
            last_packet_us=ingest.last_packet_us,
            last_segment_end_us=ingest.last_segment_end_us,
            fps=ingest.fps,
            detect_fps=analysis.detect_fps,
            width_px=ingest.width_px,
            height_px=ingest.height_px,
            video_codec=ingest.video_codec,
            audio_codec=ingest.audio_codec,
            backend=analysis.report.backend,
            device=analysis.report.device,
            onnx_providers=analysis.report.onnx_providers,
            in_view=analysis.in_view,
            event_id=None if open_event is None else open_event.event_id,
            manual_event_id=None if manual is None else manual.event_id,
            manual_since_us=None if manual is None else manual.started_us,
            manual_stops_us=None if manual is None else manual.stops_us,
            pid=os.getpid(),
            counters={
                **ingest.counters,
                **analysis.counters,
                "events_accepted": self._parts.drain.accepted_count,
            },
        )
