"""Removing events by age and for space over a real database and real files; what a crash leaves is taken up."""

from __future__ import annotations

import threading

import pytest

from iris.adapters.disk_room import DiskReserve
from iris.base.errors import StorageError, StoreError
from iris.contracts.retention import EvictEvents
from iris.domain.operation import RemovalReason
from iris.retention.policy import AgeRule, RetentionPolicy
from tests.builders.events import CAMERA_ID, NODE_ID, uuid_of
from tests.builders.kept_footage import CLIP_BYTES, KeptFootage


def quiet(step: str, done: int, total: int) -> None:
    """Nobody listens."""


def test_space_is_made_from_the_oldest_down_to_low_water_and_holds_stay(node: KeptFootage) -> None:
    for number in range(1, 91):
        node.keep(number, held=number in (1, 3))
    node.open_event(400, age_days=30)
    gone = node.evictor.run(EvictEvents(), quiet)
    assert (gone.age_count, gone.space_count, gone.freed_bytes) == (0, 10, 10 * CLIP_BYTES)
    assert set(node.tombstones()) == {2, *range(4, 13)}
    assert node.events() == {1, 3, 400, *range(13, 91)}
    assert set(node.tombstones().values()) == {"space"}
    assert node.evictor.run(EvictEvents(), quiet).space_count == 0
    assert node.evictor.state.nothing_left is None


def test_nothing_goes_when_the_disk_is_below_high_water(node: KeptFootage) -> None:
    for number in range(1, 85):
        node.keep(number)
    assert node.evictor.run(EvictEvents(), quiet).space_count == 0
    assert node.tombstones() == {}


def test_only_holds_left_are_said_and_none_of_them_goes(node: KeptFootage) -> None:
    for number in range(1, 91):
        node.keep(number, held=number != 45)
    node.open_event(400, age_days=30)
    node.foreign_bytes = 5 * CLIP_BYTES
    assert node.evictor.run(EvictEvents(), quiet).space_count == 1
    said = node.evictor.state.nothing_left
    assert said is not None
    assert "89 are on hold, 1 are not finished" in said
    assert len(node.events()) == 90
    node.foreign_bytes = -20 * CLIP_BYTES
    node.evictor.run(EvictEvents(), quiet)
    assert node.evictor.state.nothing_left is None


def test_age_goes_by_the_rule_of_each_event_and_never_for_holds_or_open_ones(node: KeptFootage) -> None:
    node.policy = RetentionPolicy(max_age_days=7, rules=(AgeRule(label="car", max_age_days=30),))
    node.restarted()
    node.keep(1, age_days=40, label="car")
    node.keep(2, age_days=20, label="car")
    node.keep(3, age_days=20)
    node.keep(4, age_days=20, held=True)
    node.keep(5, age_days=6.9)
    node.open_event(6, age_days=20)
    gone = node.evictor.run(EvictEvents(node.operation()), quiet)
    assert (gone.age_count, gone.space_count) == (2, 0)
    assert node.tombstones() == {1: "age", 3: "age"}
    assert node.events() == {2, 4, 5, 6}
    with node.store.reading() as work:
        operation = work.operations.get(uuid_of(9, "b"))
        assert {stone.operation_id for stone in work.tombstones.page()[0]} == {operation.operation_id}
    assert operation.progress == {f"node {NODE_ID}": {"by_age": 2, "for_space": 0, "freed_bytes": 2 * CLIP_BYTES}}


def test_policy_of_a_person_beats_the_settings(node: KeptFootage) -> None:
    node.keep(1, age_days=3)
    assert node.evictor.run(EvictEvents(), quiet).age_count == 0
    with node.store.writing() as work:
        work.retention.set_policy(RetentionPolicy(max_age_days=2), 1)
    assert node.evictor.run(EvictEvents(), quiet).age_count == 1


