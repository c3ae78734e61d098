"""Builds one camera for its process: no Temporal, no main database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2

from iris.adapters.av_decode import AvDecoderOpener
from iris.adapters.av_source import AvPacketSourceOpener
from iris.adapters.clock import SystemClock
from iris.adapters.detector import DetectorOpener
from iris.adapters.id_source import Uuid7Source
from iris.adapters.jpeg import encode_jpeg
from iris.adapters.live_feed import CameraStart
from iris.adapters.pending import PendingFiles
from iris.domain.camera import DetectorBackend
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.reader import CameraDbReader
from iris.outbox.writer import EventOutbox
from iris.pipeline.analysis import Analysis
from iris.pipeline.camera import CameraParts, CameraRuntime
from iris.pipeline.detect import DetectLoop, DetectSettings
from iris.pipeline.drain import Drain, DrainParts
from iris.pipeline.ingest import Ingest, IngestPorts
from iris.pipeline.substream import SubstreamReader
from iris.tracking.tracker import Tracker


def build_camera(
    start: CameraStart,
    data_dir: Path,
    *,
    on_outbox: Callable[[], None],
    on_forgotten: Callable[[Sequence[str]], None],
) -> CameraRuntime:
    """The camera of a start message, not yet running.

    Args:
        start: What the node said.
        data_dir: DATA_DIR.
        on_outbox: Called after each committed outbox row.
        on_forgotten: Called with events whose rows are gone for good.

    Raises:
        StorageError: The camera's own file cannot be opened.
    """
    cv2.setNumThreads(1)
    spec, tuning = start.spec, start.tuning
    clock, ids = SystemClock(), Uuid7Source()
    db = CameraDb(camera_db_path(data_dir, spec.camera_id))
    parts = DrainParts(
        outbox=EventOutbox(db, clock), index=CameraDbReader(data_dir), files=PendingFiles(data_dir),
        clock=clock, ids=ids, encode_jpeg=encode_jpeg, notify=on_outbox,
        forgotten=on_forgotten,
    )  # fmt: skip
    drain = Drain(spec, tuning, start.node_id, parts)
    opener = AvPacketSourceOpener(clock, stall_timeout_s=tuning.stall_timeout_s)
    ingest = Ingest(spec, tuning, db, data_dir, IngestPorts(opener, clock, ids), listeners=[drain])
    model = None if tuning.detector_model_path is None else Path(tuning.detector_model_path)
    detectors = DetectorOpener(spec.detector_backend, model, tuning.detector_device, spec.trigger_classes, clock)
    settings = DetectSettings(
        detect_fps=spec.detect_fps, detect_interval_idle_s=tuning.detect_interval_idle_s,
        active_grace_s=tuning.active_grace_seconds, detect_conf=spec.detect_conf,
    )  # fmt: skip
    loop = DetectLoop(detectors.open, Tracker(high_score=spec.detect_conf), drain, clock, settings)
    analysis = Analysis(loop, AvDecoderOpener(), encode_jpeg, decodes=spec.detector_backend is not DetectorBackend.NONE)
    substream = None
    if spec.detect_url is None:
        ingest.add_tap(analysis)
    else:
        substream = SubstreamReader(opener, spec.detect_url, analysis, clock, ids)
    return CameraRuntime(spec, CameraParts(db, ingest, analysis, drain, substream, clock))
