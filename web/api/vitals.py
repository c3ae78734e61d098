"""What the api knows of the rest of Iris without asking at the moment of a request.

Each source is asked in a loop of its own, so that one that hangs makes only its own value old. A value older than
`STALE_US` counts as unknown. `/health`, `/api/system` and `/metrics` read from here alone.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from iris.base.errors import IrisError
from iris.base.log import get_logger
from iris.base.timebase import format_rfc3339
from iris.domain.status import SILENT_US, CameraStatus, GpuMemory, NodeFacts
from iris.ports import Clock, GpuProbe, NodeLink, TemporalProbe
from iris.store.engine import Store
from web.api.node_vitals import NodeVitals, judge_nodes

REFRESH_S = 2.0
# Three missed rounds and their time-outs.
STALE_US = 12_000_000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoreVitals:
    """What the main database says; its mere presence means that it answers."""

    worker_count: int
    nodes: tuple[NodeVitals, ...]
    camera_count: int
    enabled_camera_ids: tuple[str, ...]
    notification_counts: Mapping[str, int]


class Watched(Generic[T]):
    """One source: asked again and again, remembered with the time of its answer (monotonic, microseconds)."""

    def __init__(self, name: str, ask: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._name, self._ask, self._clock = name, ask, clock
        self._value: T | None = None
        self._at_us = 0
        self._failing = False

    async def refresh(self) -> None:
        """Ask once; a failure forgets the value."""
        try:
            self._value = await self._ask()
            self._failing = False
        except Exception as error:  # noqa: BLE001 - the boundary of a background task: it must go on, and says so once
            self._value = None
            if not self._failing and not isinstance(error, IrisError):
                get_logger().warning("vitals source failed", source=self._name, error=error)
            self._failing = True
        self._at_us = self._clock.monotonic_us()

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_S)

    def get(self) -> T | None:
        """The newest value, None where the source failed or has been silent for too long."""
        return self._value if self._clock.monotonic_us() - self._at_us <= STALE_US else None


class Vitals:
    """All sources. `running()` keeps them fresh; between refreshes reading costs nothing."""

    def __init__(self, store: Store, node: NodeLink, temporal: TemporalProbe, gpu: GpuProbe, clock: Clock) -> None:
        self._store_, self._clock = store, clock
        self._store = Watched("store", lambda: asyncio.to_thread(self._ask_store), clock)
        self._facts = Watched("node", node.facts, clock)
        self._cameras = Watched("cameras", lambda: _as_tuple(node), clock)
        self._temporal = Watched("temporal", temporal.answers, clock)
        self._gpu = Watched("gpu", lambda: asyncio.to_thread(gpu.memory), clock)
        self._told_gone: set[str] = set()
        self._began_us = clock.monotonic_us()

    @property
    def store(self) -> StoreVitals | None:
        """None while the database does not answer."""
        return self._store.get()

    @property
    def node(self) -> NodeFacts | None:
        """None while the node does not answer."""
        return self._facts.get()

    @property
    def cameras(self) -> tuple[CameraStatus, ...]:
        """Live status of the cameras; empty while the node does not answer."""
        return self._cameras.get() or ()

    @property
    def unheard_camera_ids(self) -> tuple[str, ...]:
        """Enabled cameras that nobody speaks for, since the node does not answer."""
        store = self.store
        return () if store is None or self.node is not None else store.enabled_camera_ids

    @property
    def temporal_up(self) -> bool:
        """Whether Temporal answers."""
        return self._temporal.get() is True

    @property
    def gpu(self) -> GpuMemory | None:
        """None where there is no GPU."""
        return self._gpu.get()

    @property
    def reasons(self) -> list[str]:
        """What an event needs on its way to a clip and is not there, in sentences; nothing in them is private."""
        store, reasons = self.store, []
        if store is None:
            reasons.append("The database does not answer.")
        elif store.worker_count == 0:
            reasons.append("No worker gave a sign of life in the last 15 s.")
        if self.node is None:
            reasons.append("The node does not answer.")
        if not self.temporal_up:
            reasons.append("Temporal does not answer; events wait for it.")
        storage = self.node.storage if self.node else None
        if storage is not None and storage.alarm is not None:
            reasons.append("A disk fills and no room can be made.")
        for node in store.nodes if store else ():
            if node.missed:
                heard = format_rfc3339(node.heartbeat_us)
                reasons.append(f"A node with {node.camera_count} camera(s) has not been heard of since {heard}.")
        return reasons

    @property
    def ok(self) -> bool:
        """Whether every part that an event needs on its way to a clip is there."""
        return not self.reasons

    async def refresh(self) -> None:
        """Ask every source once."""
        await asyncio.gather(*(source.refresh() for source in self._sources()))

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep every source fresh while the block runs."""
        tasks = [asyncio.create_task(source.run()) for source in self._sources()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _sources(self) -> tuple[Watched[StoreVitals], Watched[NodeFacts], Watched[tuple[CameraStatus, ...]],
                                Watched[bool], Watched[GpuMemory | None]]:  # fmt: skip
        return self._store, self._facts, self._cameras, self._temporal, self._gpu

    def _ask_store(self) -> StoreVitals:
        now_us = self._clock.wall_us()
        since_us = now_us - SILENT_US
        with self._store_.reading() as repositories:
            workers = [row for row in repositories.system.workers() if row.heartbeat_us >= since_us]
            node_rows = repositories.system.nodes()
            cameras = repositories.cameras.all()
            notifications = repositories.notifications.counts()
        nodes = judge_nodes(node_rows, cameras, now_us)
        self._tell_of(nodes)
        return StoreVitals(
            worker_count=sum(row.kind == "worker" for row in workers),
            nodes=nodes,
            camera_count=len(cameras),
            enabled_camera_ids=tuple(camera.camera_id for camera in cameras if camera.enabled),
            notification_counts={state.value: count for state, count in notifications.items()},
        )

    def _tell_of(self, nodes: Sequence[NodeVitals]) -> None:
        """Say once that a node is gone, and once that it is back.

        Who was away too has not listened long enough: at a start, every node's last sign of life is an old one.
        """
        listened = self._clock.monotonic_us() - self._began_us > SILENT_US
        for node in nodes:
            if listened and not node.up and node.node_id not in self._told_gone:
                self._told_gone.add(node.node_id)
                get_logger().warning(
                    "node is gone", node_id=node.node_id, heard=format_rfc3339(node.heartbeat_us),
                    cameras=node.camera_count,
                )  # fmt: skip
            elif node.up and node.node_id in self._told_gone:
                self._told_gone.remove(node.node_id)
                get_logger().info("node is back", node_id=node.node_id)


async def _as_tuple(node: NodeLink) -> tuple[CameraStatus, ...]:
    return tuple(await node.camera_status())
