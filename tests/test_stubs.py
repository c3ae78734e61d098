"""What workflows and the relay call is what the workers register: names, arguments, results, queues, enum values."""

from __future__ import annotations

import typing
from collections.abc import Callable
from enum import StrEnum
from typing import Any, get_args

import pytest
from temporalio import activity, workflow

from activities.clips import ClipActivities
from activities.events import EventActivities
from iris.contracts import activities as stubs
from iris.contracts import events, names
from iris.contracts.workflows import EventWorkflow as EventStub
from iris.domain.event import EndReason, EventState
from iris.domain.segment import GapReason
from workflows.event import EventWorkflow


def defined(container: object) -> dict[str, Callable[..., Any]]:
    """Activities of a module or class by the name that Temporal knows."""
    found = {}
    for value in vars(container).values():
        definition = activity._Definition.from_callable(value) if callable(value) else None
        if definition is not None:
            assert definition.name is not None
            found[definition.name] = value
    return found


IMPLEMENTED = {**defined(EventActivities), **defined(ClipActivities)}


def signature(function: Callable[..., Any]) -> dict[str, Any]:
    return {name: kind for name, kind in typing.get_type_hints(function).items() if name != "self"}


def test_stubs_cover_every_activity_when_compared_by_name() -> None:
    assert defined(stubs).keys() == IMPLEMENTED.keys()


@pytest.mark.parametrize("name", sorted(IMPLEMENTED))
def test_activity_has_the_types_of_its_stub_when_compared(name: str) -> None:
    assert signature(IMPLEMENTED[name]) == signature(defined(stubs)[name])


@pytest.mark.parametrize("name", sorted(IMPLEMENTED))
def test_activity_throws_nothing_into_its_thread_when_cancelled(name: str) -> None:
    definition = activity._Definition.from_callable(IMPLEMENTED[name])
    assert definition is not None
    assert definition.no_thread_cancel_exception


def test_workflow_has_the_types_and_names_of_its_stub_when_compared() -> None:
    stub, real = (workflow._Definition.must_from_class(kind) for kind in (EventStub, EventWorkflow))
    assert stub.name == real.name == names.WORKFLOW_EVENT
    assert stub.signals.keys() == real.signals.keys() == {names.SIGNAL_EVENT_MESSAGE}
    assert signature(EventStub.run) == signature(EventWorkflow.run)
    assert signature(EventStub.message) == signature(EventWorkflow.message)


def test_contract_words_are_the_domains_words_when_compared() -> None:
    words: list[tuple[str, StrEnum]] = [
        (events.STATE_OPEN, EventState.OPEN),
        (events.STATE_CLOSING, EventState.CLOSING),
        (events.STATE_FAILED, EventState.FAILED),
        (events.END_ABANDONED, EndReason.ABANDONED),
        (events.GAP_UNKNOWN, GapReason.UNKNOWN),
    ]
    assert [word for word, _ in words] == [member.value for _, member in words]


def payload_types() -> list[type]:
    return [value for value in vars(events).values() if isinstance(value, type) and value.__module__ == events.__name__]


@pytest.mark.parametrize("kind", payload_types(), ids=lambda kind: kind.__name__)
def test_payload_holds_no_bytes_when_declared(kind: type) -> None:
    """Pixels, vectors and other bulk never cross Temporal; fields that came later have defaults."""

    def parts(hint: Any) -> set[Any]:
        return {hint}.union(*(parts(inner) for inner in get_args(hint)))

    for hint in typing.get_type_hints(kind).values():
        assert parts(hint).isdisjoint({bytes, bytearray, memoryview})
