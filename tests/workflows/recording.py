"""How a path of a workflow is played once for the record."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from temporalio.client import Client, WorkflowHandle

from tests.temporal_env import connect


class Stage(Protocol):
    """Where a workflow plays."""

    @property
    def handle(self) -> WorkflowHandle[Any, Any]:
        """The workflow."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...


S = TypeVar("S", bound=Stage)


def recorded(
    stage_of: Callable[[Client, str, Path], S], case: Callable[[S], Awaitable[None]]
) -> Callable[[str], Awaitable[WorkflowHandle[Any, Any]]]:
    """The case on a stage of its own, in a folder of its own, on the server at an address."""

    async def record(address: str) -> WorkflowHandle[Any, Any]:
        with tempfile.TemporaryDirectory() as folder:
            stage = stage_of(await connect(address), address, Path(folder))
            try:
                await case(stage)
                return stage.handle
            finally:
                stage.close()

    return record
