"""Which cameras this node runs: from the main database when it answers, from its own copy always.

Owned by the node's event loop. The copy is read first at a start, so that cameras record before the database or
Temporal are even looked for; it is replaced only by an answer of the database that belongs to this data directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from iris.adapters.node_cameras import NodeCameras, SealedCamera
from iris.base.errors import IrisError, StoreError
from iris.base.ids import CameraId
from iris.base.log import get_logger
from iris.domain.camera import CameraSpec
from workers.supervisor import CameraSupervisor


class CameraKeeper:
    """Makes the supervisor run what is wanted."""

    def __init__(self, copy: NodeCameras, supervisor: CameraSupervisor, unseal: Callable[[bytes, str], str]) -> None:
        self._copy = copy
        self._supervisor = supervisor
        self._unseal = unseal
        self._known: dict[CameraId, SealedCamera] = {}
        self._changed = asyncio.Event()
        self._log = get_logger(part="cameras")

    async def start_last_known(self) -> None:
        """Start the cameras of the last known copy."""
        self._known = self._copy.load()
        await self._apply()

    def spec(self, camera_id: CameraId) -> CameraSpec | None:
        """What is known of a camera, without its addresses; None for an unknown one."""
        known = self._known.get(camera_id)
        return None if known is None else known.spec

    def changed(self) -> None:
        """Word that the database changed: look again now."""
        self._changed.set()

    async def follow(self, read: Callable[[], dict[CameraId, SealedCamera]], every_s: float) -> None:
        """Refresh from the database at every word of change and every `every_s`, for ever.

        Args:
            read: Reads the wanted cameras; blocking, run on a thread.
            every_s: Seconds between looks without a word.
        """
        failing = False
        while True:
            self._changed.clear()
            try:
                wanted = await asyncio.to_thread(read)
            except StoreError as error:
                if not failing:
                    self._log.warning("the database does not answer, cameras go on as last known", reason=str(error))
                failing = True
            else:
                failing = False
                if wanted != self._known:
                    self._copy.replace(wanted)
                    self._known = wanted
                await self._apply()
            try:
                async with asyncio.timeout(every_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _apply(self) -> None:
        specs = {}
        for camera_id, camera in self._known.items():
            if not camera.spec.enabled:
                continue
            try:
                specs[camera_id] = camera.opened(self._unseal)
            except IrisError as error:
                self._log.error("a camera's address cannot be read", camera_id=camera_id, reason=str(error))
        await self._supervisor.apply(specs)
