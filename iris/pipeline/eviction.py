"""Removes events by age and for space, on the node that holds their files: row and tombstone first, then the files.

Both the Retention workflow's activity and the node's own space guard work through this, a page at a time under one
lock, each page with the disk measured anew: so never twice as much goes as has to. A crash leaves tombstones that
say which files are still to go; the next pass takes them up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from iris.adapters.disk_room import DiskReserve
from iris.base.errors import StoreError
from iris.base.failpoint import failpoint
from iris.base.ids import NodeId
from iris.base.log import get_logger
from iris.base.timebase import seconds_to_us
from iris.contracts.removal import EventPlace, RemovedEvents
from iris.contracts.retention import EvictedEvents, EvictEvents
from iris.domain.operation import RemovalReason
from iris.domain.storage import DiskFigures
from iris.pipeline.clock_watch import ClockWatch
from iris.pipeline.room_ledger import RoomLedger
from iris.ports import Clock, EventFiles, ProgressSink
from iris.retention.planner import Candidate, most_by_age, plan_removal
from iris.retention.policy import RetentionPolicy
from iris.retention.water import excess_bytes, is_critical, room_is_due
from iris.store.engine import Store
from iris.store.tombstones import Tombstone

PAGE: Final = 100
_SCAN: Final = 500
_AGE_SCAN_EVERY_US: Final = seconds_to_us(600)
# Then a part of a long pass ends, so that none comes near the activity's time-out.
_PART_US: Final = seconds_to_us(120)
_OURS: Final = (RemovalReason.AGE, RemovalReason.SPACE)


class SharedFootage(Protocol):
    """Backups on the disk of the store (implemented by `iris.pipeline.backup.beside`)."""

    def give_back(self) -> bool:
        """Remove the oldest of them; false where there is none."""
        ...

    def is_shared(self, event_id: str, camera_id: str) -> bool:
        """Whether the removal of an event would make no room."""
        ...


@dataclass(frozen=True, slots=True)
class EvictionParts:
    """What an evictor works with.

    Attributes:
        store: The main database.
        node_id: Whose events.
        files: Removes all files of events, for good.
        disk: The disk as it is now.
        reserve: Given back where the database cannot write on a full disk.
        clock: Wall time for tombstones.
        watch: Whether the wall clock counts for ages.
        settings_policy: What holds where no person set anything.
        store_is_ours: Whether it is known by now that database and folder are a pair; nothing goes before.
        shared: Backups on the same disk, which hold the bytes of what is removed; None where there can be none.
    """

    store: Store
    node_id: NodeId
    files: EventFiles
    disk: Callable[[], DiskFigures]
    reserve: DiskReserve
    clock: Clock
    watch: ClockWatch
    settings_policy: RetentionPolicy
    store_is_ours: Callable[[], bool]
    shared: SharedFootage | None = None


@dataclass(frozen=True, slots=True)
class EvictionTotals:
    """What went."""

    age_count: int = 0
    space_count: int = 0
    freed_bytes: int = 0

    def plus(self, other: EvictionTotals) -> EvictionTotals:
        """The sum."""
        return EvictionTotals(
            self.age_count + other.age_count, self.space_count + other.space_count, self.freed_bytes + other.freed_bytes
        )


@dataclass(slots=True)
class EvictionState:
    """What the evictor tells of itself; replaced values only, so that any thread may read."""

    totals: EvictionTotals = field(default_factory=EvictionTotals)
    age_waits: str | None = None
    nothing_left: str | None = None


@dataclass(slots=True)
class _Pass:
    """One pass, or a part of it: until when, and what went so far."""

    operation_id: str | None
    progress: ProgressSink
    until_us: int  # monotonic
    totals: EvictionTotals = field(default_factory=EvictionTotals)
    more: bool = False


class Evictor:
    """One per node; threads share it."""

    def __init__(self, parts: EvictionParts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._age_scanned_us: int | None = None
        self._making_room = False
        self._ledger = RoomLedger(parts.clock)
        self.state = EvictionState()

    def policy(self) -> RetentionPolicy:
        """What holds now.

        Raises:
            StoreError: The database is away, or may be another folder's.
        """
        if not self._parts.store_is_ours():
            raise StoreError("the database was not looked at yet")
        with self._parts.store.reading() as work:
            stored = work.retention.policy()
        return self._parts.settings_policy if stored is None else stored.policy

    def run(self, request: EvictEvents, progress: ProgressSink) -> EvictedEvents:
        """One pass: what a crash left, then by age, then for space. A long one ends early and says `more`.

        Args:
            request: Who asks; a person who confirms vouches for the clock, and for as many as there are.
            progress: Told after each page.

        Raises:
            StoreError: The database is away; what went is complete or will be completed by the next pass.
            StorageError: Files could not be removed; the next pass goes on with them.
        """
        policy = self.policy()
        self.finish_burials()
        if request.confirmed:
            self._parts.watch.confirm()
        if request.operation_id is not None:
            self._ledger.clear()
        this = _Pass(request.operation_id, progress, self._parts.clock.monotonic_us() + _PART_US)
        if request.operation_id is not None or request.confirmed or self.age_scan_is_due(policy):
            self._by_age(policy, this, confirmed=request.confirmed)
        if not this.more:
            self._for_space(policy, this)
        self._say(this.totals)
        notes = (self._parts.watch.doubt if policy.shortest_age_us is not None else None, self.state.age_waits)
        return EvictedEvents(
            this.totals.age_count, this.totals.space_count, this.totals.freed_bytes, this.more,
            tuple(note for note in (*notes, self.state.nothing_left) if note is not None),
        )  # fmt: skip

    def make_room(self, policy: RetentionPolicy, coming_bytes: int = 0) -> EvictionTotals:
        """For space alone, as the node itself does when nobody helped in time.

        Args:
            policy: What holds.
            coming_bytes: What is about to be written; counts as used already.

        Raises:
            StoreError, StorageError: As `run`.
        """
        self.finish_burials()
        this = _Pass(None, _quiet, self._parts.clock.monotonic_us() + _PART_US)
        self._for_space(policy, this, coming_bytes)
        self._say(this.totals)
        return this.totals

    def finish_burials(self) -> int:
        """Remove the files that a crash left between tombstone and unlinking; how many events they were of."""
        with self._lock:
            with self._parts.store.reading() as work:
                waiting = work.tombstones.unburied(node_id=self._parts.node_id)
            stones = [stone for stone in waiting if stone.reason in _OURS]
            self._bury(stones)
        return len(stones)

    def age_scan_is_due(self, policy: RetentionPolicy) -> bool:
        """Whether it is time to look for what is too old: days do not need every minute."""
        if policy.shortest_age_us is None:
            self.state.age_waits = None
            return False
        now_us = self._parts.clock.monotonic_us()
        return self._age_scanned_us is None or now_us - self._age_scanned_us >= _AGE_SCAN_EVERY_US

    @property
    def clock_doubt(self) -> str | None:
        """Why nothing goes by age now, where the clock is the reason."""
        return self._parts.watch.doubt

    def watch_clock(self) -> None:
        """Compare the clocks; keeps what is believed fresh across restarts.

        Raises:
            StoreError: The database is away, and there is no earlier reading to compare with.
        """
        self._parts.watch.look(self._newest_event_us)

    def room_again(self) -> None:
        """The disk is fine: whatever could not be done is over, and the reserve is kept again."""
        self.state.nothing_left = None
        self._parts.reserve.keep()

    def _newest_event_us(self) -> int | None:
        with self._parts.store.reading() as work:
            return work.retention.newest_event_us(self._parts.node_id)

    def _by_age(self, policy: RetentionPolicy, this: _Pass, *, confirmed: bool) -> None:
        self._age_scanned_us = self._parts.clock.monotonic_us()
        if policy.shortest_age_us is None or self._parts.watch.look(self._newest_event_us) is not None:
            return
        now_us = self._parts.clock.wall_us()
        if not confirmed and self._waits_for_a_person(policy, now_us):
            return
        self.state.age_waits = None
        for page in self._expired(policy, now_us):
            with self._lock:
                self._remove(page, RemovalReason.AGE, this)
            self._tell(this)
            if self._time_is_up(this):
                self._age_scanned_us = None
                return

    def _waits_for_a_person(self, policy: RetentionPolicy, now_us: int) -> bool:
        """Whether more is too old than one pass may remove; nothing goes then, and it is said."""
        with self._parts.store.reading() as work:
            total = work.retention.totals(self._parts.node_id).event_count
        most, count = most_by_age(policy, total), 0
        for page in self._expired(policy, now_us):
            count += len(page)
            if count > most:
                waits = (
                    f"more than {most} of {total} events are past their age; "
                    f"one pass removes {policy.confirm_share:.0%} at most until a person confirms"
                )
                if self.state.age_waits is None:
                    get_logger().error("retention by age waits for a confirmation", reason=waits)
                self.state.age_waits = waits
                return True
        return False

    def _expired(self, policy: RetentionPolicy, now_us: int) -> Iterator[list[Candidate]]:
        """Pages of what is too old, oldest first."""
        assert policy.shortest_age_us is not None
        after: tuple[int, str] | None = None
        while True:
            with self._parts.store.reading() as work:
                found = work.retention.removable(
                    self._parts.node_id, limit=_SCAN, before_us=now_us - policy.shortest_age_us, after=after
                )
            going = [one.event for one in plan_removal(policy, found, now_us=now_us, need_bytes=0).going]
            for start in range(0, len(going), PAGE):
                yield going[start : start + PAGE]
            if len(found) < _SCAN:
                return
            after = (found[-1].started_us, found[-1].event_id)

    def _for_space(self, policy: RetentionPolicy, this: _Pass, coming_bytes: int = 0) -> None:
        after: tuple[int, str] | None = None
        began: DiskFigures | None = None
        freed_before = this.totals.freed_bytes
        while began is None or not self._time_is_up(this):
            with self._lock:
                disk = self._projected(coming_bytes)
                # Once begun it goes on down to low water, also where an earlier part was cut off.
                self._making_room = self._making_room or room_is_due(policy, disk)
                need = excess_bytes(policy, disk) if self._making_room else 0
                if need == 0:
                    self._making_room, self.state.nothing_left = False, None
                    self._ledger.clear()
                    return
                shared = self._parts.shared
                if shared is not None and shared.give_back():
                    continue  # footage that only a backup beside the store still holds goes before any event
                if began is None and not self._ledger.may_remove(disk):
                    if self._ledger.in_vain:
                        self._complain(self._ledger.complaint(disk), loudly=True)
                    return
                began = began or disk
                freed = this.totals.freed_bytes - freed_before
                need = min(need, excess_bytes(policy, began) - freed)
                if need <= 0:
                    self._ledger.not_seen(began, freed)
                    return
                with self._parts.store.reading() as work:
                    found = work.retention.removable(self._parts.node_id, limit=PAGE, after=after)
                # Where a backup is being made on this disk, nothing is removed in vain.
                free = [one for one in found if shared is None or not shared.is_shared(one.event_id, one.camera_id)]
                going = [one.event for one in plan_removal(policy, free, now_us=None, need_bytes=need).going]
                self._remove(going, RemovalReason.SPACE, this)
            self._tell(this)
            if len(found) < PAGE and not going:
                self._making_room = False
                self._nothing_left(policy, disk)
                return
            # What was seen and stays, stays for the whole pass; what was not looked at yet may go.
            last = going[-1] if going else found[-1]
            after = (last.started_us, last.event_id)

    def _projected(self, coming_bytes: int) -> DiskFigures:
        disk = self._parts.disk()
        coming = min(coming_bytes, disk.free_bytes)
        return replace(disk, used_bytes=disk.used_bytes + coming, free_bytes=disk.free_bytes - coming)

    def _nothing_left(self, policy: RetentionPolicy, disk: DiskFigures) -> None:
        with self._parts.store.reading() as work:
            totals = work.retention.totals(self._parts.node_id)
        sentence = (
            f"the disk is {disk.used_share:.0%} full and no event is left that may go: "
            f"{totals.held_count} are on hold, {totals.unfinished_count} are not finished"
        )
        self._complain(sentence, loudly=is_critical(policy, disk))

    def _complain(self, sentence: str, *, loudly: bool) -> None:
        if self.state.nothing_left is None:
            (get_logger().error if loudly else get_logger().warning)("no room can be made", reason=sentence)
        self.state.nothing_left = sentence

    def _remove(self, page: Sequence[Candidate], reason: RemovalReason, this: _Pass) -> None:
        """Rows, files, tombstones of a page; the lock is held."""
        if not page:
            return
        event_ids = [event.event_id for event in page]
        try:
            stones = self._entomb(event_ids, reason, this.operation_id)
        except StoreError:
            if not self._parts.reserve.give_back():
                raise
            stones = self._entomb(event_ids, reason, this.operation_id)
        gone = EvictionTotals(
            age_count=len(stones) if reason is RemovalReason.AGE else 0,
            space_count=len(stones) if reason is RemovalReason.SPACE else 0,
            freed_bytes=sum(stone.size_bytes for stone in stones),
        )
        # Counted with the rows: the files go now or by the next pass, but the events are gone for everybody.
        self.state.totals = self.state.totals.plus(gone)
        this.totals = this.totals.plus(gone)
        failpoint("retention.entombed")
        self._bury(stones)

    def _entomb(self, event_ids: Sequence[str], reason: RemovalReason, operation_id: str | None) -> list[Tombstone]:
        with self._parts.store.writing() as work:
            return work.tombstones.entomb(event_ids, reason, self._parts.clock.wall_us(), operation_id=operation_id)

    def _bury(self, stones: Sequence[Tombstone]) -> None:
        if not stones:
            return
        self._parts.files.purge(RemovedEvents(tuple(EventPlace(s.event_id, s.camera_id) for s in stones)), _quiet)
        failpoint("retention.unlinked")
        with self._parts.store.writing() as work:
            work.tombstones.bury([stone.event_id for stone in stones], self._parts.clock.wall_us())

    def _tell(self, this: _Pass) -> None:
        """Progress, for the workflow and for who looks at the operation."""
        gone = this.totals
        this.progress("events removed", gone.age_count + gone.space_count, 0)
        if this.operation_id is not None:
            counts = {"by_age": gone.age_count, "for_space": gone.space_count, "freed_bytes": gone.freed_bytes}
            with self._parts.store.writing() as work:
                now_us = self._parts.clock.wall_us()
                work.operations.progress(this.operation_id, {f"node {self._parts.node_id}": counts}, now_us)

    def _time_is_up(self, this: _Pass) -> bool:
        this.more = self._parts.clock.monotonic_us() >= this.until_us
        return this.more

    def _say(self, totals: EvictionTotals) -> None:
        if totals.age_count or totals.space_count:
            disk = self._parts.disk()
            get_logger().warning(
                "retention removed events", by_age=totals.age_count, for_space=totals.space_count,
                freed_bytes=totals.freed_bytes, disk_used=f"{disk.used_share:.1%}",
            )  # fmt: skip


def _quiet(step: str, done: int, total: int) -> None:
    """Nobody listens."""
