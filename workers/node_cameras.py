"""Which cameras this node runs: from the main database when it answers, from its own copy always.

Owned by the node's event loop. The copy is read first at a start, so that cameras record before the database or
Temporal are even looked for; it is replaced only by an answer of the database that belongs to this data directory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from iris.adapters.node_cameras import NodeCameras, SealedCamera
from iris.base.errors import IrisError, StoreError
from iris.base.ids import CameraId
from iris.base.log import get_logger
from iris.domain.camera import CameraSpec
from workers.supervisor import Applied, CameraSupervisor


@dataclass(frozen=True, slots=True)
class Look:
    """What one look into the database led to.

    Attributes:
        applied: What the supervisor had to do.
        changed: Cameras that the database wants otherwise than at the look before.
        store_answered: Whether the database answered; else what is known already counted.
    """

    applied: Applied
    changed: frozenset[CameraId]
    store_answered: bool


class CameraKeeper:
    """Makes the supervisor run what is wanted."""

    def __init__(self, copy: NodeCameras, supervisor: CameraSupervisor, unseal: Callable[[bytes, str], str]) -> None:
        self._copy = copy
        self._supervisor = supervisor
        self._unseal = unseal
        self._known: dict[CameraId, SealedCamera] = {}
        self._failing = False
        self._changed = asyncio.Event()
        # The keeper and the audit may look at the same time; what they do must not mix.
        self._looking = asyncio.Lock()
        self._tell_change: Callable[[], None] = lambda: None
        self._log = get_logger(part="cameras")

    async def start_last_known(self) -> None:
        """Start the cameras of the last known copy."""
        self._known = self._copy.load()
        await self._apply()

    def spec(self, camera_id: CameraId) -> CameraSpec | None:
        """What is known of a camera, without its addresses; None for an unknown one."""
        known = self._known.get(camera_id)
        return None if known is None else known.spec

    def on_change(self, tell: Callable[[], None]) -> None:
        """Have `tell` called on the event loop whenever cameras were started, restarted or stopped for a change."""
        self._tell_change = tell

    def changed(self) -> None:
        """Word that the database changed: look again now."""
        self._changed.set()

    async def follow(self, read: Callable[[], dict[CameraId, SealedCamera]], every_s: float) -> None:
        """Refresh from the database at every word of change and every `every_s`, for ever.

        Args:
            read: Reads the wanted cameras; blocking, run on a thread.
            every_s: Seconds between looks without a word.
        """
        while True:
            self._changed.clear()
            if (await self.look(read)).applied:
                self._tell_change()
            try:
                async with asyncio.timeout(every_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def look(self, read: Callable[[], dict[CameraId, SealedCamera]]) -> Look:
        """Look into the database once and have the supervisor run what it says."""
        changed: frozenset[CameraId] = frozenset()
        async with self._looking:
            try:
                wanted = await asyncio.to_thread(read)
            except StoreError as error:
                if not self._failing:
                    self._log.warning("the database does not answer, cameras go on as last known", reason=str(error))
                self._failing = True
            else:
                self._failing = False
                ids = wanted.keys() | self._known.keys()
                changed = frozenset(one for one in ids if wanted.get(one) != self._known.get(one))
                if changed:
                    self._copy.replace(wanted)
                    self._known = wanted
            return Look(await self._apply(), changed, not self._failing)

    async def _apply(self) -> Applied:
        specs = {}
        for camera_id, camera in self._known.items():
            if not camera.spec.enabled:
                continue
            try:
                specs[camera_id] = camera.opened(self._unseal)
            except IrisError as error:
                self._log.error("a camera's address cannot be read", camera_id=camera_id, reason=str(error))
        return await self._supervisor.apply(specs)
