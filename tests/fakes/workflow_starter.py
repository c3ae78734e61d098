"""A Temporal in memory: it can be away, forget everything, refuse some events or not let anybody in."""

from __future__ import annotations

from iris.base.errors import ConfigError, InputError, UnavailableError
from iris.contracts.events import EventMessage


class FakeStarter:
    """Implements `iris.ports.WorkflowStarter`; `delivered` lists what it acknowledged."""

    def __init__(self) -> None:
        self.delivered: list[EventMessage] = []
        self.calls = 0
        self.away = False
        self.locked_out = False
        self.refused: set[str] = set()
        self.busy: set[str] = set()
        self.known: set[str] = set()

    async def deliver(self, message: EventMessage) -> None:
        self.calls += 1
        self._reach()
        if message.event_id in self.refused:
            raise InputError("Temporal refused it: too large")
        if message.event_id in self.busy:
            raise UnavailableError("Temporal cannot be reached now: resource exhausted")
        self.known.add(message.event_id)
        self.delivered.append(message)

    async def knows(self, event_id: str) -> bool:
        self._reach()
        return event_id in self.known

    def forget_everything(self) -> None:
        self.known.clear()
        self.delivered.clear()

    def kinds(self, event_id: str) -> list[str]:
        return [message.kind for message in self.delivered if message.event_id == event_id]

    def _reach(self) -> None:
        if self.locked_out:
            raise ConfigError("Temporal does not let Iris in: permission denied")
        if self.away:
            raise UnavailableError("Temporal cannot be reached now")
