"""Drives the steps of `tests.faults.steps` from outside: in order, or struck at one system call."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.faults import tracing
from tests.faults.tracing import Strike
from tests.tree import ROOT


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step works, what it said, and below which folder its files lie (several disks may be there)."""

    root: Path
    data_dir: Path
    said: Path


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended: `signal` 0 where nobody killed it, and what it answered; `trace` where it was traced."""

    signal: int
    failed: bool
    answer: Any
    trace: str = ""


class Stepper:
    """A loaded server of steps; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "steps.log"

    def __enter__(self) -> Self:
        environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        environment["OPENBLAS_NUM_THREADS"] = "1"  # a forked child must not miss threads of its parent
        self._log_file = self._log.open("ab")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.steps.server"], cwd=ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log_file,
        )  # fmt: skip
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(10)
        self._log_file.close()

    def do(self, step: str, phase: str, place: Place) -> Any:
        """A phase from start to end; its answer.

        Raises:
            AssertionError: It failed.
        """
        self._ask(step, phase, place, stopped=False)
        outcome = self._outcome("")
        if outcome.failed or outcome.signal:
            raise AssertionError(f"{phase} of {step}: signal {outcome.signal}\n{outcome.answer}\n{self.log()[-2000:]}")
        return outcome.answer

    def traced(self, step: str, phase: str, place: Place, names: Collection[str], strike: Strike | None) -> Outcome:
        """A phase with its calls written down, and one of them struck where asked for."""
        pid = self._ask(step, phase, place, stopped=True)
        output = self._folder / "trace"
        output.unlink(missing_ok=True)
        tracer = subprocess.Popen(
            tracing.command(pid, output, names, strike), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        assert tracer.stderr is not None
        attached = tracer.stderr.readline()
        os.kill(pid, signal.SIGCONT)
        outcome = self._outcome("")
        tracer.stderr.read()
        tracer.wait(20)
        assert "attached" in attached, attached
        return Outcome(outcome.signal, outcome.failed, outcome.answer, output.read_text("utf-8", "replace"))

    def log(self) -> str:
        """What the children logged."""
        return self._log.read_text("utf-8", "replace")

    def _ask(self, step: str, phase: str, place: Place, *, stopped: bool) -> int:
        job = {"step": step, "phase": phase, "data_dir": str(place.data_dir), "said": str(place.said)}
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps({**job, "stopped": stopped}) + "\n")
        self._server.stdin.flush()
        return int(self._line()["pid"])

    def _outcome(self, trace: str) -> Outcome:
        told = self._line()
        status = int(told["status"])
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        answer = json.loads(told["answer"]) if told["answer"] else None
        return Outcome(killed, not killed and os.WEXITSTATUS(status) != 0, answer, trace)

    def _line(self) -> dict[str, Any]:
        assert self._server.stdout is not None
        line = self._server.stdout.readline()
        if not line:
            raise AssertionError(f"the server of steps ended: {self.log()[-3000:]}")
        told: dict[str, Any] = json.loads(line)
        return told


def plain_place(folder: Path) -> Place:
    """A folder of the machine's own disk."""
    return Place(folder, folder / "data", folder / "said")


def copy_place(template: Place, folder: Path) -> Place:
    """A prepared place again, hard links as hard links."""
    shutil.rmtree(folder, ignore_errors=True)
    copy_tree([template.root], folder)
    return plain_place(folder)


def copy_tree(sources: Sequence[Path], target: Path) -> None:
    """Copy folders and files, all at once, so that hard links between them stay links; `target` may be new."""
    subprocess.run(["cp", "-a", *(str(source) for source in sources), str(target)], check=True)