def test_policy_that_cannot_be_read_removes_nothing(node: KeptFootage) -> None:
    for number in range(1, 91):
        node.keep(number)
    with node.store.engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO retention_policy VALUES (1, '{\"future\": 1}', 5)")
    with pytest.raises(StoreError):
        node.evictor.run(EvictEvents(), quiet)
    assert node.tombstones() == {}


def test_more_than_the_share_waits_for_a_person_and_then_goes(node: KeptFootage) -> None:
    node.policy = RetentionPolicy(max_age_days=7, by_space=False)
    node.restarted()
    for number in range(1, 22):
        node.keep(number, age_days=8)
    for number in range(22, 31):
        node.keep(number, age_days=1)
    assert node.evictor.run(EvictEvents(), quiet).age_count == 0
    waits = node.evictor.state.age_waits
    assert waits is not None
    assert "more than 20 of 30" in waits
    assert len(node.events()) == 30
    assert node.evictor.run(EvictEvents(confirmed=True), quiet).age_count == 21
    assert node.evictor.state.age_waits is None
    assert node.events() == set(range(22, 31))


def test_share_lets_the_everyday_removal_through(node: KeptFootage) -> None:
    node.policy = RetentionPolicy(max_age_days=7, by_space=False)
    node.restarted()
    for number in range(1, 21):
        node.keep(number, age_days=8)
    assert node.evictor.run(EvictEvents(), quiet).age_count == 20


@pytest.mark.parametrize("step_h", [2, -2, -472_222, 87_600])
@pytest.mark.parametrize("restarted", [False, True])
def test_clock_that_was_set_removes_nothing_by_age_but_goes_on_for_space(
    node: KeptFootage, step_h: int, restarted: bool
) -> None:
    node.policy = RetentionPolicy(max_age_days=1.05)
    node.restarted()
    for number in range(1, 91):
        node.keep(number)
    node.evictor.watch_clock()
    node.clock.step_wall_us(step_h * 3_600_000_000)
    if restarted:
        node.restarted()
    gone = node.evictor.run(EvictEvents(), quiet)
    assert (gone.age_count, gone.space_count) == (0, 10)
    assert node.evictor.clock_doubt is not None
    assert set(node.tombstones()) == set(range(1, 11))
    node.clock.step_wall_us(-step_h * 3_600_000_000)
    node.evictor.watch_clock()
    assert node.evictor.clock_doubt is None


def test_clock_of_another_boot_removes_nothing_by_age_when_it_is_years_off(node: KeptFootage) -> None:
    node.policy = RetentionPolicy(max_age_days=30)
    node.restarted()
    node.keep(1, age_days=3)
    node.evictor.watch_clock()
    node.boot_id = "boot-2"
    node.clock.step_wall_us(3650 * 86_400_000_000)
    node.restarted()
    assert node.evictor.run(EvictEvents(), quiet).age_count == 0
    assert "more than a week ahead" in (node.evictor.clock_doubt or "")
    assert node.evictor.run(EvictEvents(confirmed=True), quiet).age_count == 1
    node.restarted().watch_clock()
    assert node.evictor.clock_doubt is None


def test_clock_is_compared_with_the_newest_event_when_nothing_is_known(node: KeptFootage) -> None:
    node.policy = RetentionPolicy(max_age_days=30)
    node.restarted()
    node.keep(1, age_days=31)
    node.mark.mark = None
    node.restarted()
    assert node.evictor.run(EvictEvents(), quiet).age_count == 0
    assert "the newest event" in (node.evictor.clock_doubt or "")


def test_age_is_looked_for_every_ten_minutes_unless_a_person_asks(node: KeptFootage) -> None:
    node.policy = RetentionPolicy(max_age_days=7)
    node.restarted()
    assert node.evictor.age_scan_is_due(node.policy)
    node.evictor.run(EvictEvents(), quiet)
    node.keep(1, age_days=8)
    node.clock.advance_s(599)
    assert node.evictor.run(EvictEvents(), quiet).age_count == 0
    assert not node.evictor.age_scan_is_due(node.policy)
    assert node.evictor.run(EvictEvents(node.operation()), quiet).age_count == 1
    node.keep(2, age_days=8)
    node.clock.advance_s(600)
    assert node.evictor.run(EvictEvents(), quiet).age_count == 1


