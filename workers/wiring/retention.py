"""Builds retention on a node: what evicts, and the guard that looks after the disk."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from iris.adapters.clock_mark import ClockMarkFile, read_clocks
from iris.adapters.disk_room import DiskReserve, disk_figures
from iris.adapters.store_mark import expect_media_folders
from iris.base.ids import NodeId
from iris.config import Settings
from iris.domain.storage import DiskFigures
from iris.outbox.reader import CameraDbReader
from iris.pipeline.backup.beside import BackupsBesideStore
from iris.pipeline.clock_watch import ClockWatch
from iris.pipeline.eviction import EvictionParts, Evictor
from iris.pipeline.space_guard import SpaceGuard, WriteRate
from iris.ports import Clock, EventFiles
from iris.store.engine import Store


@dataclass(frozen=True, slots=True)
class NodeRetention:
    """Both share one lock: the workflow's passes go through `evictor`, the node's own through `guard`."""

    evictor: Evictor
    guard: SpaceGuard


def build_retention(
    settings: Settings,
    node_id: NodeId,
    clock: Clock,
    store: Store,
    files: EventFiles,
    store_is_ours: Callable[[], bool],
) -> NodeRetention:
    """Nothing is removed before `store_is_ours` says so."""
    data_dir, policy = settings.data_path, settings.retention_policy()
    outbox = CameraDbReader(data_dir)
    rate = WriteRate(outbox, outbox.camera_ids, clock)

    def disk() -> DiskFigures:
        return replace(disk_figures(data_dir), write_bytes_per_s=rate.bytes_per_s())

    evictor = Evictor(
        EvictionParts(
            store=store,
            node_id=node_id,
            files=files,
            disk=disk,
            reserve=DiskReserve(data_dir / "node" / "reserve"),
            clock=clock,
            watch=ClockWatch(read_clocks, ClockMarkFile(data_dir / "node" / "clock.json")),
            settings_policy=policy,
            store_is_ours=store_is_ours,
            shared=BackupsBesideStore(data_dir, settings.backup_path),
        )
    )
    return NodeRetention(evictor, SpaceGuard(evictor, disk, clock, policy, lambda: expect_media_folders(data_dir)))
