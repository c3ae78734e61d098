"""Figures of one run of `make bench`: kept with the facts of the machine, written to a file, shown as a table."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil

from iris.adapters.clock import SystemClock

LIBRARIES = ("av", "numpy", "opencv-python-headless", "onnxruntime", "sqlalchemy", "temporalio", "fastapi", "uvicorn")


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `most` is what the requirements allow, `details` what was counted beside it."""

    name: str
    value: float
    unit: str
    most: float | None = None
    details: dict[str, object] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """`ok` or `missed` against the limit; empty where there is none."""
        if self.most is None:
            return ""
        return "ok" if self.value <= self.most else "missed"


class Figures:
    """Takes figures while benches run."""

    def __init__(self) -> None:
        self._began = datetime.fromtimestamp(SystemClock().wall_us() / 1e6, UTC)
        self._machine = machine_facts()
        self._figures: list[Figure] = []

    def add(self, name: str, value: float, unit: str, *, most: float | None = None, **details: object) -> Figure:
        """Keep one figure; the test itself asserts that it is within `most`."""
        figure = Figure(name, round(value, 4), unit, most, details)
        self._figures.append(figure)
        return figure

    def write(self, folder: Path) -> Path | None:
        """Append this run to the file of its day; None where nothing was measured."""
        if not self._figures:
            return None
        folder.mkdir(exist_ok=True)
        path = folder / f"{self._began.date().isoformat()}.json"
        runs = json.loads(path.read_text()) if path.exists() else []
        runs.append(
            {
                "began_at": self._began.isoformat(timespec="seconds"),
                "machine": self._machine,
                "figures": [asdict(figure) | {"verdict": figure.verdict} for figure in self._figures],
            }
        )
        path.write_text(json.dumps(runs, indent=1, default=str) + "\n")
        return path

    def table(self) -> list[str]:
        """Lines of Markdown."""
        lines = [" | ".join(f"{key}: {value}" for key, value in self._machine.items()), ""] if self._figures else []
        lines += ["| figure | measured | limit | | counted |", "|---|---|---|---|---|"] if self._figures else []
        for figure in self._figures:
            limit = "" if figure.most is None else f"<= {figure.most:g} {figure.unit}"
            counted = ", ".join(f"{key} {value}" for key, value in figure.details.items())
            lines.append(
                f"| {figure.name} | {figure.value:.3g} {figure.unit} | {limit} | {figure.verdict} | {counted} |"
            )
        return lines


def machine_facts() -> dict[str, object]:
    """What a reader needs to compare figures of two machines."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "ffmpeg": subprocess.run(["ffmpeg", "-version"], capture_output=True, text=True, check=True).stdout.split()[2],
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "load_average_at_start": [round(load, 2) for load in os.getloadavg()],
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
