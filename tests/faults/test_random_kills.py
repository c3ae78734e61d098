"""R1, R3, R27: kill -9 of random processes at random moments, one alone, two in a row, or everything at once."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.e2e.footage import outage_at, recorded_marks
from tests.e2e.running_iris import PARTS, RunningIris, wait_until
from tests.faults.ledger import Ledger, rounds
from tests.faults.stage import SETTINGS, FaultStage, wall_us
from workers.camera_sim.nal import Mark

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(7200)]

SUPERVISOR, EVERYTHING = "supervisor", "everything"
TARGETS = ("camera", "camera", "node", "worker", "api", "temporal", SUPERVISOR, EVERYTHING)
# Of these the cameras' own recording may not notice anything.
BESIDE_RECORDING = ("worker", "api", "temporal")
# A fifth of the kills hits a system that is still getting up from the one before.
DOUBLE_SHARE = 0.2
# Busier than this before anything starts, the machine is not quiet and its times prove nothing.
QUIET_CPU_PERCENT = 25.0


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill. `alone` means that the system had recovered before it and did after it; `again_us` is the restart's
    moment where the test itself starts Iris again, else that of the kill.
    """

    target: str
    at_us: int
    again_us: int
    alone: bool


@pytest.mark.parametrize("cameras", [2])
def test_no_event_is_lost_or_doubled_when_random_processes_are_killed(tmp_path: Path, cameras: int) -> None:
    quiet = psutil.cpu_percent(interval=1.0) < QUIET_CPU_PERCENT
    ledger = Ledger("R1", "kill -9 of random processes at random moments", unit="kills")
    with ledger, FaultStage(RunningIris(tmp_path / "data", **SETTINGS), cameras=cameras) as stage:
        kills = [kill_one(stage, plan) for plan in plans(ledger.random, rounds(20, 200), ledger)]
        stage.until_healthy()
        stage.until_recording()
        stage.until_accepted(1)
        found = stage.verdict(ledger)
        measure(stage, kills, ledger)
        ledger.facts["ends"] = found.states
        ledger.facts["quiet machine"] = quiet
        found.expect_clean()
        if quiet:
            assert all(max(values) <= 1.0 for name, values in ledger.samples.items() if name.startswith("lost")), ledger


@dataclass(frozen=True, slots=True)
class Plan:
    """What to kill, after how long, and whether the system is up again before the next one."""

    target: str
    after_s: float
    recovers: bool
    recovered_before: bool
    pick: float  # which of several processes of the part: a share of their number


def plans(chance: random.Random, count: int, ledger: Ledger) -> Iterator[Plan]:
    """Each target equally often, in random order."""
    targets = [TARGETS[number % len(TARGETS)] for number in range(count)]
    chance.shuffle(targets)
    before = True
    for number, target in enumerate(targets):
        recovers = number == count - 1 or chance.random() >= DOUBLE_SHARE
        yield Plan(target, chance.uniform(0, 3.0 if before else 1.5), recovers, before, chance.random())
        before = recovers
        ledger.rounds += 1


def kill_one(stage: FaultStage, plan: Plan) -> Kill:
    """Wait for the random moment, kill, and see that recording comes back."""
    time.sleep(plan.after_s)  # the fault's random moment, not a wait for a condition
    iris = stage.iris
    at_us = again_us = wall_us()
    if plan.target == EVERYTHING:
        iris.kill_everything()
    elif plan.target == SUPERVISOR:
        kill_supervisor(iris)
    else:
        kill_part(iris, plan.target, plan.pick)
    if plan.target in (EVERYTHING, SUPERVISOR):
        again_us = wall_us()
        iris.start(wait=False)
    if plan.recovers:
        recovered(stage, plan.target)
    return Kill(plan.target, at_us, again_us, plan.recovers and plan.recovered_before)


def kill_part(iris: RunningIris, name: str, pick: float) -> None:
    """One process of that part; of several cameras any."""
    found = wait_until(lambda: processes(iris, name), 30, f"part {name} runs")
    process = found[int(pick * len(found))]
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()
        process.wait(10)


def processes(iris: RunningIris, name: str) -> list[psutil.Process]:
    """All living processes of a part."""
    assert iris.process is not None
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(iris.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                if PARTS[name] in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                    found.append(child)
    return found


def kill_supervisor(iris: RunningIris) -> None:
    """kill -9 of `iris up` alone: its family must end by itself, as nobody would start a second one beside it."""
    assert iris.process is not None
    top = psutil.Process(iris.process.pid)
    family = top.children(recursive=True)
    top.kill()
    iris.process.wait(10)
    _gone, left = psutil.wait_procs(family, timeout=20)
    assert not left, f"processes outlive `iris up` by 20 s: {left}"


def recovered(stage: FaultStage, target: str) -> None:
    """The part is there again and all cameras record, one process each."""
    stage.until_recording()
    if target not in (EVERYTHING, SUPERVISOR):
        wait_until(lambda: processes(stage.iris, target), 30, f"part {target} runs again")
    wait_until(lambda: len(processes(stage.iris, "camera")) == len(stage.cameras), 10, "one process for each camera")


def measure(stage: FaultStage, kills: list[Kill], ledger: Ledger) -> None:
    """What each kill that came alone cost in recorded pictures, the camera that suffered most counting."""
    marks = {camera_id: recorded_marks(stage.iris.data_dir, camera_id) for camera_id in stage.cameras}
    for kill in kills:
        if not kill.alone:
            continue
        lost_s = max(outage_at(of, kill.at_us).lost_s for of in marks.values())
        back_s = max(outage_at(of, kill.again_us).back_s for of in marks.values())
        if kill.target in BESIDE_RECORDING:
            ledger.sample("lost beside recording, s", max(0.0, _longest_hole_s(marks, kill.at_us) - 0.1))
        else:
            ledger.sample("lost media, s", lost_s)
            ledger.sample("recorded again after, s", back_s)


def _longest_hole_s(marks: dict[str, list[Mark]], at_us: int) -> float:
    """The longest time without a recorded picture in the second after a moment."""
    longest_s = 0.0
    for of in marks.values():
        times = [mark.sent_wall_us for mark in of if at_us - 500_000 <= mark.sent_wall_us <= at_us + 1_000_000]
        steps = [later - earlier for earlier, later in itertools.pairwise(times)]
        longest_s = max([longest_s, *(step / 1e6 for step in steps)])
    return longest_s
