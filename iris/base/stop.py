"""One cooperative shutdown signal per process."""

from __future__ import annotations

import threading


class StopToken:
    """A flag that many threads wait on; set once, never cleared."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def stop(self) -> None:
        """Ask everybody to stop."""
        self._event.set()

    @property
    def stopped(self) -> bool:
        """Whether somebody asked."""
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s`; true when stopped."""
        return self._event.wait(timeout_s)
