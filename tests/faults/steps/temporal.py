"""Plays Temporal for one process: runs a workflow's own code here, one activity after the other, and remembers.

What an activity answered is on record outside, as in a history, and is not asked for again when the workflow is taken
up by the next start; an activity that was cut off is run again. So the order of steps is the product's own, and a
step costs no server. Payloads pass Temporal's own converter.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.api.common.v1 import Payload
from temporalio.converter import DataConverter
from temporalio.exceptions import ActivityError, ApplicationError, RetryState
from temporalio.testing import ActivityEnvironment

from tests.fakes.clock import SimulatedClock
from tests.faults.steps.said import Said
from workers.temporal_worker import activities_of

# A fault strikes once; what fails more often does not come back by itself.
MOST_ATTEMPTS = 3


class Temporal:
    """Workflows of one site; `families` are the instances whose methods are activities."""

    def __init__(self, said: Said, clock: SimulatedClock, families: Sequence[object]) -> None:
        self._said, self._clock = said, clock
        self._activities = {_definition(method).name: method for method in activities_of(families)}
        self._converter = DataConverter.default.payload_converter
        self._workflow_id = ""
        self._calls: Counter[str] = Counter()

    def run(self, workflow_id: str, code: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run a workflow to its end; the answers of an earlier run are taken as they were."""
        self._workflow_id, self._calls = workflow_id, Counter()
        for name in ("execute_activity", "wait_condition", "sleep", "time_ns", "all_handlers_finished"):
            setattr(workflow, name, getattr(self, f"_{name}"))
        for name in ("upsert_search_attributes", "set_current_details"):
            setattr(workflow, name, lambda *_: None)
        return asyncio.run(code())

    async def _execute_activity(self, stub: Callable[..., Any], argument: Any, **_options: Any) -> Any:
        name = _definition(stub).name or ""
        self._calls[name] += 1
        call = f"{self._workflow_id} {name} {self._calls[name]}"
        known = [values["data"] for values in self._said.all("answered") if values["call"] == call]
        if not known:
            answer = self._attempts(name, argument)
            data = self._converter.to_payloads([answer])[0].SerializeToString().hex()
            self._said.say("answered", call=call, data=data)
            known = [data]
        payload = Payload.FromString(bytes.fromhex(known[0]))
        hint = _definition(self._activities[name]).ret_type
        return self._converter.from_payloads([payload], [hint] if hint is not None else None)[0]

    def _attempts(self, name: str, argument: Any) -> Any:
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                return ActivityEnvironment().run(self._activities[name], argument)
            except ApplicationError as error:
                self._said.say("failed", activity=name, code=error.type, sentence=error.message)
                if error.non_retryable:
                    raise _activity_error(name, RetryState.NON_RETRYABLE_FAILURE) from error
                if attempt == MOST_ATTEMPTS:
                    raise
        raise AssertionError

    async def _wait_condition(self, holds: Callable[[], bool], **_options: Any) -> None:
        if not holds():
            raise TimeoutError  # nobody else is there to make it true

    async def _sleep(self, duration: timedelta, **_options: Any) -> None:
        self._clock.advance_us(duration // timedelta(microseconds=1))

    def _time_ns(self) -> int:
        return self._clock.wall_us() * 1000

    def _all_handlers_finished(self) -> bool:
        return True


def _definition(function: Callable[..., Any]) -> Any:
    return activity._Definition.must_from_callable(function)


def _activity_error(name: str, state: RetryState) -> ActivityError:
    return ActivityError(
        "activity failed", scheduled_event_id=1, started_event_id=2, identity="", activity_type=name, activity_id="1",
        retry_state=state,
    )  # fmt: skip
