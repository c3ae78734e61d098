"""Compares what was removed with the room that it made, so that nothing is removed in vain.

Some file systems give room back seconds later, and some not at all, as long as a snapshot holds it. Whoever only
measured would go on until nothing was left. Used under the evictor's lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from iris.base.timebase import US_PER_S, seconds_to_us
from iris.domain.storage import DiskFigures
from iris.ports import Clock

# A transaction group of ZFS, the deferred frees of XFS.
_SETTLE_US: Final = seconds_to_us(15)
# So much of what was removed has to be seen as room, beside what the cameras wrote meanwhile.
_LEAST_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class _Removed:
    used_bytes: int
    freed_bytes: int
    at_us: int


class RoomLedger:
    """Of the disk of one node."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._unseen: _Removed | None = None
        self._blocked_below_bytes: int | None = None

    @property
    def in_vain(self) -> bool:
        """Whether the last removal made no room; nothing more goes until the disk gets emptier, or a person asks."""
        return self._blocked_below_bytes is not None

    def complaint(self, disk: DiskFigures) -> str:
        """The same as a sentence."""
        return (
            f"the disk is {disk.used_share:.0%} full and removing events makes no room on it (snapshots?); "
            "nothing more goes until it gets emptier or a person asks for a pass"
        )

    def may_remove(self, disk: DiskFigures) -> bool:
        """Whether another removal makes sense, as far as the one before can be judged."""
        if self._blocked_below_bytes is not None:
            if disk.used_bytes >= self._blocked_below_bytes:
                return False
            self.clear()
        if self._unseen is None:
            return True
        waited_us = self._clock.monotonic_us() - self._unseen.at_us
        if waited_us < _SETTLE_US:
            return False
        written_bytes = 2 * disk.write_bytes_per_s * waited_us / US_PER_S
        wanted_bytes = self._unseen.used_bytes - _LEAST_SHARE * self._unseen.freed_bytes
        if disk.used_bytes > wanted_bytes + written_bytes:
            self._blocked_below_bytes = int(wanted_bytes)
            return False
        self.clear()
        return True

    def not_seen(self, before: DiskFigures, freed_bytes: int) -> None:
        """As much went as was needed, and the disk does not show it (yet)."""
        self._unseen = _Removed(before.used_bytes, freed_bytes, self._clock.monotonic_us())

    def clear(self) -> None:
        """There is room, or a person wants another try."""
        self._unseen = self._blocked_below_bytes = None
