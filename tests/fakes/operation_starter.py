"""Temporal as operations see it, in memory: it can be away, hang, refuse, and forget everything."""

from __future__ import annotations

import asyncio

from iris.base.errors import IrisError
from iris.domain.operation import OperationTask, WorkflowFate, WorkflowReport


class FakeOperationStarter:
    """Implements `iris.ports.OperationStarter`; `reports` says what became of workflows, by their id."""

    def __init__(self) -> None:
        self.started: list[OperationTask] = []
        self.reports: dict[str, WorkflowReport] = {}
        self.error: IrisError | None = None
        self.hangs = False

    async def start(self, task: OperationTask) -> None:
        await self._reach()
        if task.workflow_id not in self.reports:
            self.started.append(task)
            self.reports[task.workflow_id] = WorkflowReport(WorkflowFate.RUNNING)

    async def report(self, workflow_id: str) -> WorkflowReport:
        await self._reach()
        return self.reports.get(workflow_id, WorkflowReport(WorkflowFate.UNKNOWN))

    async def _reach(self) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
