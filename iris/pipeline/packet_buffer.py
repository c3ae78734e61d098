"""Holds packets between the thread that receives and the thread that writes.

Bound: `max_bytes` of payload. Victim: the oldest whole GOP, never a part of one that stays; a `Hole` takes its place
in the order, so that the writer ends its segment there. Marks (`BeginRun`, `EndRun`, `Away`) are never dropped.

The writer sleeps until there is something worth writing: a mark, a keyframe, or pictures for a whole fragment. What
comes between would only lie in the muxer instead of here; each waking costs 0.2 ms (measured).
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from iris.domain.packet import MediaKind
from iris.domain.segment import GapReason, RunStart
from iris.media.timeline import PlacedPacket
from iris.outbox.segments import RunRow

MOST_BUFFERED_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BeginRun:
    """Packets of this run follow."""

    start: RunStart
    row: RunRow


@dataclass(frozen=True, slots=True)
class EndRun:
    """The run is over; without a `reason` the next one follows with no time between."""

    reason: GapReason | None


@dataclass(frozen=True, slots=True)
class Hole:
    """Packets were dropped here; the next one is a keyframe."""


@dataclass(frozen=True, slots=True)
class Away:
    """Nothing came so far; from `since_us` (wall time) on it is for this reason."""

    reason: GapReason
    since_us: int


Item = BeginRun | EndRun | Hole | Away | PlacedPacket


@dataclass(slots=True)
class _Group:
    """A mark alone, or the packets of one GOP that are still to be written."""

    items: deque[Item] = field(default_factory=deque)
    byte_count: int = 0
    is_mark: bool = False


class PacketBuffer:
    """One thread puts, one takes; never blocks the one that puts."""

    def __init__(self, max_bytes: int = MOST_BUFFERED_BYTES, hand_over_us: int = 0) -> None:
        """Make an empty one.

        Args:
            max_bytes: Bound of the payload held.
            hand_over_us: Pictures of so much time are worth writing.
        """
        self._max_bytes = max_bytes
        self._hand_over_us = hand_over_us
        self._handed_over_us = 0
        self._due = threading.Event()
        self._lock = threading.Lock()
        self._groups: deque[_Group] = deque()
        self._byte_count = 0
        self._skipping = False
        self._dropped_count = 0

    @property
    def dropped_packet_count(self) -> int:
        """Packets dropped since the start."""
        return self._dropped_count

    @property
    def byte_count(self) -> int:
        """Payload held now."""
        return self._byte_count

    def mark(self, item: BeginRun | EndRun | Away) -> None:
        """Append a mark."""
        with self._lock:
            self._groups.append(_Group(deque([item]), is_mark=True))
            self._skipping = False
        self._due.set()

    def wait(self, timeout_s: float) -> None:
        """Sleep until something is worth taking, somebody called `stir`, or `timeout_s` is over."""
        self._due.wait(timeout_s)
        self._due.clear()

    def stir(self) -> None:
        """Wake the one that takes."""
        self._due.set()

    def put(self, placed: PlacedPacket) -> None:
        """Append a packet; drops the oldest GOP where the bound is passed."""
        packet = placed.packet
        size = len(packet.payload)
        starts_gop = packet.is_keyframe and packet.kind is MediaKind.VIDEO
        with self._lock:
            if self._skipping and not starts_gop:
                self._dropped_count += 1
                return
            self._skipping = False
            if starts_gop or not self._groups or self._groups[-1].is_mark:
                self._groups.append(_Group())
            group = self._groups[-1]
            group.items.append(placed)
            group.byte_count += size
            self._byte_count += size
            while self._byte_count > self._max_bytes:
                self._drop_oldest()
        if packet.kind is MediaKind.VIDEO:
            self._say_due(placed.wall_us, starts_gop=starts_gop)

    def _say_due(self, wall_us: int, *, starts_gop: bool) -> None:
        # Wall time may be set back; then it is time, too.
        if starts_gop or abs(wall_us - self._handed_over_us) >= self._hand_over_us:
            self._handed_over_us = wall_us
            self._due.set()

    def take_all(self) -> list[Item]:
        """Everything held, in order; empty at once where there is nothing."""
        with self._lock:
            items = [item for group in self._groups for item in group.items]
            # The last group stays as an empty one, so that the rest of its GOP is not taken for a new one.
            last = self._groups[-1] if self._groups else None
            self._groups.clear()
            if last is not None and not last.is_mark:
                self._groups.append(_Group())
            self._byte_count = 0
            return items

    def _drop_oldest(self) -> None:
        for index, group in enumerate(self._groups):
            if group.is_mark:
                continue
            self._byte_count -= group.byte_count
            self._dropped_count += len(group.items)
            self._skipping = index == len(self._groups) - 1
            self._groups[index] = _Group(deque([Hole()]), is_mark=True)
            return
