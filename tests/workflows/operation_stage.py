"""What the stages of workflows have in common that a person may ask for: the operation, the workflow, its result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from temporalio.client import Client, WorkflowHandle

from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.operation_starter import TemporalOperationStarter
from iris.adapters.temporal import TemporalLink
from iris.contracts.names import operation_workflow_id
from iris.contracts.operations import JsonObject
from iris.domain.operation import OperationKind
from iris.store.engine import Store
from iris.store.operations import OperationDraft, OperationRow

R = TypeVar("R")


class OperationStage(Generic[R]):
    """One operation on a database; its ids are its own, so that tests share a Temporal server."""

    def __init__(
        self, client: Client, address: str, store: Store, kind: OperationKind, run: Callable[..., Awaitable[R]]
    ) -> None:
        self.client = client
        self.store = store
        self.operation_id = Uuid7Source().new_id()
        self.workflow_id = operation_workflow_id(kind.value, self.operation_id)
        self.link = TemporalLink(address, identity="iris-test")
        self.starter = TemporalOperationStarter(self.link)
        self._kind = kind
        self._run: Any = run

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def ask_for(self, request: JsonObject) -> OperationRow:
        """Ask for the operation, as the api does."""
        draft = OperationDraft(
            operation_id=self.operation_id, kind=self._kind, workflow_id=self.workflow_id, request=request
        )
        with self.store.writing() as work:
            return work.operations.ask(draft, SystemClock().wall_us())

    async def start_asked_or(self, start: object) -> None:
        """By the operation if there is one, else as a schedule does, with what it hands over."""
        with self.store.reading() as work:
            asked = {row.operation_id: row for row in work.operations.unfinished()}.get(self.operation_id)
        if asked is not None:
            await self.starter.start(asked.task())
            return
        await self.client.start_workflow(self._run, start, id=self.workflow_id, task_queue="iris")

    @property
    def operation(self) -> OperationRow:
        """The operation now."""
        with self.store.reading() as work:
            return work.operations.get(self.operation_id)

    @property
    def handle(self) -> WorkflowHandle[Any, R]:
        """The workflow."""
        return self.client.get_workflow_handle_for(self._run, self.workflow_id)

    async def result(self, seconds: float = 60.0) -> R:
        """The workflow's result."""
        async with asyncio.timeout(seconds):
            return await self.handle.result()
