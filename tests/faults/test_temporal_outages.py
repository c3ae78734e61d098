"""R7, R8: Temporal stopped, frozen or flapping, and its database lost: recording goes on, every event arrives once."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.running_iris import wait_until
from tests.faults.ledger import Ledger, by_form, rounds
from tests.faults.parts import SeparateIris
from tests.faults.stage import ENDED_WITHIN_S, SETTINGS, FaultStage, wall_us
from tests.faults.temporal_server import OwnTemporal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

_FLAP_S = 5.0


def stopped(temporal: OwnTemporal, seconds: float) -> None:
    """Nothing listens for so long."""
    temporal.stop()
    time.sleep(seconds)  # the fault's length
    temporal.start()


def frozen(temporal: OwnTemporal, seconds: float) -> None:
    """It listens, and answers nothing for so long."""
    with temporal.frozen():
        time.sleep(seconds)  # the fault's length


def flapping(temporal: OwnTemporal, seconds: float) -> None:
    """Five seconds away, five seconds there."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        temporal.stop(kill=True)
        time.sleep(_FLAP_S)  # the fault's length
        temporal.start()
        time.sleep(_FLAP_S)  # the fault's length


def test_recording_goes_on_and_events_arrive_when_temporal_was_away(tmp_path: Path) -> None:
    seconds = by_form(10.0, 60.0)
    ledger = Ledger("R7", "Temporal stopped, frozen, flapping", unit="outages", facts={"each, s": seconds})
    with ledger, OwnTemporal(tmp_path / "temporal") as temporal:
        iris = SeparateIris(tmp_path / "data", temporal.port, **SETTINGS)
        with FaultStage(iris, cameras=2) as stage:
            spans = [survive(stage, temporal, outage, seconds, ledger) for outage in (stopped, frozen, flapping)]
            stage.verdict(ledger).expect_clean()
            for began_us, ended_us in spans:
                stage.assert_recorded_without_a_hole(began_us, ended_us)


def survive(
    stage: FaultStage, temporal: OwnTemporal, outage: Callable[[OwnTemporal, float], None], seconds: float,
    ledger: Ledger,
) -> tuple[int, int]:  # fmt: skip
    """One outage, until what waited for its end has ended too; the span of the outage in wall time."""
    wait_until(lambda: stage.witness.ended, 60, "an event ended before the outage")
    began_us = wall_us()
    outage(temporal, seconds)
    ended_us, back = wall_us(), time.monotonic()
    ledger.rounds += 1
    waiting = stage.unended()
    assert waiting, "no event was accepted during the outage"
    wait_until(lambda: not waiting & stage.unended(), ENDED_WITHIN_S, f"what waited while {outage.__name__} has ended")
    ledger.sample("drained after, s", time.monotonic() - back)
    ledger.sample("events that waited", len(waiting))
    return began_us, ended_us


def test_unfinished_events_are_delivered_again_when_temporal_lost_its_database(tmp_path: Path) -> None:
    ledger = Ledger("R8", "Temporal's database deleted, Iris at work and stopped", unit="losses")
    with ledger, OwnTemporal(tmp_path / "temporal") as temporal:
        iris = SeparateIris(tmp_path / "data", temporal.port, **SETTINGS)
        with FaultStage(iris, cameras=2) as stage:
            for number in range(rounds(2, 10)):
                lose_database(stage, temporal, iris, everything_stopped=number % 2 == 1)
                ledger.rounds += 1
            stage.verdict(ledger, runs=False).expect_clean()


def lose_database(stage: FaultStage, temporal: OwnTemporal, iris: SeparateIris, *, everything_stopped: bool) -> None:
    """Once: with finished events, delivered but unfinished ones, and some that were not handed over yet."""
    wait_until(lambda: len(stage.witness.ended) >= 2, 90, "events ended before the loss")
    # Handed over, but nobody works on them: their workflows go with the database.
    iris.end_part("worker", signal.SIGKILL)
    handed_over = stage.until_accepted(2)
    wait_until(lambda: stage.iris.call("GET", "/api/system").json()["outbox"]["depth"] == 0, 30, "they are handed over")
    finished = {event_id: clip_of(stage, event_id) for event_id in stage.witness.ended}
    temporal.stop(kill=True)
    temporal.lose_database()
    stage.until_accepted(1)
    if everything_stopped:
        iris.kill_everything()
    temporal.start()
    if everything_stopped:
        iris.start(wait=False)
    else:
        iris.start_part("worker")
    stage.until_recording()
    wait_until(lambda: not handed_over & stage.unended(), ENDED_WITHIN_S, "what Temporal forgot has ended")
    again = {event_id: clip_of(stage, event_id) for event_id in finished}
    assert again == finished, "a finished clip was made again"


def clip_of(stage: FaultStage, event_id: str) -> tuple[int, int] | None:
    """What changes when a clip is made anew: its inode and the time it was written."""
    for path in (stage.iris.data_dir / "recordings").glob(f"*/{event_id}.mp4"):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    return None
