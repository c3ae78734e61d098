"""A clock that moves only when told."""

from __future__ import annotations

import threading


class SimulatedClock:
    """Implements `iris.ports.Clock`; any thread may read or move it."""

    def __init__(self, wall_us: int = 1_700_000_000_000_000, monotonic_us: int = 5_000_000) -> None:
        self._lock = threading.Lock()
        self._wall_us = wall_us
        self._monotonic_us = monotonic_us

    def wall_us(self) -> int:
        with self._lock:
            return self._wall_us

    def monotonic_us(self) -> int:
        with self._lock:
            return self._monotonic_us

    def advance_us(self, us: int) -> None:
        """Time passes on both clocks."""
        with self._lock:
            self._wall_us += us
            self._monotonic_us += us

    def advance_s(self, seconds: float) -> None:
        """Time passes on both clocks."""
        self.advance_us(round(seconds * 1_000_000))

    def step_wall_us(self, us: int) -> None:
        """Somebody set the wall clock; the monotonic one does not move."""
        with self._lock:
            self._wall_us += us
