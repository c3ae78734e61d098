"""Who works with the files of a camera: many may make clips at once, but nobody does while all of it is removed.

In the memory of one node, which is the only process that publishes clips and thumbnails of its cameras. What was
under way when the process died is over, so nothing has to outlast it. Any thread may call.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from iris.base.errors import UnavailableError
from iris.ports import ProgressSink


class CameraGate:
    """One per node."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._working: Counter[str] = Counter()
        self._closed: Counter[str] = Counter()

    @contextmanager
    def working(self, camera_id: str) -> Iterator[None]:
        """Publish something of a camera within this context.

        Raises:
            UnavailableError: All of the camera is being removed; try again, there will be nothing left to publish.
        """
        with self._changed:
            self._refuse(camera_id)
            self._working[camera_id] += 1
        try:
            yield
        finally:
            with self._changed:
                self._working[camera_id] -= 1
                self._changed.notify_all()

    def watched(self, camera_id: str, progress: ProgressSink) -> ProgressSink:
        """A sink that ends long work on a camera as soon as somebody wants to remove it."""

        def report(step: str, done: int, total: int) -> None:
            with self._changed:
                self._refuse(camera_id)
            progress(step, done, total)

        return report

    @contextmanager
    def closed(self, camera_id: str, patience_s: float) -> Iterator[None]:
        """Nobody works with the camera within this context; it waits for those who do to end.

        Raises:
            UnavailableError: They did not end in time; try again.
        """
        with self._changed:
            self._closed[camera_id] += 1
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: not self._working[camera_id], patience_s):
                    raise UnavailableError("A clip of this camera is still being made; its removal waits for that.")
            yield
        finally:
            with self._changed:
                self._closed[camera_id] -= 1

    def _refuse(self, camera_id: str) -> None:
        if self._closed[camera_id]:
            raise UnavailableError("Everything of this camera is being removed.")
