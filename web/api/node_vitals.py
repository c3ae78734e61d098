"""Which nodes are there, judged by their signs of life in the database: pure, so that a test is exact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from iris.base.timebase import US_PER_S
from iris.domain.status import SILENT_US
from iris.store.cameras import CameraRow
from iris.store.system import NodeRow


@dataclass(frozen=True, slots=True)
class NodeVitals:
    """A node as the database knows it; times are wall time in microseconds.

    `started_us` is None where it did not say. `camera_count` are the enabled cameras that it runs, or should run.
    `missed` means that somebody should act: it is gone, and no other node does its work.
    """

    node_id: str
    up: bool
    heartbeat_us: int
    started_us: int | None
    version: str
    camera_count: int
    missed: bool

    @property
    def state(self) -> str:
        """`up` or `gone`."""
        return "up" if self.up else "gone"

    @property
    def since_us(self) -> int:
        """Since when it is so: its start, or its last sign of life."""
        return self.heartbeat_us if not self.up or self.started_us is None else self.started_us

    def age_s(self, now_us: int) -> float:
        """Seconds since its last sign of life."""
        return max(0, now_us - self.heartbeat_us) / US_PER_S


def judge_nodes(rows: Sequence[NodeRow], cameras: Sequence[CameraRow], now_us: int) -> tuple[NodeVitals, ...]:
    """Every node that ever gave a sign of life.

    A gone node is not missed where another one is up and no camera names it: a host that was made anew has a new id.
    """
    enabled = [camera for camera in cameras if camera.enabled]
    unplaced_count = sum(camera.node_id is None for camera in enabled)
    alive = {row.node_id for row in rows if now_us - row.heartbeat_us <= SILENT_US}

    def judged(row: NodeRow) -> NodeVitals:
        placed_count = sum(camera.node_id == row.node_id for camera in enabled)
        started = row.detail.get("started_us")
        return NodeVitals(
            node_id=row.node_id,
            up=row.node_id in alive,
            heartbeat_us=row.heartbeat_us,
            started_us=started if isinstance(started, int) else None,
            version=str(row.detail.get("version", "unknown")),
            camera_count=placed_count + (unplaced_count if row.node_id in alive or not alive else 0),
            missed=row.node_id not in alive and (placed_count > 0 or not alive),
        )

    return tuple(judged(row) for row in rows)


def gone_node_of(camera: CameraRow, nodes: Sequence[NodeVitals]) -> NodeVitals | None:
    """The node that should run the camera, where it is gone; None where it is up or not known."""
    if camera.node_id is not None:
        return next((node for node in nodes if node.node_id == camera.node_id and not node.up), None)
    if any(node.up for node in nodes):
        return None
    return max(nodes, key=lambda node: node.heartbeat_us, default=None)
