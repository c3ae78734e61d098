"""The figures of a whole run, written and shown once at its end."""

from __future__ import annotations

import pytest

from tests.bench.figures import Figures
from tests.tree import ROOT

_figures = pytest.StashKey[Figures]()


@pytest.fixture(scope="session")
def figures(pytestconfig: pytest.Config) -> Figures:
    """Where benches leave what they measured."""
    return pytestconfig.stash.setdefault(_figures, Figures())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show the table and write the file, also where a limit was missed."""
    figures = config.stash.get(_figures, None)
    path = figures.write(ROOT / "bench-results") if figures is not None else None
    if figures is not None and path is not None:
        terminalreporter.section(f"figures, appended to {path.relative_to(ROOT)}")
        for line in figures.table():
            terminalreporter.line(line)
