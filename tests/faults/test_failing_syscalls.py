"""A full disk at every call that makes something grow, and an fsync that fails: said, got over, nothing half-made.

Reliability cases R14 and R15. The short form strikes a part of the many small writes; the long one strikes them all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.ledger import Ledger, by_form
from tests.faults.stepper import Stepper, copy_place
from tests.faults.steps.said import Said
from tests.faults.strikes import Bench, failing
from tests.faults.tracing import FORCING, GROWING, Call, Strike

STEPS = ("event open", "segment publish", "segment adopt", "clip finish", "event delete")


def spread(points: Sequence[Call], most: int) -> list[Call]:
    """At most so many of the points, evenly."""
    step = max(1, -(-len(points) // most))
    return list(points[::step])


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", STEPS)
def test_step_says_so_and_gets_over_it_when_the_disk_is_full_at_any_call(strike_bench: Bench, step: str) -> None:
    points = strike_bench.fault_points(step, GROWING)
    small = [point for point in points if point.name in ("write", "pwrite64")]
    names = [point for point in points if point not in small]
    chosen = spread(names, by_form(8, 10**6)) + spread(small, by_form(4, 10**6))
    template = strike_bench.template(step)

    def strike_all(stepper: Stepper, folder: Path, mine: Sequence[Call]) -> list[str]:
        problems = []
        for point in mine:
            place = copy_place(template, folder / "struck")
            strike = Strike(point.name, point.number, "error=ENOSPC")
            found, _ = failing(stepper, step, place, strike, Said(place.said))
            problems += [f"{point}: {text}" for text in found + stepper.do(step, "verdict", place)]
        return problems

    with Ledger("R14", f"{step}, no space at a growing call", "fault points") as ledger:
        problems = strike_bench.deal(chosen, strike_all)
        ledger.rounds, ledger.facts["of"] = len(chosen), len(points)
        ledger.failed(violations=len(problems))
        assert not problems, "\n".join(problems)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", STEPS)
def test_step_trusts_no_file_whose_fsync_failed(strike_bench: Bench, step: str) -> None:
    points = strike_bench.fault_points(step, FORCING)
    files = [point for point in points if ".db" not in point.text]
    databases = [point for point in points if ".db" in point.text]
    chosen = files + spread(databases, by_form(3, 10**6))
    template = strike_bench.template(step)

    def strike_all(stepper: Stepper, folder: Path, mine: Sequence[Call]) -> list[str]:
        problems = []
        for point in mine:
            place = copy_place(template, folder / "struck")
            strike = Strike(point.name, point.number, "error=EIO")
            found, trace = failing(stepper, step, place, strike, Said(place.said))
            found += trusted_after_failure(trace)
            problems += [f"{point}: {text}" for text in found + stepper.do(step, "verdict", place)]
        return problems

    with Ledger("R15", f"{step}, fsync fails", "fault points") as ledger:
        problems = strike_bench.deal(chosen, strike_all)
        ledger.rounds, ledger.facts["of"] = len(chosen), len(points)
        ledger.failed(violations=len(problems))
        assert not problems, "\n".join(problems)


def trusted_after_failure(trace: str) -> list[str]:
    """Whether a footage file was forced again, or given its final name, after its fsync had failed.

    It may be made anew, or its bytes written again, before that.

    SQLite's files are its own business: it writes the pages of a failed transaction again. A folder has no content
    that could be lost; the kernel refuses every later commit of a journal that failed.
    """
    lines = trace.splitlines()
    at = next((number for number, line in enumerate(lines) if "(INJECTED)" in line), None)
    if at is None:
        return []
    match = re.search(r"fsync\(\d+<(.+\.(?:mp4|jpg|part))>\)", lines[at])
    if match is None:
        return []
    path = match[1]
    for line in lines[at + 1 :]:
        made_anew = f'"{path}"' in line and ("O_CREAT" in line or "O_TRUNC" in line)
        if made_anew or f'unlink("{path}"' in line or (f"<{path}>" in line and "write(" in line):
            return []
        if f"<{path}>)" in line and "sync(" in line:
            return [f"{path} was forced to the disk again after a failure: {line}"]
        if f'rename("{path}"' in line:
            return [f"{path} was given its final name after a failure: {line}"]
    return []
