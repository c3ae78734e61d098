"""GPU memory: read from the driver's program, absent where anything is odd."""

from __future__ import annotations

import doctest
import os
from pathlib import Path

import pytest

from iris.adapters import gpu
from iris.adapters.gpu import NvidiaSmi
from iris.domain.status import GpuMemory


def _program(folder: Path, script: str) -> str:
    path = folder / "smi"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 100, 15360", GpuMemory(100, 15360)),
        ("echo 100, 15360; echo 7, 8", GpuMemory(100, 15360)),
        ("echo '[N/A], [N/A]'", None),
        ("echo no devices were found; exit 6", None),
        ("exit 0", None),
    ],
)
def test_memory_is_what_the_program_says(tmp_path: Path, script: str, expected: GpuMemory | None) -> None:
    assert NvidiaSmi(_program(tmp_path, script)).memory() == expected


def test_memory_is_absent_when_there_is_no_program(tmp_path: Path) -> None:
    assert NvidiaSmi(os.fspath(tmp_path / "none")).memory() is None


def test_examples_hold_when_run_as_doctests() -> None:
    assert doctest.testmod(gpu).failed == 0
