"""The node looks after the room on its disk by itself: Temporal or the worker may be away while cameras fill it.

Above high water the Retention workflow gets a moment to help; then, and at once above the critical mark, the node
evicts by itself. Where that does not help - only held footage is left, or the database is away - it says so, and
recording goes on: a full disk is a recorded gap, never a deleted hold.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from iris.base.errors import DiskFullError, StorageError, StoreError, UnavailableError
from iris.base.ids import CameraId
from iris.base.log import get_logger
from iris.base.timebase import US_PER_S, seconds_to_us
from iris.domain.storage import DiskFigures, StorageReport
from iris.pipeline.eviction import Evictor
from iris.ports import Clock, SegmentIndexReader
from iris.retention.policy import RetentionPolicy
from iris.retention.water import is_critical, room_is_due

LOOK_EVERY_S: Final = 2.0
# The schedule of the workflow and a pass of it; meanwhile the disk is far from full.
PATIENCE_US: Final = seconds_to_us(90)
# When nothing is left that may go, asking again costs a query each time.
_ASK_AGAIN_US: Final = seconds_to_us(30)
_POLICY_FOR_US: Final = seconds_to_us(10)
_RATE_FOR_US: Final = seconds_to_us(30)
_RATE_SPAN_US: Final = seconds_to_us(60)


class WriteRate:
    """What the cameras of a node write: their segments of the last minute, looked up every half a minute."""

    def __init__(self, index: SegmentIndexReader, camera_ids: Callable[[], Iterable[CameraId]], clock: Clock) -> None:
        self._index, self._camera_ids, self._clock = index, camera_ids, clock
        self._asked_us: int | None = None
        self._bytes_per_s = 0.0

    def bytes_per_s(self) -> float:
        """Of all cameras that record now."""
        now_us = self._clock.monotonic_us()
        if self._asked_us is None or now_us - self._asked_us >= _RATE_FOR_US:
            self._asked_us = now_us
            self._bytes_per_s = sum(self._of(camera_id) for camera_id in self._camera_ids())
        return self._bytes_per_s

    def _of(self, camera_id: CameraId) -> float:
        try:
            end_us = self._index.newest_end_us(camera_id)
            if end_us is None or abs(self._clock.wall_us() - end_us) > _RATE_SPAN_US:
                return 0.0
            segments = self._index.segments_between(camera_id, end_us - _RATE_SPAN_US, end_us)
        except StorageError:
            return 0.0
        span_us = sum(segment.end_us - segment.start_us for segment in segments)
        return sum(segment.size_bytes for segment in segments) * US_PER_S / span_us if span_us else 0.0


class SpaceGuard:
    """One per node. `look` is called every `LOOK_EVERY_S` by one thread, `make_room_for` by those that write clips."""

    def __init__(
        self,
        evictor: Evictor,
        disk: Callable[[], DiskFigures],
        clock: Clock,
        settings_policy: RetentionPolicy,
        expect_folders: Callable[[], None] = lambda: None,
    ) -> None:
        """Nothing is looked at yet.

        Args:
            evictor: Removes; shared with the workflow's passes.
            disk: The disk as it is now, with what the cameras write; the same as the evictor's.
            clock: For patience.
            settings_policy: What holds until the database was asked.
            expect_folders: Raises `UnavailableError` while a media folder is not there: nothing is evicted then.
        """
        self._evictor, self._disk, self._clock = evictor, disk, clock
        self._lock = threading.Lock()
        self._policy = settings_policy
        self._policy_us: int | None = None
        self._due_since_us: int | None = None
        self._evicted_us: int | None = None
        self._away: str | None = None
        self._seen: DiskFigures | None = None
        self._expect_folders = expect_folders
        self._missing: str | None = None

    def look(self) -> None:
        """Compare, and evict where nobody else did in time. Never raises what a later look may find mended."""
        try:
            disk = self._seen = self._disk()
        except StorageError as error:
            get_logger().error("the disk cannot be looked at", error=error)
            return
        if self._folder_is_missing():
            return
        failure = self._prepared()
        if not room_is_due(self._policy, disk):
            self._due_since_us = self._away = None
            self._evictor.room_again()
            return
        if self._due_since_us is None:
            self._due_since_us = self._clock.monotonic_us()
        if failure is None and self._is_mine(disk):
            failure = self._evict()
        if failure is None:
            self._away = None
        else:
            self._cannot(disk, failure)

    def make_room_for(self, size_bytes: int) -> None:
        """Before a large file is written: see that it does not fill the disk.

        Raises:
            DiskFullError: There is no room for it and none can be made.
        """
        disk = self._disk()
        coming = min(size_bytes, disk.free_bytes)
        after = replace(disk, used_bytes=disk.used_bytes + coming, free_bytes=disk.free_bytes - coming)
        if self._policy_us is not None and is_critical(self._policy, after):
            try:
                self._evictor.make_room(self._policy, coming_bytes=size_bytes)
            except (StoreError, StorageError) as error:
                self._cannot(after, error)
        if self._disk().free_bytes < size_bytes:
            raise DiskFullError(f"there is no room for a clip of {size_bytes / 1e6:.1f} MB on the disk")

    def report(self) -> StorageReport | None:
        """What the node tells of its disk, as of the newest look; None before the first."""
        disk = self._seen
        if disk is None:
            return None
        state, due = self._evictor.state, room_is_due(self._policy, disk)
        return StorageReport(
            disk=disk,
            wants_pass=due or self._evictor.age_scan_is_due(self._policy),
            alarm=self._missing or ((self._away or state.nothing_left) if due else None),
            age_suspended=self._evictor.clock_doubt,
            age_waits=state.age_waits,
            evicted_counts={"age": state.totals.age_count, "space": state.totals.space_count},
            evicted_bytes=state.totals.freed_bytes,
        )

    def _folder_is_missing(self) -> bool:
        """Whether a media disk is not mounted; said when it goes and when it is back."""
        before = self._missing
        try:
            self._expect_folders()
            self._missing = None
        except UnavailableError as error:
            self._missing = str(error)
        except StorageError as error:
            get_logger().error("the media folders cannot be looked at", error=error)
        if self._missing != before:
            get_logger().warning("media folders", missing=self._missing or "none any more")
        return self._missing is not None

    def _prepared(self) -> StoreError | StorageError | None:
        """Policy and clock as they are now; an error where the database is away: the last known policy holds on."""
        now_us = self._clock.monotonic_us()
        try:
            if self._policy_us is None or now_us - self._policy_us >= _POLICY_FOR_US:
                self._policy = self._evictor.policy()
                self._policy_us = now_us
            self._evictor.watch_clock()
        except (StoreError, StorageError) as error:
            return error
        return None

    def _evict(self) -> StoreError | StorageError | None:
        self._evicted_us = self._clock.monotonic_us()
        try:
            self._evictor.make_room(self._policy)
            self._seen = self._disk()
        except (StoreError, StorageError) as error:
            return error
        return None

    def _is_mine(self, disk: DiskFigures) -> bool:
        """Whether the node evicts by itself now."""
        now_us = self._clock.monotonic_us()
        recently = self._evicted_us is not None and now_us - self._evicted_us < _ASK_AGAIN_US
        if recently and self._evictor.state.nothing_left is not None:
            return False
        return self._is_pressing(disk)

    def _is_pressing(self, disk: DiskFigures) -> bool:
        """Whether the disk is so full, or for so long, that somebody has to do something."""
        since_us = self._due_since_us
        waited = since_us is not None and self._clock.monotonic_us() - since_us >= PATIENCE_US
        return waited or is_critical(self._policy, disk)

    def _cannot(self, disk: DiskFigures, error: StoreError | StorageError) -> None:
        """The database is away, or files cannot be removed: said once, with what it means."""
        if not self._is_pressing(disk):
            self._away = None
            return
        with self._lock:
            said = self._away
            self._away = (
                f"the disk is {disk.used_share:.0%} full and no room can be made: {error}; "
                "recording goes on until it is full"
            )
        if said is None:
            get_logger().error("no room can be made", reason=self._away)
