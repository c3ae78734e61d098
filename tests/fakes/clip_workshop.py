"""The files of a node, in memory: clips come out as told, and every call is counted."""

from __future__ import annotations

import threading

from iris.base.errors import IrisError
from iris.contracts.events import (
    AssembleClip,
    ClipFile,
    ClipResult,
    EventMessage,
    EventRef,
    ThumbnailResult,
    TimeRange,
)
from iris.ports import ProgressSink


class FakeClipWorkshop:
    """Implements `iris.ports.ClipWorkshop`; `errors` are raised, one per call of `assemble`, before anything else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.is_settled = True
        self.gap: TimeRange | None = None
        self.errors: list[IrisError] = []
        self.thumbnail_error: IrisError | None = None
        self.abandoned: EventMessage | None = None
        self.abandoned_error: IrisError | None = None
        self.asked_abandoned = 0
        self.published: dict[str, ClipResult] = {}
        self.assembled: list[AssembleClip] = []
        self.released: list[str] = []
        self.discarded: list[str] = []
        self.settled_asked = threading.Event()
        self.assembling = threading.Event()
        self.hold = threading.Event()
        self.hold.set()

    def settled(self, request: AssembleClip) -> bool:
        self.settled_asked.set()
        return self.is_settled

    def assemble(self, request: AssembleClip, progress: ProgressSink) -> ClipResult:
        with self._lock:
            self.assembled.append(request)
            if self.errors:
                raise self.errors.pop(0)
        self.assembling.set()
        step = 0
        while not self.hold.wait(0.01):
            step += 1
            progress("copying", step, 0)
        missing = (self.gap,) if self.gap else ()
        clip_end_us = self.gap.start_us if self.gap else request.window_end_us
        covered = TimeRange(request.window_start_us, clip_end_us)
        file = ClipFile(
            path=f"recordings/{request.camera_id}/{request.event_id}.mp4",
            size_bytes=1000,
            sha256="0" * 64,
            start_us=covered.start_us,
            end_us=covered.end_us,
            duration_us=covered.end_us - covered.start_us,
            video_packet_count=30,
            audio_packet_count=0,
        )
        state = "partial" if self.gap else "ready"
        result = ClipResult(state, (file,), (covered,), missing, summary=f"{len(missing)} gap(s)")
        with self._lock:
            self.published[request.event_id] = result
        return result

    def publish_thumbnail(self, ref: EventRef) -> ThumbnailResult:
        if self.thumbnail_error is not None:
            raise self.thumbnail_error
        return ThumbnailResult(path=f"thumbnails/{ref.event_id}.jpg", size_bytes=10)

    def release(self, ref: EventRef) -> None:
        with self._lock:
            self.released.append(ref.event_id)

    def discard(self, ref: EventRef) -> None:
        with self._lock:
            self.published.pop(ref.event_id, None)
            self.discarded.append(ref.event_id)

    def close_abandoned(self, ref: EventRef) -> EventMessage | None:
        with self._lock:
            self.asked_abandoned += 1
        if self.abandoned_error is not None:
            raise self.abandoned_error
        return self.abandoned
