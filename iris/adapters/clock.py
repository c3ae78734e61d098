"""The one place that reads the system's clocks."""

from __future__ import annotations

import time


class SystemClock:
    """Implements `iris.ports.Clock`."""

    def wall_us(self) -> int:
        """Wall time, microseconds UTC."""
        return time.time_ns() // 1000

    def monotonic_us(self) -> int:
        """Monotonic time in microseconds."""
        return time.monotonic_ns() // 1000
