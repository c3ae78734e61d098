"""Sees to it that every operation somebody asked for is started, and ends.

The row of an operation is the outbox of its workflow. The api starts the workflow right after the commit, best
effort; this loop starts what was missed, starts again what Temporal lost with its database, and says so in the row
where a workflow ended without doing it. Runs in the worker process; a second one beside it does no harm.
"""

from __future__ import annotations

import asyncio
from typing import Final

from iris.base.errors import ConfigError, InputError, IrisError
from iris.base.log import get_logger
from iris.base.timebase import seconds_to_us
from iris.domain.operation import OperationState, WorkflowFate
from iris.ports import Clock, IdSource, OperationStarter
from iris.store.engine import Store
from iris.store.operations import OperationRow

_ROUND_S: Final = 3.0
# A workflow that reported lately lives; one that waits for a host reports nothing for long.
_QUIET_S: Final = 15.0
_UPKEEP_S: Final = 3600.0
# Late messages about an event come from outboxes, which keep an event for days at most.
_KEPT_S: Final = 90 * 86_400.0

_SENTENCES: Final = {
    WorkflowFate.COMPLETED: "Its workflow ended without writing a result; ask for it again.",
    WorkflowFate.FAILED: "Its workflow failed; ask for it again.",
    WorkflowFate.TERMINATED: "Somebody terminated its workflow in Temporal; ask for it again.",
    WorkflowFate.CANCELLED: "Somebody cancelled its workflow in Temporal; ask for it again.",
    WorkflowFate.TIMED_OUT: "Its workflow ran out of time; ask for it again.",
}


class OperationKeeper:
    """Over the operations of the main database; belongs to one event loop, the database is asked on threads."""

    def __init__(self, store: Store, starter: OperationStarter, clock: Clock, ids: IdSource) -> None:
        self._store = store
        self._ids = ids
        self._starter = starter
        self._clock = clock
        self._alarm = ""
        self._upkeep_due_us = 0
        self._log = get_logger(part="operations")

    async def run(self) -> None:
        """Look every few seconds, for ever; cancel it to stop."""
        while True:
            try:
                await self.round()
                self._alarm = ""
            except IrisError as error:
                self._say_once(error)
            except Exception as error:  # noqa: BLE001 - the boundary of a task: the next round must come
                self._log.error("operations could not be looked after", error=error, exc_info=True)
            await asyncio.sleep(_ROUND_S)

    async def round(self) -> None:
        """Look at everything that is not finished, once.

        Raises:
            StoreError, UnavailableError, ConfigError: The rest waits for the next round.
        """
        await self._upkeep()
        for row in await asyncio.to_thread(self._unfinished):
            try:
                await self._look_after(row)
            except InputError as error:
                await asyncio.to_thread(self._fail, row, f"Temporal does not accept it: {error}")

    async def _look_after(self, row: OperationRow) -> None:
        now_us = self._clock.wall_us()
        if row.state is OperationState.RUNNING and 0 <= now_us - row.updated_us < seconds_to_us(_QUIET_S):
            return
        report = await self._starter.report(row.workflow_id)
        if report.fate is WorkflowFate.UNKNOWN:
            self._log.info("operation started", kind=row.kind.value, workflow_id=row.workflow_id)
            await self._starter.start(row.task())
        elif report.fate is not WorkflowFate.RUNNING:
            sentence = _SENTENCES[report.fate]
            reason = f" The reason given: {report.reason}" if report.reason else ""
            await asyncio.to_thread(self._fail, row, sentence + reason)

    async def _upkeep(self) -> None:
        """Once an hour: forget what ended long ago, take over what was left undone."""
        if self._clock.monotonic_us() >= self._upkeep_due_us:
            await asyncio.to_thread(self._forget)
            await asyncio.to_thread(self._take_over)
            self._upkeep_due_us = self._clock.monotonic_us() + seconds_to_us(_UPKEEP_S)

    def _unfinished(self) -> list[OperationRow]:
        with self._store.reading() as work:
            return work.operations.unfinished()

    def _fail(self, row: OperationRow, sentence: str) -> None:
        """A workflow writes its result before it ends, so one that ended has written it or never will."""
        with self._store.writing() as work:
            # What was done until then is in the progress, and stays there.
            ended = work.operations.finish(row.operation_id, self._clock.wall_us(), result={}, failure=sentence)
        if ended.failure == sentence:
            self._log.error("operation failed", kind=row.kind.value, workflow_id=row.workflow_id, reason=sentence)

    def _forget(self) -> None:
        before_us = self._clock.wall_us() - seconds_to_us(_KEPT_S)
        with self._store.writing() as work:
            stones, operations = work.tombstones.forget_older(before_us), work.operations.forget_older(before_us)
        if stones or operations:
            self._log.info("forgot what ended long ago", tombstones=stones, operations=operations)

    def _take_over(self) -> None:
        with self._store.writing() as work:
            row = work.removals.take_over_leftovers(self._ids.new_id(), self._clock.wall_us())
        if row is not None:
            count = row.request["leftovers"]
            self._log.warning("files of removed events were left", events=count, workflow_id=row.workflow_id)

    def _say_once(self, error: IrisError) -> None:
        """A Temporal or database that is away is no news every few seconds."""
        kind = type(error).__name__
        if kind != self._alarm:
            self._alarm = kind
            tell = self._log.error if isinstance(error, ConfigError) else self._log.warning
            tell("operations wait", error=error)
