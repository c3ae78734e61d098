"""A node with footage, for what removes some of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from iris.store.engine import Store
from tests.builders.kept_footage import KeptFootage


@pytest.fixture
def node(store: Store, tmp_path: Path) -> KeptFootage:
    """Nothing kept yet."""
    return KeptFootage(store, tmp_path)
