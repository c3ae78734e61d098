"""strace as a fault injector: which system calls a step makes on its files, and the step with one of them struck.

`strace` counts the calls of each name and thread on its own; a `Call` is therefore a name and a number. Needs strace
4.16 or newer and the right to trace.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.assets import skip_or_fail

# What makes or unmakes a name, or forces something to the disk.
DURABLE = (
    "fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat",
    "mkdir", "mkdirat", "rmdir", "truncate", "ftruncate",
)  # fmt: skip
FORCING = ("fsync", "fdatasync")
# What a full disk can refuse. Of `openat` only calls that make a file count.
GROWING = (
    "write", "pwrite64", "writev", "fsync", "fdatasync", "rename", "renameat", "renameat2", "link", "linkat", "mkdir",
    "mkdirat", "ftruncate", "openat",
)  # fmt: skip
_CALL = re.compile(r"^(\d+)\s+(\w+)\((.*)$")


def need_strace() -> None:
    """Skip (fail under CI=true) where nothing can be traced."""
    if shutil.which("strace") is None:
        skip_or_fail("faults at system calls need strace; install it")
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        skip_or_fail("faults at system calls need the right to trace processes; run the tests as root")


@dataclass(frozen=True, slots=True)
class Call:
    """The `number`-th call of this name, as it was written down when nothing was struck."""

    name: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.name} {self.number} ({self.text})"


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens at a call: `signal=SIGKILL` before it takes place, or `error=...` in its place."""

    name: str
    number: int
    effect: str


def command(pid: int, output: Path, names: Iterable[str], strike: Strike | None) -> list[str]:
    """The command that traces a stopped process and all its threads."""
    traced = ",".join(f"?{name}" for name in names)
    found = ["strace", "-f", "-y", "-s", "32", "-p", str(pid), "-o", str(output), "-e", f"trace={traced}"]
    if strike is not None:
        found += ["-e", f"inject={strike.name}:{strike.effect}:when={strike.number}"]
    return found


def calls_on(output: str, root: Path, names: Sequence[str]) -> list[Call]:
    """The calls of a trace that touch files below `root`, in order."""
    counts: Counter[tuple[str, str]] = Counter()
    found: dict[tuple[str, int], Call] = {}
    for line in output.splitlines():
        match = _CALL.match(line)
        if match is None or match[2] not in names:
            continue
        pid, name, rest = match.groups()
        counts[pid, name] += 1
        makes = name != "openat" or "O_CREAT" in rest
        if makes and str(root) in rest:
            number = counts[pid, name]
            found.setdefault((name, number), Call(name, number, rest.replace(str(root), "")[:100]))
    return list(found.values())
