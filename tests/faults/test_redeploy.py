"""R9, R12, R33: the worker redeployed again and again, a close that never comes, SIGTERM in the middle of anything."""

from __future__ import annotations

import itertools
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from iris.base.sqlite import connect
from tests.e2e.running_iris import RunningIris, wait_until
from tests.faults.ledger import Ledger, by_form, rounds
from tests.faults.parts import SeparateIris
from tests.faults.stage import SETTINGS, FaultStage
from tests.faults.temporal_server import OwnTemporal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(7200)]

STOPS_WITHIN_S = 20.0


def test_workflows_complete_once_when_the_worker_is_redeployed_every_three_seconds(tmp_path: Path) -> None:
    ledger = Ledger("R9", "worker redeployed, SIGTERM and kill -9 in turns", unit="redeploys")
    enough = by_form(0, 200)
    with ledger, OwnTemporal(tmp_path / "temporal") as temporal:
        iris = SeparateIris(tmp_path / "data", temporal.port, **SETTINGS)
        with FaultStage(iris, cameras=by_form(2, 4)) as stage:
            wanted = rounds(8, 60)
            for sig in itertools.cycle((signal.SIGTERM, signal.SIGKILL)):
                if ledger.rounds >= wanted and len(stage.witness.accepted) >= enough:
                    break
                took_s = iris.end_part("worker", sig, STOPS_WITHIN_S)
                if sig is signal.SIGTERM:
                    ledger.sample("SIGTERM took, s", took_s)
                redeploy(iris, ledger)
            stage.until_healthy()
            stage.verdict(ledger).expect_clean()


def redeploy(iris: SeparateIris, ledger: Ledger) -> None:
    """A new worker, three seconds at work."""
    runs = iris.log().count("worker runs")
    began = time.monotonic()
    iris.start_part("worker")
    wait_until(lambda: iris.log().count("worker runs") > runs, 60, "the new worker works")
    ledger.sample("new worker works after, s", time.monotonic() - began)
    time.sleep(3)  # the rhythm of the fault
    ledger.rounds += 1


@pytest.mark.accept  # over a minute of silence; the workflow's own tests have each of its ways out
def test_event_is_closed_where_last_seen_when_nobody_is_left_to_close_it(tmp_path: Path) -> None:
    """The host comes back without its copy of the cameras, and its camera was switched off meanwhile."""
    ledger = Ledger("R12", "close never comes: the host forgot its camera", unit="events")
    short = {**SETTINGS, "EVENT_MAX_SECONDS": "10"}
    with ledger, OwnTemporal(tmp_path / "temporal") as temporal:
        iris = SeparateIris(tmp_path / "data", temporal.port, **short)
        with FaultStage(iris) as stage:
            camera_id = next(iter(stage.cameras))
            open_id = wait_until(
                lambda: open_and_recorded(stage, camera_id), 60, "an event is open and in the database"
            )
            iris.kill_everything()
            (iris.data_dir / "node" / "cameras.db").unlink()
            switch_off(iris.data_dir / "vms.db", camera_id)
            iris.start(wait=False)
            stage.until_healthy()
            wait_until(lambda: open_id in stage.witness.ended, 150, f"event {open_id} ended; {iris.log()[-2000:]}")
            ledger.rounds += 1
            row = iris.call("GET", f"/api/events/{open_id}").json()
            assert row["end_reason"] == "abandoned", row
            assert row["state"] in ("ready", "partial"), row
            stage.verdict(ledger).expect_clean()


def open_and_recorded(stage: FaultStage, camera_id: str) -> str | None:
    """The event that is open now, once the database shows it and a part of its footage is durable."""
    event_id = stage.iris.status(camera_id).get("event_id")
    rows = {row["id"]: row["state"] for row in stage.iris.events()}
    kept = event_id and list((stage.iris.data_dir / "pending" / event_id).glob("seg_*"))
    return event_id if kept and rows.get(event_id) == "open" else None


def switch_off(database: Path, camera_id: str) -> None:
    """As the api would; nothing of Iris runs."""
    connection: sqlite3.Connection = connect(database)
    connection.execute("UPDATE cameras SET enabled = 0, version = version + 1 WHERE camera_id = ?", (camera_id,))
    connection.close()


@pytest.mark.accept
def test_everything_stops_within_its_time_when_it_is_told_to_at_any_moment(tmp_path: Path) -> None:
    ledger = Ledger("R33", "SIGTERM at a random moment", unit="stops")
    with ledger:
        chance = ledger.random
        iris = RunningIris(tmp_path / "data", **SETTINGS)
        with FaultStage(iris, cameras=2) as stage:
            for _ in range(rounds(4, 30)):
                # From the middle of a start to the middle of several events.
                time.sleep(chance.choice([chance.uniform(0, 2), chance.uniform(2, 12)]))
                temporal = iris.part("temporal")
                if chance.random() < 0.3 and temporal is not None:
                    temporal.send_signal(signal.SIGSTOP)
                ledger.sample("stopped after, s", iris.stop(STOPS_WITHIN_S, signal.SIGTERM))
                ledger.rounds += 1
                iris.start(wait=False)
            stage.until_healthy()
            stage.until_recording()
            stage.until_accepted(1)
            stage.verdict(ledger).expect_clean()
