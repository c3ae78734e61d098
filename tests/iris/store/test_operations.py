from __future__ import annotations

import pytest

from iris.base.errors import InputError, NotFoundError
from iris.base.ids import CameraId
from iris.domain.operation import OperationKind, OperationState
from iris.store.engine import Store
from iris.store.operations import OperationDraft, OperationRow
from tests.builders.events import CAMERA_ID, uuid_of

DAY_US = 86_400 * 1_000_000


def draft(number: int, kind: OperationKind = OperationKind.BACKUP, camera_id: str | None = None) -> OperationDraft:
    return OperationDraft(
        operation_id=uuid_of(number, "a"),
        kind=kind,
        workflow_id=f"{kind.value}:{number}",
        camera_id=None if camera_id is None else CameraId(camera_id),
        request={"number": number},
    )


def ask(store: Store, number: int, now_us: int = 0, kind: OperationKind = OperationKind.BACKUP) -> OperationRow:
    with store.writing() as work:
        return work.operations.ask(draft(number, kind, CAMERA_ID), now_us or number)


def test_second_request_joins_the_first_when_it_is_the_same_workflow(store: Store) -> None:
    first = ask(store, 1)
    second = OperationDraft(
        operation_id=uuid_of(2, "a"), kind=first.kind, workflow_id=first.workflow_id, request={"other": True}
    )
    with store.writing() as work:
        assert work.operations.ask(second, 9) == first
        with pytest.raises(NotFoundError):
            work.operations.get(second.operation_id)
    assert (first.state, first.request, first.progress, first.result) == (
        OperationState.REQUESTED, {"number": 1}, {}, None,
    )  # fmt: skip


def test_progress_is_merged_and_ends_with_the_operation(store: Store) -> None:
    operation_id = ask(store, 1).operation_id
    with store.writing() as work:
        work.operations.progress(operation_id, {"events": 1, "step": "rows"}, 5)
        work.operations.progress(operation_id, {"events": 2}, 6)
        row = work.operations.get(operation_id)
        assert (row.state, row.progress, row.updated_us) == (OperationState.RUNNING, {"events": 2, "step": "rows"}, 6)
        done = work.operations.finish(operation_id, 7, result={"events": 3})
        assert (done.state, done.result, done.finished_us) == (OperationState.DONE, {"events": 3}, 7)
        work.operations.progress(operation_id, {"events": 99}, 8)
        assert work.operations.finish(operation_id, 9, result={}, failure="too late") == done
        with pytest.raises(NotFoundError):
            work.operations.progress(uuid_of(9, "a"), {}, 1)


def test_failed_operation_keeps_its_sentence(store: Store) -> None:
    operation_id = ask(store, 1).operation_id
    with store.writing() as work:
        row = work.operations.finish(operation_id, 7, result={}, failure="somebody terminated it")
    assert (row.state, row.failure) == (OperationState.FAILED, "somebody terminated it")


def test_unfinished_are_those_that_may_need_a_start(store: Store) -> None:
    for number in (3, 1, 2):
        ask(store, number)
    with store.writing() as work:
        work.operations.progress(uuid_of(2, "a"), {}, 5)
        work.operations.finish(uuid_of(1, "a"), 5, result={})
        assert [row.operation_id for row in work.operations.unfinished()] == [uuid_of(2, "a"), uuid_of(3, "a")]


def test_page_is_newest_first_and_of_one_kind_when_asked(store: Store) -> None:
    for number in (1, 2, 3):
        ask(store, number)
    ask(store, 4, kind=OperationKind.RETENTION)
    with store.reading() as work:
        first, cursor = work.operations.page(limit=3)
        rest, end = work.operations.page(limit=3, cursor=cursor)
        backups, _ = work.operations.page(kind=OperationKind.BACKUP)
        with pytest.raises(InputError):
            work.operations.page(limit=0)
        with pytest.raises(InputError):
            work.operations.page(cursor="x")
    assert [row.operation_id[-1] for row in first + rest] == ["4", "3", "2", "1"]
    assert (end, len(backups)) == (None, 3)


def test_newest_of_a_camera_is_answered_by_kind(store: Store) -> None:
    ask(store, 1)
    ask(store, 2)
    with store.reading() as work:
        newest = work.operations.of_camera(CameraId(CAMERA_ID), OperationKind.BACKUP)
        assert newest is not None
        assert newest.operation_id == uuid_of(2, "a")
        assert work.operations.of_camera(CameraId(CAMERA_ID), OperationKind.RETENTION) is None


def test_old_operations_are_forgotten_but_for_deletions_of_cameras(store: Store) -> None:
    for number, kind in ((1, OperationKind.BACKUP), (2, OperationKind.CAMERA_DELETION), (3, OperationKind.BACKUP)):
        ask(store, number, kind=kind)
    with store.writing() as work:
        for number in (1, 2):
            work.operations.finish(uuid_of(number, "a"), DAY_US, result={})
        assert work.operations.forget_older(DAY_US) == 0
        assert work.operations.forget_older(DAY_US + 1) == 1
        assert [row.operation_id for row in work.operations.page()[0]] == [uuid_of(3, "a"), uuid_of(2, "a")]
