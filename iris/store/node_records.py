"""The `NodeRecords` port over the store."""

from __future__ import annotations

from iris.contracts.node import NODE_GONE, NODE_UP, NodeLife
from iris.domain.status import SILENT_US
from iris.ports import Clock
from iris.store.engine import Store


class StoreNodeRecords:
    """What the main database knows of nodes."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def life(self, node_id: str) -> NodeLife:
        """See `NodeRecords.life`.

        Raises:
            StoreError: Try again later.
        """
        with self._store.reading() as work:
            row = next((row for row in work.system.nodes() if row.node_id == node_id), None)
            cameras = [camera for camera in work.cameras.all() if camera.node_id in (None, node_id)]
        alive = row is not None and self._clock.wall_us() - row.heartbeat_us <= SILENT_US
        return NodeLife(
            state=NODE_UP if alive else NODE_GONE,
            heartbeat_us=None if row is None else row.heartbeat_us,
            camera_count=sum(camera.enabled for camera in cameras),
        )
