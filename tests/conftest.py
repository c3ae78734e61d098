"""What holds for every test: no traffic beyond this machine, no child process left, no silent skip.

Runs once in each test process. Fixtures live beside the tests that use them; a database is what most of them use.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import psutil
import pytest

from iris.store.engine import Store, open_store, sqlite_url
from iris.store.migrate import migrate
from tests.faults import ledger

# A busy machine is no failure: benches measure time, tests do not.
hypothesis.settings.register_profile("iris", deadline=None)
hypothesis.settings.load_profile("iris")

# Native code (FFmpeg, gRPC) does not pass here; Python's own sockets do.
_GUARDED_EVENTS = ("socket.connect", "socket.sendto")
_foreign_addresses: list[str] = []
_left_behind: list[str] = []


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    if event in _GUARDED_EVENTS and _is_foreign(arguments[1]):
        _foreign_addresses.append(str(arguments[1]))
        raise PermissionError(f"a test may only talk to this machine, not to {arguments[1]}")


def _is_foreign(address: object) -> bool:
    if not isinstance(address, tuple):
        return False  # A Unix socket's path.
    host = str(address[0]).partition("%")[0]
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return host not in ("localhost", "")
    return not (parsed.is_loopback or parsed.is_unspecified)


sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def _only_this_machine() -> Iterator[None]:
    """Fail the test also where it swallowed the refusal."""
    _foreign_addresses.clear()
    yield
    assert _foreign_addresses == [], "a test may only talk to this machine"


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database at the head, migrated once; to be copied."""
    path = tmp_path_factory.mktemp("migrated") / "vms.db"
    migrate(sqlite_url(path))
    return path


@pytest.fixture
def store(migrated_file: Path, tmp_path: Path) -> Iterator[Store]:
    """A main database of the test's own, empty, as `vms.db` in its folder."""
    shutil.copy(migrated_file, tmp_path / "vms.db")
    opened = open_store(sqlite_url(tmp_path / "vms.db"))
    yield opened
    opened.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI=true nothing may be skipped: a machine that cannot run a test proves nothing."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped under CI=true: {_reason(report)}"
    return report


def _reason(report: pytest.TestReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return text.removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List at the end what each family of faults did, what was not run, and the line that makes it run."""
    if ledger.said:
        terminalreporter.section(f"faults, appended to {ledger.RESULTS.name}/")
        for line in ledger.said:
            terminalreporter.line(line)
    reasons = sorted({_reason(report) for report in terminalreporter.stats.get("skipped", [])})
    if reasons:
        terminalreporter.section("not run on this machine")
        for reason in reasons:
            terminalreporter.line(reason)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Every process that a test started has ended with it."""
    # Where test processes ran the tests, they have looked after their own.
    if session.config.getoption("dist", "no") == "no" or hasattr(session.config, "workeroutput"):
        left = [_describe(child) for child in psutil.Process().children(recursive=True)]
        # The tracker of multiprocessing's shared memory ends with this process.
        _left_behind.extend(text for text in left if text and "resource_tracker" not in text)
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput |= {"left_behind": _left_behind, "faults": ledger.said}
    elif _left_behind:
        print("\nprocesses left behind by tests:", *_left_behind, sep="\n  ", file=sys.stderr)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A test process has ended."""
    output = getattr(node, "workeroutput", {})
    _left_behind.extend(output.get("left_behind", []))
    ledger.said.extend(output.get("faults", []))


def _describe(child: psutil.Process) -> str:
    try:
        if child.status() == psutil.STATUS_ZOMBIE:
            return ""
        return f"{child.pid} {' '.join(child.cmdline())}"
    except psutil.NoSuchProcess:
        return ""
