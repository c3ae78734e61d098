"""Processes that Iris starts find the product in whatever folder Iris was started."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from workers.children import product_environment
from workers.parts import Part


@pytest.fixture
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder with a package of the same name as one of the product, as in another checkout."""
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "__init__.py").write_text("raise SystemExit(99)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)


@pytest.mark.usefixtures("_elsewhere")
async def test_part_finds_the_product_when_started_in_another_folder() -> None:
    ended = asyncio.get_running_loop().create_future()
    # -S: also where the product is not installed into the environment.
    part = Part(
        "version", [sys.executable, "-S", "-m", "workers.cli", "version"], {},
        ended=lambda _name, code: None if ended.done() else ended.set_result(code),
    )  # fmt: skip
    task = asyncio.create_task(part.keep_running())
    code = await asyncio.wait_for(ended, 30)
    await part.stop(5)
    await asyncio.wait_for(task, 10)
    assert code == 0


@pytest.mark.usefixtures("_elsewhere")
@pytest.mark.parametrize("module", ["workers.camera", "workers.temporal_binary"])
def test_module_is_found_when_run_in_another_folder(module: str) -> None:
    # Without what they are told to do they end with an error of their own.
    done = subprocess.run(
        [sys.executable, "-m", module], env=product_environment(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "IndexError" in done.stderr
    assert "No module named" not in done.stderr


def test_environment_keeps_the_python_path_that_was_given_when_made_twice() -> None:
    once = product_environment({"PYTHONPATH": "/one"})
    assert product_environment(once) == once
    assert once["PYTHONPATH"].split(os.pathsep)[1:] == ["/one"]
