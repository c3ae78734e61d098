"""Says trouble that is met again every second only once: when it begins or changes, and when it is over."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger


class Trouble:
    """Of one thing that is tried again and again; belongs to one thread."""

    def __init__(self, log: FilteringBoundLogger) -> None:
        self._log = log
        self._kind: str | None = None

    def met(self, event: str, kind: str, **details: object) -> None:
        """It failed in this way, again or anew."""
        if kind != self._kind:
            self._log.error(event, **details)
        self._kind = kind

    def over(self, event: str) -> None:
        """It worked."""
        if self._kind is not None:
            self._log.warning(event, trouble=self._kind)
        self._kind = None
