"""Implements `CameraSwitch`: makes sure that a node runs no process of a camera, and that it looks again afterwards.

Called on threads of activities; what belongs to the node's event loop is done there.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from iris.adapters.node_cameras import SealedCamera
from iris.adapters.process import hold_lock
from iris.base.errors import ConflictError, UnavailableError
from iris.base.ids import CameraId, parse_id
from workers.node_cameras import CameraKeeper

# An orderly stop takes 8 s at most, and a look may come while another is at work.
_LOOK_PATIENCE_S = 30.0
# A process whose node was killed publishes its last segment and is gone within 10 s.
_LOCK_PATIENCE_S = 12.0


class NodeCameraSwitch:
    """Over the keeper of one node.

    Made on the node's event loop. `is_running` says whether the node means to run a camera.
    """

    def __init__(
        self,
        keeper: CameraKeeper,
        read: Callable[[], dict[CameraId, SealedCamera]],
        is_running: Callable[[CameraId], bool],
        data_dir: Path,
    ) -> None:
        self._keeper = keeper
        self._read = read
        self._is_running = is_running
        self._data_dir = data_dir
        self._loop = asyncio.get_running_loop()

    def stop(self, camera_id: str) -> None:
        """See `CameraSwitch.stop`: a look into the database, the supervisor's stop, and the one-writer lock as proof.

        Raises:
            InputError: It is no id.
            UnavailableError: See `CameraSwitch.stop`.
        """
        camera = CameraId(parse_id(camera_id, field="camera_id"))
        asyncio.run_coroutine_threadsafe(self._look(camera), self._loop).result()
        try:
            lock = hold_lock(self._data_dir / "node" / f"{camera}.lock", patience_s=_LOCK_PATIENCE_S)
        except ConflictError as error:
            raise UnavailableError("A process of this camera has not ended yet.") from error
        os.close(lock)

    def resume(self, camera_id: str) -> None:  # noqa: ARG002 - of the port; one look takes up every change
        """See `CameraSwitch.resume`."""
        self._loop.call_soon_threadsafe(self._keeper.changed)

    async def _look(self, camera: CameraId) -> None:
        try:
            async with asyncio.timeout(_LOOK_PATIENCE_S):
                look = await self._keeper.look(self._read)
        except TimeoutError as error:
            raise UnavailableError("The camera process takes long to stop.") from error
        if not look.store_answered:
            raise UnavailableError("The database does not answer, so the node cannot know which cameras to stop.")
        if self._is_running(camera):
            raise UnavailableError("The database still wants this camera to run.")
