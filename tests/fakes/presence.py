"""A presence observer that writes down what it hears."""

from __future__ import annotations

from collections.abc import Sequence

from iris.camera_ports import Picture
from iris.domain.track import Track


class RecordingObserver:
    """Implements `iris.ports.PresenceObserver`."""

    def __init__(self) -> None:
        self.observed: list[tuple[int, tuple[Track, ...]]] = []
        self.sizes_px: set[tuple[int, int]] = set()
        self.ticks_us: list[int] = []

    def observe(self, tracks: Sequence[Track], picture: Picture, now_us: int) -> None:
        self.observed.append((picture.wall_us, tuple(tracks)))
        self.sizes_px.add(picture.size_px)

    def tick(self, now_us: int) -> None:
        self.ticks_us.append(now_us)
