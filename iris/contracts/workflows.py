"""Typed stubs of the workflows: what the relay, the api and schedules start."""

from __future__ import annotations

from temporalio import workflow

from iris.contracts import names
from iris.contracts.events import EventMessage, EventOutcome, EventStart


@workflow.defn(name=names.WORKFLOW_EVENT)
class EventWorkflow:
    """One event from its first sign to its verified clip."""

    @workflow.run
    async def run(self, start: EventStart) -> EventOutcome:
        """See `workflows/event.py`."""
        raise NotImplementedError

    @workflow.signal(name=names.SIGNAL_EVENT_MESSAGE)
    def message(self, message: EventMessage) -> None:
        """One outbox row."""
        raise NotImplementedError
