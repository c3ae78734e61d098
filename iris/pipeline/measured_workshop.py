"""A `ClipWorkshop` that counts what the one behind it does, for the metrics of a node."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Final

from iris.base.timebase import US_PER_S
from iris.contracts.events import AssembleClip, ClipResult, EventMessage, EventRef, ThumbnailResult
from iris.domain.status import (
    FIGURE_CLIP_COUNT,
    FIGURE_CLIP_SECONDS,
    FIGURE_CLIP_WITHIN,
    FIGURE_MISSING_SECONDS,
    FIGURE_TERMINAL,
)
from iris.ports import ClipWorkshop, Clock, ProgressSink

# A clip of a minute takes a fraction of a second; one of ten minutes on a busy disk some seconds.
WITHIN_S: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class MeasuredWorkshop:
    """Implements `ClipWorkshop`; any thread. Figures begin at 0 with the node's process.

    `is_terminal` tells whether an event has been released before: a step done twice counts once.
    """

    def __init__(self, workshop: ClipWorkshop, clock: Clock, is_terminal: Callable[[str], bool]) -> None:
        self._workshop = workshop
        self._clock = clock
        self._is_terminal = is_terminal
        self._lock = threading.Lock()
        self._figures: defaultdict[str, float] = defaultdict(float)

    def figures(self) -> dict[str, float]:
        """What was counted so far, by the names of `iris.domain.status`."""
        with self._lock:
            return dict(self._figures)

    def settled(self, request: AssembleClip) -> bool:
        """See `ClipWorkshop`."""
        return self._workshop.settled(request)

    def assemble(self, request: AssembleClip, progress: ProgressSink) -> ClipResult:
        """See `ClipWorkshop`; only what came to a result is measured."""
        began_us = self._clock.monotonic_us()
        result = self._workshop.assemble(request, progress)
        seconds = (self._clock.monotonic_us() - began_us) / US_PER_S
        missing_s = sum(gap.end_us - gap.start_us for gap in result.missing) / US_PER_S
        with self._lock:
            self._figures[FIGURE_CLIP_COUNT] += 1
            self._figures[FIGURE_CLIP_SECONDS] += seconds
            self._figures[FIGURE_MISSING_SECONDS] += missing_s
            for most_s in WITHIN_S:
                self._figures[f"{FIGURE_CLIP_WITHIN}{most_s:g}"] += seconds <= most_s
        return result

    def publish_thumbnail(self, ref: EventRef) -> ThumbnailResult:
        """See `ClipWorkshop`."""
        return self._workshop.publish_thumbnail(ref)

    def release(self, ref: EventRef) -> None:
        """See `ClipWorkshop`."""
        self._ended(ref, self._workshop.release)

    def discard(self, ref: EventRef) -> None:
        """See `ClipWorkshop`."""
        self._ended(ref, self._workshop.discard)

    def close_abandoned(self, ref: EventRef) -> EventMessage | None:
        """See `ClipWorkshop`."""
        return self._workshop.close_abandoned(ref)

    def _ended(self, ref: EventRef, end: Callable[[EventRef], None]) -> None:
        is_new = not self._is_terminal(ref.event_id)
        end(ref)
        with self._lock:
            self._figures[f"{FIGURE_TERMINAL}{ref.state or 'unknown'}"] += is_new
