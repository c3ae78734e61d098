"""What workflows and the relay call is what the workers register: names, arguments, results, queues, enum values."""

from __future__ import annotations

import typing
from collections.abc import Callable
from enum import StrEnum
from typing import Any, get_args

import pytest
from temporalio import activity, workflow

from activities.backup import BackupActivities, NodeBackupActivities
from activities.camera_removal import CameraFootageActivities, CameraRemovalActivities
from activities.clips import ClipActivities
from activities.events import EventActivities
from activities.nodes import NodeAuditActivities, NodeLifeActivities
from activities.operations import OperationActivities
from activities.orphans import OrphanActivities, PurgeActivities
from activities.removal import EventFileActivities, RemovalActivities
from activities.retention import EvictionActivities, RetentionActivities
from iris.contracts import activities as event_activities
from iris.contracts import (
    backup,
    backup_activities,
    camera_removal,
    camera_removal_activities,
    events,
    node,
    node_activities,
    operation_activities,
    operations,
    orphan_activities,
    orphans,
    removal,
    removal_activities,
    retention,
    retention_activities,
)
from iris.contracts import workflows as workflow_stubs
from iris.domain.event import EndReason, EventState
from iris.domain.segment import GapReason
from workers.temporal_worker import WORKFLOWS

# Each family of activities: its stubs, its payloads, and the classes that implement it.
STUBS = (
    event_activities, operation_activities, removal_activities, node_activities, retention_activities,
    backup_activities, orphan_activities, camera_removal_activities,
)  # fmt: skip
PAYLOADS = (events, operations, removal, node, retention, backup, orphans, camera_removal)
CLASSES: tuple[type, ...] = (
    EventActivities, ClipActivities, OperationActivities, RemovalActivities, EventFileActivities,
    NodeAuditActivities, NodeLifeActivities, RetentionActivities, EvictionActivities,
    BackupActivities, NodeBackupActivities, PurgeActivities, OrphanActivities,
    CameraRemovalActivities, CameraFootageActivities,
)  # fmt: skip


def defined(container: object) -> dict[str, Callable[..., Any]]:
    """Activities of a module or class by the name that Temporal knows."""
    found = {}
    for value in vars(container).values():
        definition = activity._Definition.from_callable(value) if callable(value) else None
        if definition is not None:
            assert definition.name is not None
            found[definition.name] = value
    return found


IMPLEMENTED = {name: method for kind in CLASSES for name, method in defined(kind).items()}
DECLARED = {name: stub for module in STUBS for name, stub in defined(module).items()}


def signature(function: Callable[..., Any]) -> dict[str, Any]:
    return {name: kind for name, kind in typing.get_type_hints(function).items() if name != "self"}


def test_stubs_cover_every_activity_when_compared_by_name() -> None:
    assert DECLARED.keys() == IMPLEMENTED.keys()


@pytest.mark.parametrize("name", sorted(IMPLEMENTED))
def test_activity_has_the_types_of_its_stub_when_compared(name: str) -> None:
    assert signature(IMPLEMENTED[name]) == signature(DECLARED[name])


@pytest.mark.parametrize("name", sorted(IMPLEMENTED))
def test_activity_throws_nothing_into_its_thread_when_cancelled(name: str) -> None:
    definition = activity._Definition.from_callable(IMPLEMENTED[name])
    assert definition is not None
    assert definition.no_thread_cancel_exception


def workflow_definition(kind: type) -> Any:
    return workflow._Definition.must_from_class(kind)


@pytest.mark.parametrize("real", WORKFLOWS, ids=lambda kind: kind.__name__)
def test_workflow_has_the_types_and_names_of_its_stub_when_compared(real: type) -> None:
    stub = getattr(workflow_stubs, real.__name__)
    assert workflow_definition(stub).name == workflow_definition(real).name
    assert workflow_definition(stub).signals.keys() == workflow_definition(real).signals.keys()
    assert signature(stub.run) == signature(real.run)  # type: ignore[attr-defined]  # every workflow has it
    for signal in workflow_definition(stub).signals.values():
        name = signal.fn.__name__
        assert signature(getattr(stub, name)) == signature(getattr(real, name))


def test_every_workflow_of_the_stubs_is_registered_when_compared() -> None:
    stubs = [kind for kind in vars(workflow_stubs).values() if isinstance(kind, type)]
    declared = {kind.__name__ for kind in stubs if kind.__module__ == workflow_stubs.__name__}
    assert declared == {kind.__name__ for kind in WORKFLOWS}


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
    return [
        value
        for module in PAYLOADS
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]


@pytest.mark.parametrize("kind", payload_types(), ids=lambda kind: kind.__name__)
def test_payload_holds_no_bytes_when_declared(kind: type) -> None:
    """Pixels, vectors and other bulk never cross Temporal; fields that came later have defaults."""

    def parts(hint: Any) -> set[Any]:
        return {hint}.union(*(parts(inner) for inner in get_args(hint)))

    for hint in typing.get_type_hints(kind).values():
        assert parts(hint).isdisjoint({bytes, bytearray, memoryview})
