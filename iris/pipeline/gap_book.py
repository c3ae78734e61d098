"""Keeps the gap that is open now: in the index, or in memory while the disk refuses. One thread."""

from __future__ import annotations

from collections import Counter

from structlog.typing import FilteringBoundLogger

from iris.base.errors import StorageError
from iris.domain.segment import Gap, GapReason
from iris.outbox.segments import SegmentIndex
from iris.pipeline.packet_buffer import Away

# A gap of these goes on for another reason when the camera is away for it; trouble of the disk stays what it is.
_NOT_OF_THE_DISK = frozenset(
    {
        GapReason.CAMERA_OFFLINE,
        GapReason.CAMERA_STALLED,
        GapReason.CAMERA_AUTH,
        GapReason.STREAM_CHANGED,
        GapReason.PROCESS_DIED,
        GapReason.STOPPED,
    }
)


class GapBook:
    """The missing time of one camera. At most one gap is open."""

    def __init__(self, index: SegmentIndex, log: FilteringBoundLogger) -> None:
        self._index = index
        self._log = log
        self._gap: Gap | None = None
        self._stored = False
        self._closed_us: Counter[str] = Counter()

    def closed_us(self) -> dict[str, int]:
        """Microseconds of missing time by reason that came to an end in this process; any thread."""
        return dict(self._closed_us)

    def resume(self, known_until_us: int | None) -> None:
        """Go on with the gap of the process before, or begin the one since its death.

        Args:
            known_until_us: Up to where everything is recorded or a closed gap; None before the first recording.

        Raises:
            StorageError: The index refuses.
        """
        gap = self._index.current_gap()
        if gap is None and known_until_us is not None:
            # An orderly stop leaves an open gap of its own.
            self._index.open_gap(known_until_us, GapReason.PROCESS_DIED)
            gap = self._index.current_gap()
        self._gap, self._stored = gap, gap is not None

    def missing_since(self, start_us: int, reason: GapReason) -> None:
        """Nothing is recorded from here on; a gap that is open already goes on."""
        if self._gap is not None:
            return
        self._gap, self._stored = Gap(start_us, None, reason), False
        try:
            self._index.open_gap(start_us, reason)
            self._stored = True
        except StorageError:
            self._log.warning("gap kept in memory", start_us=start_us, reason=reason.value)

    def away(self, item: Away) -> None:
        """The camera is away for another reason now.

        Raises:
            StorageError: The index refuses.
        """
        gap = self._gap
        if gap is None or not self._stored or gap.reason is item.reason or gap.reason not in _NOT_OF_THE_DISK:
            return
        since_us = max(gap.start_us, item.since_us)
        self._index.split_gap(since_us, item.reason)
        self._count(gap, since_us)
        self._gap = Gap(since_us, None, item.reason)

    def refused(self, item: Away) -> None:
        """The camera is there and the disk refuses; never raises, since the index may lie on that disk."""
        try:
            self.away(item)
        except StorageError:
            self._log.warning("gap keeps its reason", reason=item.reason.value)

    def covered(self, start_us: int, end_us: int) -> None:
        """A segment became durable (the index has moved the gap that begins inside it)."""
        if self._gap is not None and start_us <= self._gap.start_us < end_us:
            self._gap = Gap(end_us, None, self._gap.reason)

    def close(self, end_us: int) -> None:
        """Recording goes on here.

        Raises:
            StorageError: The index refuses; the gap stays open.
        """
        gap, self._gap = self._gap, None
        if gap is None:
            return
        try:
            if self._stored:
                self._index.close_gap(end_us)
            elif end_us > gap.start_us:
                self._index.add_gap(Gap(gap.start_us, end_us, gap.reason))
        except StorageError:
            self._gap = gap
            raise
        self._count(gap, end_us)

    def _count(self, gap: Gap, end_us: int) -> None:
        if end_us > gap.start_us:
            self._closed_us[gap.reason.value] += end_us - gap.start_us
