"""What a family of faults did and found: one line for people, one line of JSON for the report.

The short form is what `make test` runs, the long one (`IRIS_FAULT_FORM=long`) what `make faults` does.
`IRIS_FAULT_ROUNDS` and `IRIS_FAULT_SEED` override number and seed, so that a run can be played again.
"""

from __future__ import annotations

import json
import math
import os
import platform
import random
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from iris.adapters.clock import SystemClock
from tests.tree import ROOT

RESULTS = ROOT / "faults-results"
_MISSED_SHARE = 0.05  # the bound holds with 95 % confidence

T = TypeVar("T")

# The lines of this test process, for its last page.
said: list[str] = []


def is_long() -> bool:
    """Whether this is the long form."""
    return os.environ.get("IRIS_FAULT_FORM") == "long"


def by_form(short: T, long: T) -> T:
    """One of two values, by the form."""
    return long if is_long() else short


def rounds(short: int, long: int) -> int:
    """How many rounds to run."""
    return int(os.environ.get("IRIS_FAULT_ROUNDS") or by_form(short, long))


def new_seed() -> int:
    """The seed to play again, or a new one."""
    given = os.environ.get("IRIS_FAULT_SEED")
    return int(given) if given else random.SystemRandom().randrange(10**6)


def upper_bound(failures: int, count: int) -> float:
    """Upper 95 % bound of a rate after `failures` in `count` independent rounds; 1 where nothing was tried.

    None failed: 3 / n. Else Clopper and Pearson: the rate at which so few failures come in 5 % of all runs.

    >>> upper_bound(0, 200), round(upper_bound(1, 50), 4), upper_bound(5, 5)
    (0.015, 0.0914, 1.0)
    """
    if failures >= count:
        return 1.0
    if failures == 0:
        return min(1.0, 3 / count)
    low, high = failures / count, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        at_most = sum(math.comb(count, k) * middle**k * (1 - middle) ** (count - k) for k in range(failures + 1))
        low, high = (middle, high) if at_most > _MISSED_SHARE else (low, middle)
    return high


@dataclass(slots=True)
class Ledger:
    """One run of a family; a context manager that prints its line and appends it to `faults-results/`.

    A round that failed is counted by whoever saw it (`failed`); an exception counts as one more.

    Args:
        family: As in the catalogue: `R1`.
        title: What is done, in a few words.
        unit: What `rounds` counts.
    """

    family: str
    title: str
    unit: str = "rounds"
    seed: int = field(default_factory=new_seed)
    rounds: int = 0
    failures: int = 0
    events: int = 0
    lost: int = 0
    duplicates: int = 0
    violations: int = 0
    samples: dict[str, list[float]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    _began_s: float = field(default_factory=time.monotonic)

    @property
    def random(self) -> random.Random:
        """A generator that starts with the seed; take it once."""
        return random.Random(self.seed)

    def sample(self, name: str, value: float) -> None:
        """One measured value; `name` ends with its unit."""
        self.samples.setdefault(name, []).append(value)

    def failed(self, lost: int = 0, duplicates: int = 0, violations: int = 0) -> None:
        """Count what must not be."""
        self.lost, self.duplicates, self.violations = (
            self.lost + lost, self.duplicates + duplicates, self.violations + violations,
        )  # fmt: skip
        self.failures += lost + duplicates + violations

    def line(self) -> str:
        """What is printed."""
        count = max(self.rounds, self.failures)
        bound = f"95 % bound {100 * upper_bound(self.failures, count):.3g} %"
        parts = [
            f"{self.family} {self.title}: n={self.rounds} {self.unit}, {self.failures} failures",
            f"seed {self.seed}, {bound}",
            f"{self.events} events, {self.lost} lost, {self.duplicates} duplicate, {self.violations} violations",
            *(f"{name} {_spread(values)}" for name, values in self.samples.items()),
            *(f"{name} {value}" for name, value in self.facts.items()),
            f"{time.monotonic() - self._began_s:.0f} s",
        ]
        return "; ".join(parts)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None and self.failures == 0:
            self.failures = 1
        print(f"\n{self.line()}", flush=True)
        said.append(self.line())
        self._append()

    def _append(self) -> None:
        now = datetime.fromtimestamp(SystemClock().wall_us() / 1e6, UTC)
        entry = {
            "family": self.family, "title": self.title, "form": by_form("short", "long"), "unit": self.unit,
            "rounds": self.rounds, "failures": self.failures, "seed": self.seed,
            "bound": upper_bound(self.failures, max(self.rounds, self.failures)),
            "events": self.events, "lost": self.lost, "duplicates": self.duplicates, "violations": self.violations,
            "samples": {name: asdict(Spread.of(values)) for name, values in self.samples.items()},
            "facts": self.facts, "seconds": round(time.monotonic() - self._began_s, 1),
            "ended_at": now.isoformat(timespec="seconds"), "revision": _revision(),
            "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "load": round(os.getloadavg()[0], 1)},
        }  # fmt: skip
        RESULTS.mkdir(exist_ok=True)
        with (RESULTS / f"{now.date().isoformat()}.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")


@dataclass(frozen=True, slots=True)
class Spread:
    """How measured values lie."""

    count: int
    median: float
    p95: float
    worst: float

    @staticmethod
    def of(values: list[float]) -> Spread:
        """Of at least one value."""
        ordered = sorted(values)
        p95 = ordered[min(len(ordered) - 1, math.ceil(0.95 * len(ordered)) - 1)]
        return Spread(len(ordered), round(statistics.median(ordered), 3), round(p95, 3), round(ordered[-1], 3))


def _spread(values: list[float]) -> str:
    spread = Spread.of(values)
    return f"median {spread.median:.2f} p95 {spread.p95:.2f} worst {spread.worst:.2f} (n={spread.count})"


def _revision() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def read_results(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Every line that was ever appended, oldest first."""
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]
