"""Builds what the node runs beside its cameras: outbox relay, clip workshop, database, link to Temporal."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from activities.backup import NodeBackupActivities
from activities.camera_removal import CameraFootageActivities
from activities.clips import ClipActivities
from activities.nodes import NodeAuditActivities
from activities.orphans import OrphanActivities
from activities.removal import EventFileActivities
from activities.retention import EvictionActivities
from iris.adapters.detector import DetectorOpener
from iris.adapters.event_files import DiskEventFiles
from iris.adapters.node_cameras import SealedCamera
from iris.adapters.temporal import TemporalLink, TemporalStarter
from iris.adapters.temporal_node import NodeWatchStarter
from iris.adapters.weights import effective_backend
from iris.base.errors import IrisError, StoreError
from iris.base.ids import CameraId, NodeId
from iris.base.log import get_logger
from iris.base.timebase import seconds_to_us
from iris.config import Settings
from iris.domain.camera import CameraSpec, DetectorBackend
from iris.domain.dead_letter import DeadLetter
from iris.domain.detection import DetectorReport
from iris.domain.recording import ManualRecording
from iris.domain.status import FIGURE_DEAD_LETTERS, CameraStatus, NodeFacts
from iris.outbox.camera_db import camera_db_path
from iris.outbox.marks import RelayMarks
from iris.outbox.reader import CameraDbReader
from iris.outbox.relay import Relay
from iris.pipeline.backup.steps import BackupSteps
from iris.pipeline.camera_footage import NodeCameraFootage
from iris.pipeline.camera_gate import CameraGate
from iris.pipeline.clip_workshop import NodeClipWorkshop, NodeHooks
from iris.pipeline.measured_workshop import MeasuredWorkshop
from iris.ports import Clock, IdSource
from iris.store.cameras import CameraRow
from iris.store.engine import Store, open_store
from workers.camera_switch import NodeCameraSwitch
from workers.node_audit import NodeAudit
from workers.node_cameras import CameraKeeper
from workers.supervisor import CameraSupervisor
from workers.version import VERSION
from workers.wiring.backup import place_of
from workers.wiring.orphans import build_orphans
from workers.wiring.pairing import prepare_pair
from workers.wiring.retention import build_retention
from workers.wiring.worker import temporal_address

# How much longer than its longest event a camera may be silent before the workflow asks after it.
_SILENCE_SLACK_S = 60.0


@dataclass(frozen=True, slots=True)
class NodeCore:
    """What exists before anything heavy is imported: cameras run already."""

    settings: Settings
    node_id: NodeId
    clock: Clock
    ids: IdSource
    supervisor: CameraSupervisor
    keeper: CameraKeeper
    marks: RelayMarks


class NodeServices:
    """The rest of the node; implements `NodeHub` of its internal door. Belongs to the node's event loop."""

    def __init__(self, core: NodeCore) -> None:
        settings = core.settings
        self._core = core
        self._loop = asyncio.get_running_loop()
        self._prepared = False
        self._started_us = core.clock.wall_us()
        self.store: Store = open_store(settings.main_database_url)
        self.link = TemporalLink(
            temporal_address(settings), identity=f"iris-node-{core.node_id}",
            namespace=settings.temporal_namespace, environment=os.environ,
        )  # fmt: skip
        outbox = CameraDbReader(settings.data_path)
        starter = TemporalStarter(self.link, max_open_s=settings.event_max_seconds + _SILENCE_SLACK_S)
        self.relay = Relay(outbox, starter, core.marks, core.clock)
        files = DiskEventFiles(settings.data_path)
        self.retention = build_retention(settings, core.node_id, core.clock, self.store, files, lambda: self._prepared)
        hooks = NodeHooks(
            is_running=lambda camera_id: core.supervisor.is_running(CameraId(camera_id)),
            post_us=self._post_us,
            mark_terminal=self._mark_terminal,
            make_room=self.retention.guard.make_room_for,
        )
        gate = CameraGate()
        workshop = NodeClipWorkshop(settings.data_path, outbox, outbox, core.clock, hooks, gate)
        footage = NodeCameraFootage(settings.data_path, core.node_id, outbox, core.marks, gate, self._forget_camera)
        self._workshop = MeasuredWorkshop(workshop, core.clock, core.marks.is_terminal)
        # Instances whose methods are the activities of this node's queue.
        audit = NodeAudit(core.keeper, core.supervisor, self._read_checked, settings.data_path, core.clock)
        switch = NodeCameraSwitch(core.keeper, self._read_checked, core.supervisor.is_running, settings.data_path)
        self.families: tuple[object, ...] = (
            ClipActivities(self._workshop, core.clock),
            EventFileActivities(files),
            EvictionActivities(self.retention.evictor),
            NodeAuditActivities(audit),
            OrphanActivities(build_orphans(settings, self.store, core.node_id, core.clock)),
            CameraFootageActivities(switch, footage),
            NodeBackupActivities(BackupSteps(place_of(settings, self.store, core.clock))),
        )
        self._detector = DetectorReport(backend="")
        self._class_names: tuple[str, ...] = ()

    async def keep_watched(self) -> None:
        """Have the Node workflow run, and tell it when cameras change; best effort, for ever."""
        every_s = self._core.settings.worker_reconcile_seconds
        starter = NodeWatchStarter(self.link, self._core.node_id, every_s)
        changed = asyncio.Event()
        changed.set()  # a start is a change
        self._core.keeper.on_change(changed.set)
        while True:
            told = changed.is_set()
            changed.clear()
            try:
                await starter.tell(changed=told)
            except IrisError as error:
                get_logger(part="audit").info("the node workflow is not told now", error=error)
                await asyncio.sleep(every_s)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(every_s):
                    await changed.wait()

    # What the workshop asks, on a clip thread

    def _post_us(self, camera_id: str) -> int:
        spec = self._core.keeper.spec(CameraId(camera_id))
        return seconds_to_us(self._core.settings.post_seconds if spec is None else spec.post_seconds)

    def _mark_terminal(self, camera_id: str, event_id: str) -> None:
        if not camera_db_path(self._core.settings.data_path, camera_id).exists():
            return  # all of the camera was removed: it has no rows to let go, and no mark of it may come back
        self._core.marks.mark_terminal(event_id, CameraId(camera_id), self._core.clock.wall_us())
        self._loop.call_soon_threadsafe(self._core.supervisor.forget, CameraId(camera_id), [event_id])

    def _forget_camera(self, camera_id: CameraId) -> None:
        asyncio.run_coroutine_threadsafe(self.relay.forget_camera(camera_id), self._loop).result()

    # The database, on threads

    def prepare_store(self) -> None:
        """Bring the database to this version and see that it belongs to the data directory.

        Raises:
            StoreError: Try again later.
            StoreMismatchError: They are no pair; nothing may be recorded.
        """
        prepare_pair(self._core.settings, self.store, self._core.ids)
        self._prepared = True

    def _read_checked(self) -> dict[CameraId, SealedCamera]:
        """`read_cameras` once it is known that the database belongs to this folder: the audit may come earlier."""
        if not self._prepared:
            raise StoreError("the database was not looked at yet")
        return self.read_cameras()

    def read_cameras(self) -> dict[CameraId, SealedCamera]:
        """The cameras of this node as the database has them.

        Raises:
            StoreError: The database is away.
        """
        with self.store.reading() as work:
            rows = [row for row in work.cameras.all() if row.node_id in (None, self._core.node_id)]
        return {row.camera_id: self._sealed(row) for row in rows}

    def _sealed(self, row: CameraRow) -> SealedCamera:
        settings = self._core.settings
        backend, _ = effective_backend(row.detector_backend or settings.detector_backend, settings.detector_model_path)
        spec = CameraSpec(
            camera_id=row.camera_id, name=row.name, rtsp_url="", enabled=row.enabled and row.purging_us is None,
            recording_mode=row.recording_mode, trigger_classes=row.trigger_classes, detect_conf=row.detect_conf,
            detect_fps=row.detect_fps, pre_seconds=row.pre_seconds, post_seconds=row.post_seconds,
            trigger_cooldown=row.trigger_cooldown, detector_backend=backend,
        )  # fmt: skip
        return SealedCamera(row.version, spec, row.rtsp_url_sealed, row.detect_url_sealed)

    def write_heartbeat(self) -> None:
        """A sign of life with what the node says of itself.

        Raises:
            StoreError: The database is away.
        """
        facts = self.facts()
        detail = {
            "version": facts.version, "started_us": self._started_us, "backend": facts.backend, "device": facts.device,
            "outbox_depth": facts.outbox_depth, "outbox_oldest_age_s": round(facts.outbox_oldest_age_s, 1),
            "storage": None if facts.storage is None else asdict(facts.storage),
        }  # fmt: skip
        with self.store.writing() as work:
            work.system.node_seen(self._core.node_id, self._core.clock.wall_us(), detail)

    def learn_detector(self) -> None:
        """Load the detector of the settings once, for what it is called and what it knows; on a thread."""
        settings = self._core.settings
        opener = DetectorOpener(
            settings.detector_backend, settings.detector_model_path, settings.detector_device, (), self._core.clock
        )
        try:
            detector, self._detector = opener.open()
        except IrisError as error:
            self._detector = DetectorReport(backend=settings.detector_backend.value, sentence=str(error))
            get_logger().error("the detector cannot be used", reason=str(error))
            return
        self._class_names = () if detector is None else detector.class_names
        if self._detector.backend == DetectorBackend.MOTION:
            get_logger().warning("motion detection", reason=self._detector.sentence)
        elif self._detector.sentence:
            get_logger().warning("detector", reason=self._detector.sentence)

    # NodeHub

    def status(self) -> Sequence[CameraStatus]:
        """See `NodeHub`."""
        return self._core.supervisor.status()

    async def snapshot(self, camera_id: CameraId) -> bytes:
        """See `NodeHub`."""
        return await self._core.supervisor.snapshot(camera_id)

    async def record(self, camera_id: CameraId, action: str, most_seconds: float | None) -> ManualRecording | None:
        """See `NodeHub`."""
        return await self._core.supervisor.record(camera_id, action, most_seconds)

    def changed(self) -> None:
        """See `NodeHub`."""
        self._core.keeper.changed()

    async def dead_letters(self) -> Sequence[DeadLetter]:
        """See `NodeHub`."""
        return await asyncio.to_thread(self._core.marks.dead_letters)

    async def retry_dead_letters(self) -> int:
        """See `NodeHub`."""
        return await self.relay.retry_dead_letters()

    def facts(self) -> NodeFacts:
        """See `NodeHub`."""
        figures = self.relay.figures()
        return NodeFacts(
            node_id=self._core.node_id, version=VERSION, backend=self._detector.backend, device=self._detector.device,
            onnx_providers=self._detector.onnx_providers, class_names=self._class_names,
            outbox_depth=figures.depth, outbox_oldest_age_s=figures.oldest_age_s,
            storage=self.retention.guard.report(),
            figures={**self._workshop.figures(), FIGURE_DEAD_LETTERS: figures.dead_letters},
        )  # fmt: skip
