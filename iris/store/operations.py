"""Rows of operations: asked for durably, started by whoever comes first, progress and result for everybody.

The row is the outbox of its workflow: `requested` is committed together with what it changes (a camera marked as
being deleted), the api's start right after it only shortens the wait, and the worker starts what was missed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, delete, select, tuple_, update

from iris.base.errors import NotFoundError
from iris.base.ids import CameraId
from iris.domain.operation import OperationKind, OperationState, OperationTask
from iris.store.cursors import check_limit, decode_cursor, encode_cursor
from iris.store.statements import insert
from iris.store.tables import operations

# In `progress`: where the next page of the work begins. Of the workflow alone, shown to nobody.
PROGRESS_CURSOR: Final = "cursor"
_FINISHED = tuple(state.value for state in OperationState if state.finished)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRow:
    """An operation as the database has it; times are wall time in microseconds.

    `request`, `progress` and `result` are JSON objects of ids, numbers and short texts; nothing in them is secret.
    """

    operation_id: str
    kind: OperationKind
    workflow_id: str
    camera_id: CameraId | None
    state: OperationState
    request: Mapping[str, Any]
    progress: Mapping[str, Any]
    result: Mapping[str, Any] | None
    failure: str | None
    created_us: int
    updated_us: int
    finished_us: int | None

    def task(self) -> OperationTask:
        """What the start of its workflow needs."""
        return OperationTask(self.operation_id, self.kind, self.workflow_id, self.camera_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationDraft:
    """A new operation; a second one with the same workflow id joins the first."""

    operation_id: str
    kind: OperationKind
    workflow_id: str
    camera_id: CameraId | None = None
    request: Mapping[str, Any]


class OperationRepository:
    """Operations over one connection in a transaction; never commits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ask(self, draft: OperationDraft, now_us: int) -> OperationRow:
        """Ask for an operation; where one with its workflow id exists already, that one is the answer."""
        statement = insert(self._connection, operations).values(
            operation_id=draft.operation_id,
            kind=draft.kind.value,
            workflow_id=draft.workflow_id,
            camera_id=draft.camera_id,
            state=OperationState.REQUESTED.value,
            request=json.dumps(draft.request),
            progress="{}",
            created_us=now_us,
            updated_us=now_us,
        )
        self._connection.execute(statement.on_conflict_do_nothing(index_elements=["workflow_id"]))
        return self.by_workflow(draft.workflow_id)

    def get(self, operation_id: str) -> OperationRow:
        """One operation.

        Raises:
            NotFoundError: There is none of this id.
        """
        return self._one(select(operations).where(operations.c.operation_id == operation_id), operation_id)

    def locked(self, operation_id: str) -> OperationRow:
        """One operation that nobody else changes until this transaction ends.

        Raises:
            NotFoundError: There is none of this id.
        """
        query = select(operations).where(operations.c.operation_id == operation_id).with_for_update()
        return self._one(query, operation_id)

    def _one(self, query: Select[Any], operation_id: str) -> OperationRow:
        row = self._connection.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no operation {operation_id}")
        return _domain(row)

    def by_workflow(self, workflow_id: str) -> OperationRow:
        """The operation of a workflow.

        Raises:
            NotFoundError: There is none.
        """
        query = select(operations).where(operations.c.workflow_id == workflow_id)
        row = self._connection.execute(query).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no operation of workflow {workflow_id}")
        return _domain(row)

    def of_camera(self, camera_id: CameraId, kind: OperationKind) -> OperationRow | None:
        """The newest operation of a kind about a camera."""
        query = (
            select(operations)
            .where(operations.c.camera_id == camera_id, operations.c.kind == kind.value)
            .order_by(operations.c.created_us.desc(), operations.c.operation_id.desc())
            .limit(1)
        )
        row = self._connection.execute(query).one_or_none()
        return None if row is None else _domain(row)

    def page(
        self, *, kind: OperationKind | None = None, limit: int = 50, cursor: str | None = None
    ) -> tuple[list[OperationRow], str | None]:
        """Operations newest first, and the cursor of the next page (None at the end).

        Raises:
            InputError: `limit` or `cursor` is not acceptable.
        """
        check_limit(limit)
        key = (operations.c.created_us, operations.c.operation_id)
        query = select(operations).order_by(key[0].desc(), key[1].desc()).limit(limit + 1)
        if kind is not None:
            query = query.where(operations.c.kind == kind.value)
        if cursor is not None:
            query = query.where(tuple_(*key) < tuple_(*decode_cursor(cursor)))
        rows = [_domain(row) for row in self._connection.execute(query)]
        more = len(rows) > limit
        rows = rows[:limit]
        return rows, encode_cursor(rows[-1].created_us, rows[-1].operation_id) if more else None

    def unfinished(self) -> list[OperationRow]:
        """Everything that was asked for and is not finished, oldest first."""
        query = select(operations).where(operations.c.state.not_in(_FINISHED)).order_by(operations.c.created_us)
        return [_domain(row) for row in self._connection.execute(query)]

    def progress(self, operation_id: str, progress: Mapping[str, Any], now_us: int) -> None:
        """It runs, and so far did this; values of other names stay, and so does a finished operation.

        Raises:
            NotFoundError: There is none of this id.
        """
        row = self.locked(operation_id)
        if not row.state.finished:
            self._connection.execute(
                update(operations)
                .where(operations.c.operation_id == operation_id)
                .values(
                    state=OperationState.RUNNING.value,
                    progress=json.dumps({**row.progress, **progress}),
                    updated_us=now_us,
                )
            )

    def finish(
        self, operation_id: str, now_us: int, *, result: Mapping[str, Any], failure: str | None = None
    ) -> OperationRow:
        """Its end, once: done, or failed with a sentence. A second call answers what holds.

        Raises:
            NotFoundError: There is none of this id.
        """
        state = OperationState.DONE if failure is None else OperationState.FAILED
        self._connection.execute(
            update(operations)
            .where(operations.c.operation_id == operation_id, operations.c.state.not_in(_FINISHED))
            .values(
                state=state.value,
                result=json.dumps(result),
                failure=failure,
                updated_us=now_us,
                finished_us=now_us,
            )
        )
        return self.get(operation_id)

    def forget_older(self, before_us: int) -> int:
        """Drop what ended long ago; answers how many. Deletions of cameras stay: they keep late messages away."""
        old = (operations.c.finished_us.is_not(None), operations.c.finished_us < before_us)
        lasting = operations.c.kind == OperationKind.CAMERA_DELETION.value
        return self._connection.execute(delete(operations).where(*old, ~lasting)).rowcount


def _domain(row: Row[Any]) -> OperationRow:
    values = dict(row._mapping)
    values["kind"] = OperationKind(row.kind)
    values["state"] = OperationState(row.state)
    for name in ("request", "progress", "result"):
        values[name] = None if values[name] is None else json.loads(values[name])
    return OperationRow(**values)
