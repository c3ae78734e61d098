"""The server that all workflow tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.temporal_env import running_server


@pytest.fixture(scope="session")
def temporal_address() -> Iterator[str]:
    """A real Temporal server that keeps nothing, started when a test first asks for it."""
    with running_server() as address:
        yield address
