"""Keeps the footage of events from pruning: pins what their windows need, gives up the oldest beyond the budget.

The index and the event rows are the truth; `sync` compares them with what is pinned, so a lost wake-up, an error or
a restart costs nothing but another look. Used by the drain thread alone.

Bound: `pin_budget_seconds` of footage, and `pin_budget_share` of the disk for all cameras of the node together.
Victim: the pinned segment of this camera that was recorded first, recorded as a gap before its file goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from iris.adapters.pending import PendingFiles
from iris.base.ids import CameraId
from iris.base.log import get_logger
from iris.base.timebase import seconds_to_us
from iris.domain.camera import CameraTuning
from iris.domain.event import OpenEvent
from iris.domain.segment import Segment
from iris.outbox.writer import ClosedWindow, EventOutbox
from iris.ports import Clock, SegmentIndexReader

# An open event needs everything from its window's start on.
_FAR_FUTURE_US = 1 << 62
# Measuring every pin of the node takes a system call per file: seldom enough.
_MEASURE_INTERVAL_US = 60_000_000
# A segment lasts seconds; without an index row (older than it) its length is not known, so take this.
_UNKNOWN_LENGTH_US = 2_000_000
# Names of footage that is gone are looked through from so many on: two hours of segments.
_LOST_LOOK = 4096


@dataclass(frozen=True, slots=True)
class _Span:
    """`segment_id` rises in the order of recording, which wall time does not where the clock was set back."""

    segment_id: int
    start_us: int
    end_us: int
    size_bytes: int


class PinKeeper:
    """Pins of one camera."""

    def __init__(
        self,
        camera_id: CameraId,
        tuning: CameraTuning,
        *,
        outbox: EventOutbox,
        index: SegmentIndexReader,
        files: PendingFiles,
        clock: Clock,
    ) -> None:
        self._camera_id = camera_id
        self._budget_us = seconds_to_us(tuning.pin_budget_seconds)
        self._budget_share = tuning.pin_budget_share
        self._outbox = outbox
        self._index = index
        self._files = files
        self._clock = clock
        self._spans: dict[str, _Span] = {}  # what is pinned, by base name of the segment
        self._pinned: dict[str, set[str]] = {}  # the same by event
        self._lost: set[str] = set()  # gone before they could be pinned, or dropped beyond the budget: never again
        self._lost_look = _LOST_LOOK
        self._measured_us: int | None = None
        for event_id in outbox.event_ids():
            self._pinned[event_id] = set(files.pinned_names(event_id))
        self._load_spans()

    @property
    def pinned_us(self) -> int:
        """Length of what is pinned, in microseconds; a segment of two events counts once."""
        return sum(span.end_us - span.start_us for span in self._spans.values())

    def sync(self, open_events: Sequence[OpenEvent]) -> None:
        """Pin whatever of the index is needed and not pinned yet; let go of windows that are complete.

        Raises:
            StorageError: Not everything is pinned; call again.
        """
        for event in open_events:
            self.pin_window(event.event_id, event.window_start_us, _FAR_FUTURE_US)
        for window in self._outbox.closed_windows():
            complete = self._complete(window)  # asked first: what is durable by then is pinned below
            self.pin_window(window.event_id, window.start_us, window.end_us)
            if complete:
                self._outbox.drop_window(window.event_id)
        self._keep_budget()
        self._forget_lost()

    def pin_window(self, event_id: str, start_us: int, end_us: int) -> None:
        """Pin all durable segments that overlap a window; idempotent.

        Raises:
            StorageError: Not everything is pinned; call again.
        """
        mine = self._pinned.setdefault(event_id, set())
        for segment in self._index.segments_between(self._camera_id, start_us, end_us):
            name = PurePosixPath(segment.path).name
            if name in mine or name in self._lost:
                continue
            if self._files.pin(event_id, segment):
                mine.add(name)
                self._spans[name] = _span_of(segment)
            else:
                self._lost.add(name)
                get_logger(camera_id=self._camera_id).error("segment_gone_before_pin", event_id=event_id, segment=name)

    def forget(self, event_id: str) -> None:
        """The event is over everywhere: nothing of it stays pinned; idempotent.

        Raises:
            StorageError: Something could not be removed; call again.
        """
        self._files.release(event_id)
        self._pinned.pop(event_id, None)
        still = set[str]().union(*self._pinned.values())
        self._spans = {name: span for name, span in self._spans.items() if name in still}

    def _complete(self, window: ClosedWindow) -> bool:
        """Whether the window's end is recorded, or known not to be."""
        newest_us = self._index.newest_end_us(self._camera_id)
        if newest_us is not None and newest_us >= window.end_us:
            return True
        gaps = self._index.gaps_between(self._camera_id, window.end_us, window.end_us + 1)
        # An open gap may yet be closed by a camera that returns before the window's end.
        return any(gap.end_us is not None or self._clock.wall_us() > window.end_us for gap in gaps)

    def _keep_budget(self) -> None:
        excess_us = self.pinned_us - self._budget_us
        excess_bytes = self._excess_bytes()
        for name in sorted(self._spans, key=lambda name: self._spans[name].segment_id):
            if excess_us <= 0 and excess_bytes <= 0:
                return
            span = self._spans[name]
            # The gap first: footage may go with its gap recorded twice over, never without.
            self._outbox.record_dropped(span.start_us, span.end_us)
            self._lost.add(name)
            for event_id, names in self._pinned.items():
                if name in names:
                    self._files.unpin(event_id, name)
                    names.discard(name)
            del self._spans[name]
            excess_us -= span.end_us - span.start_us
            excess_bytes -= span.size_bytes
            get_logger(camera_id=self._camera_id).warning("pin_dropped_over_budget", segment=name)

    def _forget_lost(self) -> None:
        """Names that the index no longer has are never asked for again."""
        if len(self._lost) < self._lost_look:
            return
        rows = self._index.segments_between(self._camera_id, 0, _FAR_FUTURE_US)
        self._lost &= {PurePosixPath(row.path).name for row in rows}
        self._lost_look = len(self._lost) + _LOST_LOOK

    def _excess_bytes(self) -> int:
        """Bytes beyond the share of the disk; 0 where it was measured a moment ago."""
        now_us = self._clock.monotonic_us()
        if not self._spans or (self._measured_us is not None and now_us - self._measured_us < _MEASURE_INTERVAL_US):
            return 0
        self._measured_us = now_us
        return self._files.pinned_bytes() - int(self._budget_share * self._files.disk_bytes())

    def _load_spans(self) -> None:
        names = set[str]().union(*self._pinned.values())
        if not names:
            return
        starts = {name: _start_of(name) for name in names}
        first_us, last_us = min(starts.values()), max(starts.values())
        rows = self._index.segments_between(self._camera_id, first_us, last_us + 1)
        known = {PurePosixPath(row.path).name: _span_of(row) for row in rows}
        self._spans = {
            name: known.get(name) or _Span(0, start_us, start_us + _UNKNOWN_LENGTH_US, 0)
            for name, start_us in starts.items()
        }


def _span_of(segment: Segment) -> _Span:
    return _Span(segment.segment_id, segment.start_us, segment.end_us, segment.size_bytes)


def _start_of(name: str) -> int:
    """Start in a segment's name, `seg_<start_us>.mp4`; 0 (the first to go) for any other."""
    digits = name.removeprefix("seg_").removesuffix(".mp4")
    return int(digits) if digits.isdigit() else 0
