"""The events of a main database, in memory, with its rules: terminal stays, sequence numbers never fall."""

from __future__ import annotations

import threading

from iris.base.errors import IrisError
from iris.contracts.events import EventMessage, FinaliseEvent, RecordedEvent

TERMINAL = ("ready", "partial", "failed", "deleted")


class FakeEventRecords:
    """Implements `iris.ports.EventRecords`; `errors` are raised, one per call, before anything else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.states: dict[str, str] = {}
        self.messages: list[EventMessage] = []
        self.finalised: list[FinaliseEvent] = []
        self.errors: list[IrisError] = []

    def record(self, message: EventMessage) -> RecordedEvent:
        with self._lock:
            self._fail()
            state = self.states.get(message.event_id, "open")
            if state not in TERMINAL:
                self.messages.append(message)
                state = "closing" if message.kind == "closed" else "open"
                self.states[message.event_id] = state
            return RecordedEvent(state=state, terminal=state in TERMINAL)

    def finalise(self, request: FinaliseEvent) -> RecordedEvent:
        with self._lock:
            self._fail()
            state = self.states.get(request.message.event_id, "open")
            if state not in TERMINAL:
                self.finalised.append(request)
                state = self.states[request.message.event_id] = request.clip.state
            return RecordedEvent(state=state, terminal=True)

    def _fail(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
