"""An event that was released while its row is open: a removal of its camera explains it, and only while it is open."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.adapters.clock import SystemClock
from iris.domain.operation import OperationKind
from tests.builders.events import uuid_of
from tests.workers.test_check_command import Copy, failing, template

assert template  # the fixture that builds the place once

RELEASED = f"event {uuid_of(1)} was released, but its row is open"


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Iterator[Copy]:
    shutil.copytree(template, tmp_path / "data")
    copy = Copy(tmp_path / "data")
    copy.sql(f"UPDATE events SET state = 'open', finalised_us = NULL WHERE event_id = '{uuid_of(1)}'")
    yield copy
    copy.store.close()


@pytest.mark.parametrize("failure", [None, "somebody ended it"])
def test_released_event_is_explained_only_while_a_removal_of_its_camera_is_open(
    place: Copy, failure: str | None
) -> None:
    place.add_camera(deleting_us=1)
    operation_id = place.ask_operation(OperationKind.CAMERA_DELETION)
    assert failing(place.check()) == {}
    with place.store.writing() as work:
        work.operations.finish(operation_id, SystemClock().wall_us(), result={}, failure=failure)
    assert RELEASED in failing(place.check())["deadline"]


def test_released_event_is_a_problem_while_only_another_camera_is_removed(place: Copy) -> None:
    place.add_camera()
    place.ask_operation(OperationKind.BACKUP)
    place.ask_operation(OperationKind.CAMERA_DELETION)
    place.sql(f"UPDATE operations SET camera_id = '{uuid_of(2, 'c')}' WHERE camera_id IS NOT NULL")
    assert failing(place.check()) == {"deadline": (RELEASED,)}