def test_files_that_a_crash_left_go_with_the_next_pass(node: KeptFootage) -> None:
    node.keep(1)
    with node.store.writing() as work:
        work.tombstones.entomb([uuid_of(1)], RemovalReason.SPACE, 5)
    assert list(node.data_dir.glob("recordings/*/*"))
    node.restarted().run(EvictEvents(), quiet)
    assert node.tombstones() == {1: "space"}
    assert node.events() == set()


def test_files_of_what_a_person_deletes_are_left_to_that_operation(node: KeptFootage) -> None:
    node.keep(1)
    with node.store.writing() as work:
        work.tombstones.entomb([uuid_of(1)], RemovalReason.DELETED, 5)
    assert node.evictor.finish_burials() == 0
    assert list(node.data_dir.glob("recordings/*/*"))


def test_files_that_cannot_go_now_go_with_the_next_pass(node: KeptFootage) -> None:
    for number in range(1, 87):
        node.keep(number)
    folder = node.data_dir / "recordings" / CAMERA_ID
    blocked = folder / f"{uuid_of(1)}.mp4"
    blocked.unlink()
    blocked.mkdir()
    with pytest.raises(StorageError):
        node.evictor.run(EvictEvents(), quiet)
    blocked.rmdir()
    node.evictor.run(EvictEvents(), quiet)
    assert 1 in node.tombstones()
    node.events()


def test_two_passes_at_once_remove_no_more_than_one(node: KeptFootage) -> None:
    for number in range(1, 99):
        node.keep(number)
    gone: list[int] = []
    start = threading.Barrier(3)

    def work() -> None:
        start.wait(10)
        gone.append(node.evictor.make_room(node.policy).space_count)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(gone) == 18
    assert len(node.events()) == 80


def test_coming_clip_counts_as_used_already(node: KeptFootage) -> None:
    for number in range(1, 81):
        node.keep(number)
    assert node.evictor.make_room(node.policy).space_count == 0
    assert node.evictor.make_room(node.policy, coming_bytes=10 * CLIP_BYTES).space_count == 10


def test_reserve_is_given_back_when_the_database_cannot_write_on_a_full_disk(node: KeptFootage) -> None:
    reserve = DiskReserve(node.data_dir / "reserve")
    reserve.keep()
    for number in range(1, 91):
        node.keep(number)
    # Refused as on a full disk, as long as the reserve is there.
    real = node.evictor._entomb

    def entomb(*arguments: object) -> object:
        if (node.data_dir / "reserve").exists():
            raise StoreError("the database failed: database or disk is full")
        return real(*arguments)  # type: ignore[arg-type]  # passed through

    node.evictor._entomb = entomb  # type: ignore[method-assign,assignment]  # the failure of a full disk
    assert node.evictor.run(EvictEvents(), quiet).space_count == 10
    assert not (node.data_dir / "reserve").exists()
    node.evictor.room_again()
    assert (node.data_dir / "reserve").stat().st_size >= 4 * 2**20


def test_events_of_other_nodes_stay(node: KeptFootage) -> None:
    for number in range(1, 91):
        node.keep(number)
    with node.store.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE events SET node_id = '{uuid_of(7, 'd')}'")
    assert node.evictor.run(EvictEvents(), quiet).space_count == 0


def test_long_pass_ends_in_parts_that_go_on_where_it_was(node: KeptFootage) -> None:
    node.policy = RetentionPolicy(max_age_days=5)
    node.restarted()
    for number in range(1, 251):
        node.keep(number, age_days=6)

    def slow(step: str, done: int, total: int) -> None:
        node.clock.advance_s(70)

    parts = [node.evictor.run(EvictEvents(confirmed=True), slow)]
    while parts[-1].more:
        parts.append(node.evictor.run(EvictEvents(confirmed=True), slow))
    assert [part.age_count for part in parts] == [200, 50]
    assert node.events() == set()
