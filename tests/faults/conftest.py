"""Fixtures of the fault tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.strikes import Bench, bench
from tests.faults.tracing import need_strace


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder in memory where there is one, so that a forced write costs nothing."""
    memory = Path("/dev/shm")  # the kernel's own
    folder = Path(tempfile.mkdtemp(prefix="iris-faults-", dir=memory if memory.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def memory_path() -> Iterator[Path]:
    """A folder of one test in memory."""
    with in_memory() as folder:
        yield folder


@pytest.fixture(scope="package")
def strike_bench() -> Iterator[Bench]:
    """Steps that can be struck at system calls."""
    need_strace()
    with in_memory() as folder, bench(folder) as made:
        yield made
