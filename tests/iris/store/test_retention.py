"""Policy and candidates in the database, on both kinds; which nodes a pass asks."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from iris.base.errors import NotFoundError, StoreError
from iris.base.ids import EventId, NodeId
from iris.contracts.retention import EvictEvents, RetentionNodes, RetentionStart
from iris.domain.operation import OperationKind
from iris.domain.storage import DiskFigures, StorageReport, storage_report
from iris.retention.policy import AgeRule, RetentionPolicy
from iris.store.engine import Store
from iris.store.operations import OperationDraft
from iris.store.retention import EventTotals, StoredPolicy, policy_from_json
from iris.store.retention_preview import preview_node
from iris.store.retention_records import ALIVE_US, StoreRetentionRecords
from tests.builders.events import CAMERA_ID, NODE_ID, S, event_message, finalise_request, uuid_of
from tests.builders.kept_footage import CLIP_BYTES, KeptFootage
from tests.fakes.clock import SimulatedClock

NODE, OTHER = NodeId(NODE_ID), NodeId(uuid_of(2, "d"))
POLICY = RetentionPolicy(max_age_days=3.5, rules=(AgeRule(max_age_days=None, label="person"),), high_water=0.9)


def keep(store: Store, *numbers: int, node: NodeId = NODE, held: bool = False) -> None:
    with store.writing() as work:
        for number in numbers:
            work.events.finalise(finalise_request(number, node_id=node), 5)
            if held:
                work.holds.put(EventId(uuid_of(number)), "", 5)


def test_policy_comes_back_as_it_was_set_and_the_newest_holds(store: Store) -> None:
    with store.writing() as work:
        assert work.retention.policy() is None
        work.retention.set_policy(RetentionPolicy(), 1)
        work.retention.set_policy(POLICY, 2)
        assert work.retention.policy() == StoredPolicy(POLICY, 2)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rules": [{"days": 3}]}', '{"rules": [], "low_water": 2}'])
def test_policy_that_is_none_is_no_guess(text: str) -> None:
    with pytest.raises(StoreError, match="set it anew"):
        policy_from_json(text)


def test_removable_are_the_finished_ones_without_hold_oldest_first(store: Store) -> None:
    keep(store, 3, 1, 5)
    keep(store, 2, held=True)
    keep(store, 4, node=OTHER)
    with store.writing() as work:
        work.events.record(event_message(6), 5)
        found = work.retention.removable(NODE, limit=10)
        assert [event.event_id for event in found] == [uuid_of(1), uuid_of(3), uuid_of(5)]
        assert (found[0].camera_id, found[0].labels, found[0].size_bytes) == (CAMERA_ID, ("person",), 1000)
        page = work.retention.removable(NODE, limit=2)
        rest = work.retention.removable(NODE, limit=2, after=(page[-1].started_us, page[-1].event_id))
        assert page + rest == found
        seen_us = found[1].last_seen_us
        assert work.retention.removable(NODE, limit=9, before_us=seen_us) == found[:1]
        assert work.retention.removable(NODE, limit=9, before_us=seen_us + 1) == found[:2]
        assert work.retention.totals(NODE) == EventTotals(event_count=5, held_count=1, unfinished_count=1)
        assert work.retention.totals(NodeId(uuid_of(9, "d"))) == EventTotals(0, 0, 0)
        assert work.retention.newest_event_us(NODE) == event_message(6).started_us
        assert work.retention.newest_event_us(NodeId(uuid_of(9, "d"))) is None


def sign(store: Store, clock: SimulatedClock, node: NodeId, *, wants_pass: bool, age_us: int = 0) -> None:
    report = StorageReport(disk=DiskFigures(1, 1), wants_pass=wants_pass)
    with store.writing() as work:
        work.system.node_seen(node, clock.wall_us() - age_us, {"storage": asdict(report)})


def test_plan_asks_the_nodes_that_want_it_or_all_that_live_when_a_person_asked(store: Store) -> None:
    clock = SimulatedClock()
    records = StoreRetentionRecords(store, clock)
    third = NodeId(uuid_of(3, "d"))
    sign(store, clock, NODE, wants_pass=True)
    sign(store, clock, OTHER, wants_pass=False)
    sign(store, clock, third, wants_pass=True, age_us=ALIVE_US + 1)
    assert records.plan(RetentionStart()) == RetentionNodes((NODE_ID,), silent_count=1)
    for number, confirmed in ((1, False), (2, True)):
        draft = OperationDraft(
            operation_id=uuid_of(number, "b"), kind=OperationKind.RETENTION, workflow_id=f"w{number}",
            request={"confirmed": confirmed},
        )  # fmt: skip
        with store.writing() as work:
            work.operations.ask(draft, 1)
        plan = records.plan(RetentionStart(draft.operation_id))
        assert plan == RetentionNodes((NODE_ID, OTHER), silent_count=1, confirmed=confirmed)
    with pytest.raises(NotFoundError):
        records.plan(RetentionStart(uuid_of(9, "b")))


def test_report_of_a_newer_or_older_node_is_read_as_far_as_it_is_understood() -> None:
    report = StorageReport(disk=DiskFigures(3, 1, 2.5), alarm="full", evicted_counts={"age": 1})
    assert storage_report(asdict(report)) == report
    assert storage_report({**asdict(report), "of_the_future": 1}) == report
    assert storage_report({"disk": asdict(report.disk)}) == StorageReport(report.disk)
    for odd in (None, 5, {}, {"disk": None}, {"disk": {"used": 1}}):
        assert storage_report(odd) is None


def test_preview_stops_counting_where_a_person_would_wait_too_long(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iris.store.retention_preview.MOST_LOOKED_AT", 1)
    monkeypatch.setattr("iris.store.retention_preview._PAGE", 2)
    keep(store, *range(1, 6))
    now_us = event_message(9).started_us + 40 * 86_400 * S
    policy = RetentionPolicy(max_age_days=1)
    with store.reading() as work:
        preview = preview_node(work.retention, NODE, policy, None, now_us=now_us, limit=5)
    assert (preview.by_age.event_count, preview.complete) == (2, False)


@pytest.mark.parametrize(("clips_of_disk", "planned"), [(10, {1: "age", 3: "age", 2: "space", 4: "space", 5: "space"}),
                                                        (12, {1: "age", 3: "age"})])  # fmt: skip
def test_preview_is_what_the_pass_then_does(
    store: Store, tmp_path: Path, clips_of_disk: int, planned: dict[int, str]
) -> None:
    rules = (AgeRule(label="car", max_age_days=9),)
    policy = RetentionPolicy(max_age_days=5, rules=rules, high_water=0.8, low_water=0.5)
    footage = KeptFootage(store, tmp_path, policy, disk_bytes=clips_of_disk * CLIP_BYTES)
    for number, days in enumerate((10, 8, 6, 4, 3, 3, 3, 3, 3, 3)):
        footage.keep(number + 1, age_days=days - number / 100, label="car" if days == 8 else "person")
    report = StorageReport(disk=footage.disk())
    now_us = footage.clock.wall_us()
    with store.reading() as work:
        preview = preview_node(work.retention, NODE, policy, report, now_us=now_us, limit=10)
    assert {int(going.event.event_id[-12:], 16): going.reason.value for going in preview.first} == planned
    assert preview.by_age.event_count + preview.for_space.event_count == len(planned)
    footage.evictor.run(EvictEvents(confirmed=True), lambda step, done, total: None)
    assert footage.tombstones() == planned
