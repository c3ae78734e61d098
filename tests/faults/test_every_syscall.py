"""Killed, or without power, before every durable system call: the state before or after it, never between.

Reliability cases R2 and R6. The next start may repair; what was promised to the outside holds at once. The short form
cuts the power at a part of the calls, evenly spread; it kills at all of them, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.disks import need_mounts
from tests.faults.ledger import Ledger, by_form
from tests.faults.stepper import Stepper, copy_place
from tests.faults.strikes import Bench, power_site, struck
from tests.faults.tracing import DURABLE, Call, Strike

STEPS = ("event open", "segment publish", "segment adopt", "clip finish", "event delete")
KILL = "signal=SIGKILL"


def tell(ledger: Ledger, points: Sequence[Call], problems: list[str]) -> None:
    names = Counter(point.name for point in points).most_common()
    ledger.rounds = len(points)
    ledger.facts["calls"] = ", ".join(f"{count} {name}" for name, count in names)
    ledger.failed(violations=len(problems))
    assert not problems, "\n".join(problems)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", STEPS)
def test_step_killed_at_any_durable_system_call_leaves_the_state_before_or_after(
    strike_bench: Bench, step: str
) -> None:
    points = strike_bench.fault_points(step, DURABLE)
    template = strike_bench.template(step)

    def strike_all(stepper: Stepper, folder: Path, mine: Sequence[Call]) -> list[str]:
        problems = []
        for point in mine:
            place = copy_place(template, folder / "struck")
            found = struck(stepper, step, place, Strike(point.name, point.number, KILL))
            problems += [f"{point}: {text}" for text in found + stepper.do(step, "verdict", place)]
        return problems

    with Ledger("R2", f"{step}, killed at every durable call", "fault points") as ledger:
        tell(ledger, points, strike_bench.deal(points, strike_all))


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("step", STEPS)
def test_step_without_power_at_any_durable_system_call_leaves_the_state_before_or_after(
    strike_bench: Bench, step: str
) -> None:
    need_mounts()
    points = strike_bench.fault_points(step, DURABLE)
    template = strike_bench.template(step)

    def strike_all(stepper: Stepper, folder: Path, mine: Sequence[Call]) -> list[str]:
        problems = []
        with power_site(folder / "disks") as site:
            site.prepare(template)
            for point in mine:
                site.begin_again()
                with site.mounted():
                    found = struck(stepper, step, site.place, Strike(point.name, point.number, KILL))
                    site.cut_power()
                with site.mounted():
                    found += stepper.do(step, "verdict", site.place)
                problems += [f"{point}: {text}" for text in found]
        return problems

    with Ledger("R6", f"{step}, power cut at a durable call", "cuts") as ledger:
        every = by_form(4, 1)
        chosen = points[ledger.seed % every :: every]
        tell(ledger, chosen, strike_bench.deal(chosen, strike_all))
