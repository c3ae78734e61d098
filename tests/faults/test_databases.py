"""R17: the main database locked, gone, or kept from its checkpoint: recording goes on, events arrive afterwards."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from iris.base.sqlite import connect, connect_readonly
from tests.e2e.running_iris import RunningIris, wait_until
from tests.faults.ledger import Ledger, by_form
from tests.faults.stage import ENDED_WITHIN_S, SETTINGS, FaultStage, wall_us
from tests.postgres import running_postgres

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

# Events, heartbeats and their indexes write some 20 kB a second; this is many times what a long reader can hold back.
MOST_WAL_BYTES = 64 * 2**20
_FILES = ("vms.db", "vms.db-wal", "vms.db-shm")


@contextlib.contextmanager
def locked(iris: RunningIris) -> Iterator[None]:
    """Another connection holds the database; nobody writes, and with a rollback journal nobody reads either."""
    connection = connect(iris.data_dir / "vms.db")
    try:
        wait_until(lambda: begun(connection.execute), 30, "the lock is got", every_s=0.01)
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def begun(execute: Callable[[str], object]) -> bool:
    """Whether the lock was got; another writer may be at it."""
    with contextlib.suppress(Exception):
        execute("BEGIN EXCLUSIVE")
        return True
    return False


@contextlib.contextmanager
def moved_away(iris: RunningIris) -> Iterator[None]:
    """The file is not where it belongs, as after a wrong mount, and those who need it start anew; it comes back."""
    data_dir, aside = iris.data_dir, iris.data_dir.with_name("aside")
    aside.mkdir(exist_ok=True)
    there = [name for name in _FILES if (data_dir / name).exists()]
    for name in there:
        (data_dir / name).rename(aside / name)
    try:
        for part in ("worker", "api"):
            iris.kill(part)
        yield
    finally:
        for name in _FILES:
            (data_dir / name).unlink(missing_ok=True)
        for name in there:
            (aside / name).rename(data_dir / name)


def lasts(fault: AbstractContextManager[None], stage: FaultStage, seconds: float, ledger: Ledger) -> tuple[int, int]:
    """Let a fault last for so long, with presences in it, until all that waited has ended; its span in wall time."""
    wait_until(lambda: stage.witness.ended, 60, "an event ended before the fault")
    began_us = wall_us()
    with fault:
        began = time.monotonic()
        during = stage.until_accepted(2)
        time.sleep(max(0.0, began + seconds - time.monotonic()))  # the fault's length
        assert not during & set(stage.witness.ended), "the database was not away"
    ended_us, back = wall_us(), time.monotonic()
    ledger.rounds += 1
    wait_until(
        lambda: not during & stage.unended(), ENDED_WITHIN_S, f"what waited has ended; {stage.iris.log()[-2000:]}"
    )
    ledger.sample("drained after, s", time.monotonic() - back)
    return began_us, ended_us


def test_recording_goes_on_when_the_database_is_locked_or_moved_away(tmp_path: Path) -> None:
    seconds = by_form(12.0, 30.0)  # longer than any writer waits for the lock
    ledger = Ledger("R17", "SQLite locked, and moved away", unit="faults", facts={"each, s": seconds})
    with ledger, FaultStage(RunningIris(tmp_path / "data", **SETTINGS), cameras=2) as stage:
        spans = [lasts(fault(stage.iris), stage, seconds, ledger) for fault in (locked, moved_away)]
        stage.until_healthy()
        stage.verdict(ledger).expect_clean()
        for began_us, ended_us in spans:
            stage.assert_recorded_without_a_hole(began_us, ended_us)


@pytest.mark.accept
def test_write_ahead_log_stays_bounded_when_somebody_reads_for_long(tmp_path: Path) -> None:
    seconds = by_form(15.0, 600.0)
    ledger = Ledger("R17", "a long read keeps SQLite from its checkpoint", unit="reads", facts={"length, s": seconds})
    with ledger, FaultStage(RunningIris(tmp_path / "data", **SETTINGS), cameras=2) as stage:
        wal = stage.iris.data_dir / "vms.db-wal"
        reader = connect_readonly(stage.iris.data_dir / "vms.db")
        try:
            reader.execute("BEGIN")
            (before,) = reader.execute("SELECT count(*) FROM events").fetchone()
            until = time.monotonic() + seconds
            wait_until(lambda: time.monotonic() > until, seconds + 5, "the read's length", 0.5)
            held_bytes = wal.stat().st_size
            assert reader.execute("SELECT count(*) FROM events").fetchone() == (before,), "it saw no snapshot"
            reader.execute("ROLLBACK")
        finally:
            reader.close()
        ledger.rounds += 1
        ledger.sample("write-ahead log, MB", held_bytes / 2**20)
        assert held_bytes < MOST_WAL_BYTES
        assert stage.witness.ended, "events end while somebody reads"
        stage.verdict(ledger).expect_clean()
        # From here on the log is used again from its beginning: it does not grow by what comes.
        assert wal.stat().st_size <= held_bytes + 2**20


def test_recording_goes_on_when_the_database_server_is_stopped(tmp_path: Path) -> None:
    seconds = by_form(12.0, 60.0)
    ledger = Ledger("R17", "PostgreSQL stopped", unit="faults", facts={"length, s": seconds})
    with ledger, running_postgres() as server:

        @contextlib.contextmanager
        def stopped() -> Iterator[None]:
            server.stop()
            try:
                yield
            finally:
                server.start()

        iris = RunningIris(tmp_path / "data", DATABASE_URL=server.new_database(), **SETTINGS)
        with FaultStage(iris, cameras=2) as stage:
            began_us, ended_us = lasts(stopped(), stage, seconds, ledger)
            stage.until_healthy()
            stage.verdict(ledger).expect_clean()
            stage.assert_recorded_without_a_hole(began_us, ended_us)
