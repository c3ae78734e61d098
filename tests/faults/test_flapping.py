"""R19: cameras that drop their viewers again and again: nothing grows, nothing is left behind, every event ends."""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.e2e.running_iris import PARTS, RunningIris, wait_until
from tests.faults.ledger import Ledger, by_form, rounds
from tests.faults.stage import SETTINGS, FaultStage
from workers.camera_sim.server import CameraSim

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(7200)]

_BACK_WITHIN_S = 60.0
# Warm-up: libraries are loaded, pools are filled, the allocator has what it keeps.
_WARM_SHARE = 0.3
MOST_MORE_FDS, MOST_MORE_THREADS = 4, 2
MOST_GROWTH_MB = 12.0


def drop(sim: CameraSim) -> None:
    """Close the connection in an orderly way."""
    sim.drop()


def reset(sim: CameraSim) -> None:
    """Cut it."""
    sim.drop(reset=True)


def vanish(sim: CameraSim) -> None:
    """Refuse connections for a moment, longer than the first try takes."""
    sim.vanish()
    time.sleep(0.5)  # the fault's length
    sim.come_back()


def busy(sim: CameraSim) -> None:
    """Answer one try with 503."""
    plays = len(sim.requests)
    sim.faults.answer_status = 503
    sim.drop()
    wait_until(lambda: len(sim.requests) > plays, _BACK_WITHIN_S, "a try is refused")
    sim.faults.answer_status = None


@dataclass(frozen=True, slots=True)
class Use:
    """What the processes of one kind hold, the largest of each."""

    fds: int
    threads: int
    rss_mb: float


def use_of(iris: RunningIris, part: str) -> Use:
    """Look at all processes of a part now."""
    assert iris.process is not None
    children = psutil.Process(iris.process.pid).children(recursive=True)
    mine = [child for child in children if PARTS[part] in " ".join(child.cmdline())]
    return Use(
        max(process.num_fds() for process in mine),
        max(process.num_threads() for process in mine),
        max(process.memory_info().rss for process in mine) / 2**20,
    )


@pytest.mark.accept
def test_nothing_grows_when_cameras_flap(tmp_path: Path) -> None:
    count = rounds(48, 1000)
    ledger = Ledger("R19", "cameras drop, reset, vanish and refuse", unit="cycles")
    with ledger, FaultStage(RunningIris(tmp_path / "data", **SETTINGS), cameras=by_form(4, 6)) as stage:
        chance = ledger.random
        uses: dict[str, list[Use]] = {"camera": [], "node": []}
        pids = {child.pid for child in cameras_of(stage.iris)}
        while ledger.rounds < count:
            flap(stage, chance, ledger)
            if ledger.rounds >= _WARM_SHARE * count:
                for part, seen in uses.items():
                    seen.append(use_of(stage.iris, part))
        assert {child.pid for child in cameras_of(stage.iris)} == pids, "a camera process was replaced"
        zombies = [p for p in psutil.Process().children(recursive=True) if p.status() == psutil.STATUS_ZOMBIE]
        assert not zombies
        stage.until_recording()
        stage.until_accepted(1)
        stage.verdict(ledger, may_fail=True).expect_clean()
    for part, seen in uses.items():
        third = max(1, len(seen) // 3)
        first, last = seen[:third], seen[-third:]
        more_fds = statistics.median(u.fds for u in last) - statistics.median(u.fds for u in first)
        more_threads = statistics.median(u.threads for u in last) - statistics.median(u.threads for u in first)
        growth_mb = statistics.median(u.rss_mb for u in last) - statistics.median(u.rss_mb for u in first)
        print(f"R19 {part}: {more_fds:+.0f} descriptors, {more_threads:+.0f} threads, {growth_mb:+.1f} MB")
        assert more_fds <= MOST_MORE_FDS
        assert more_threads <= MOST_MORE_THREADS
        assert growth_mb <= MOST_GROWTH_MB


def cameras_of(iris: RunningIris) -> list[psutil.Process]:
    """All camera processes."""
    assert iris.process is not None
    children = psutil.Process(iris.process.pid).children(recursive=True)
    return [child for child in children if PARTS["camera"] in " ".join(child.cmdline())]


def flap(stage: FaultStage, chance: random.Random, ledger: Ledger) -> None:
    """One cycle of every camera, until all of them send again."""
    plays = {camera_id: len(sim.play_wall_us) for camera_id, sim in stage.cameras.items()}
    began = time.monotonic()
    for sim in stage.cameras.values():
        chance.choice((drop, drop, reset, vanish, busy))(sim)
    for camera_id, sim in stage.cameras.items():
        assert sim.wait_for_plays(plays[camera_id] + 1, _BACK_WITHIN_S), f"{camera_id} is not viewed again"
    ledger.sample("all viewed again after, s", time.monotonic() - began)
    ledger.rounds += len(stage.cameras)
