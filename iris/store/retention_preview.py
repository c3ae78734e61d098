"""What retention would remove from a node now, and why: the same planner as the real pass, over the same candidates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from iris.base.ids import NodeId
from iris.domain.storage import StorageReport
from iris.retention.planner import Candidate, Going, most_by_age, plan_removal
from iris.retention.policy import RetentionPolicy
from iris.retention.water import excess_bytes, room_is_due
from iris.store.retention import EventTotals, RetentionRepository

_PAGE: Final = 500
# Beyond this a preview says that it counted no further: somebody waits for it.
MOST_LOOKED_AT: Final = 20_000


@dataclass(slots=True)
class Portion:
    """Some events and the bytes of their clips."""

    event_count: int = 0
    size_bytes: int = 0

    def add(self, event: Candidate) -> None:
        """One more."""
        self.event_count += 1
        self.size_bytes += event.size_bytes


@dataclass(slots=True)
class NodePreview:
    """What would happen on one node.

    Attributes:
        totals: All its events, and those that stay whatever happens.
        by_age: Would go because they are too old.
        for_space: Would go because their room is needed.
        waiting: Are too old, but wait: for the clock, or for a person (`report` and `age_waits` say which).
        age_waits: Why a person has to confirm, where the number is the reason.
        first: The first of those that would go, oldest first by kind.
        complete: Whether everything was counted.
    """

    node_id: NodeId
    totals: EventTotals
    by_age: Portion = field(default_factory=Portion)
    for_space: Portion = field(default_factory=Portion)
    waiting: Portion = field(default_factory=Portion)
    age_waits: str | None = None
    first: list[Going] = field(default_factory=list)
    complete: bool = True


def preview_node(
    events: RetentionRepository, node_id: NodeId, policy: RetentionPolicy, report: StorageReport | None, *,
    now_us: int, limit: int,
) -> NodePreview:  # fmt: skip
    """Plan without doing.

    Args:
        events: The candidates.
        node_id: Whose.
        policy: What holds.
        report: The node's disk and clock; None where it says nothing: then only age is planned.
        now_us: Wall time.
        limit: How many events to list.
    """
    preview = NodePreview(node_id, events.totals(node_id))
    expired = _expired(events, preview, policy, now_us)
    suspended = report is not None and report.age_suspended is not None
    most = most_by_age(policy, preview.totals.event_count)
    if len(expired) > most:
        preview.age_waits = f"more than {most} of {preview.totals.event_count} events are past their age"
    if suspended or preview.age_waits is not None:
        for going in expired:
            preview.waiting.add(going.event)
        expired = []
    for going in expired:
        preview.by_age.add(going.event)
    preview.first = expired[:limit]
    if report is not None:
        # The pass measures the disk again once what is too old is gone.
        freed = min(preview.by_age.size_bytes, report.disk.used_bytes)
        used, free = report.disk.used_bytes - freed, report.disk.free_bytes + freed
        disk = replace(report.disk, used_bytes=used, free_bytes=free)
        need = excess_bytes(policy, disk) if room_is_due(policy, disk) else 0
        _for_space(events, preview, policy, need, {going.event.event_id for going in expired}, limit)
    return preview


def _expired(events: RetentionRepository, preview: NodePreview, policy: RetentionPolicy, now_us: int) -> list[Going]:
    if policy.shortest_age_us is None:
        return []
    found: list[Going] = []
    for page in _pages(events, preview, before_us=now_us - policy.shortest_age_us):
        found += plan_removal(policy, page, now_us=now_us, need_bytes=0).going
    return found


def _for_space(
    events: RetentionRepository, preview: NodePreview, policy: RetentionPolicy, need: int, gone: set[str], limit: int
) -> None:
    left = need
    if left <= 0:
        return
    for page in _pages(events, preview):
        rest = [event for event in page if event.event_id not in gone]
        plan = plan_removal(policy, rest, now_us=None, need_bytes=left)
        for going in plan.going:
            preview.for_space.add(going.event)
            if len(preview.first) < limit:
                preview.first.append(going)
        left -= plan.freed_bytes
        if left <= 0:
            return


def _pages(
    events: RetentionRepository, preview: NodePreview, before_us: int | None = None
) -> Iterator[list[Candidate]]:
    after: tuple[int, str] | None = None
    looked_at = 0
    while True:
        page = events.removable(preview.node_id, limit=_PAGE, before_us=before_us, after=after)
        yield page
        looked_at += len(page)
        if len(page) < _PAGE:
            return
        if looked_at >= MOST_LOOKED_AT:
            preview.complete = False
            return
        after = (page[-1].started_us, page[-1].event_id)
