"""Tells whether the wall clock may be believed for the age of footage; remembers across restarts.

Any thread may call it. What it says is sticky: a clock that was doubted is believed again when it is back where it
should be, or when a person says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, Protocol

from iris.base.errors import StorageError
from iris.base.log import get_logger
from iris.base.timebase import US_PER_S
from iris.retention.clock_rule import ClockReading, clock_doubt

# The mark is as old as this after a power cut; far below what would be doubted.
_WRITE_EVERY_US: Final = 60 * US_PER_S


class MarkFile(Protocol):
    """Keeps the mark (see `iris.adapters.clock_mark`)."""

    def read(self) -> ClockReading | None:
        """The mark, if there is one."""
        ...

    def write(self, reading: ClockReading) -> None:
        """Replace it."""
        ...


class ClockWatch:
    """See the module."""

    def __init__(self, read_clocks: Callable[[], ClockReading], file: MarkFile) -> None:
        self._read_clocks = read_clocks
        self._file = file
        self._lock = threading.Lock()
        self._mark = file.read()
        self._written_us: int | None = None
        self._doubt: str | None = None

    @property
    def doubt(self) -> str | None:
        """Why the clock was not believed at the last look; None where it was."""
        return self._doubt

    def look(self, newest_event_us: Callable[[], int | None]) -> str | None:
        """Compare the clocks now.

        Args:
            newest_event_us: Asked only where there is no mark yet.

        Raises:
            StoreError: `newest_event_us` could not be answered.
        """
        with self._lock:
            now = self._read_clocks()
            newest_us = newest_event_us() if self._mark is None else None
            doubt = clock_doubt(self._mark, now, newest_us)
            if doubt is None:
                self._believe(now)
            elif self._doubt is None:
                get_logger().error("nothing is removed by age until the clock is confirmed", reason=doubt)
            if doubt is None and self._doubt is not None:
                get_logger().warning("the clock is believed again")
            self._doubt = doubt
            return doubt

    def confirm(self) -> None:
        """A person says that the clock is right now."""
        with self._lock:
            self._written_us = None
            self._believe(self._read_clocks())
            if self._doubt is not None:
                get_logger().warning("the clock was confirmed")
            self._doubt = None

    def _believe(self, now: ClockReading) -> None:
        self._mark = now
        if self._written_us is not None and now.steady_us - self._written_us < _WRITE_EVERY_US:
            return
        try:
            self._file.write(now)
            self._written_us = now.steady_us
        except StorageError as error:  # a full disk; the next look tries again
            get_logger().warning("the clock's mark could not be kept", error=error)
