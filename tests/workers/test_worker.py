"""`iris worker` as a process: it waits for Temporal, sees an event through into a real database, ends in time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iris.base.ids import EventId
from iris.domain.event import EventState
from iris.store.engine import open_store, sqlite_url
from tests.builders.event_messages import closed
from tests.e2e.running_iris import wait_until
from tests.temporal_env import connect, free_ports, running_server
from tests.workflows.event_stage import EventStage

pytestmark = pytest.mark.e2e


@contextmanager
def worker_process(data_dir: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    log = data_dir.with_suffix(".log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "worker"],
        env={**known, "DATA_DIR": str(data_dir), "TEMPORAL_ADDRESS": f"127.0.0.1:{port}"},
        stdout=log,
        stderr=log,
    )
    log.close()
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def until_it_waits(log: Path) -> None:
    wait_until(lambda: "the worker waits" in log.read_text(), 60, "the worker says that it waits for Temporal")


async def test_worker_finishes_an_event_and_stops_in_time_when_temporal_came_late(tmp_path: Path) -> None:
    data_dir, port = tmp_path / "data", free_ports(1)[0]
    data_dir.mkdir()
    log = data_dir.with_suffix(".log")
    with worker_process(data_dir, port) as process:
        until_it_waits(log)
        with running_server(port) as address:
            stage = EventStage(await connect(address), address)
            async with stage.node():
                await stage.send(closed(stage.opened(ago_s=3)))
                outcome = await stage.outcome(60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0, log.read_text()
    assert outcome.state == "ready"
    store = open_store(sqlite_url(data_dir / "vms.db"))
    with store.reading() as work:
        [worker] = work.system.workers()
        row = work.events.get(EventId(stage.event_id))
    store.close()
    assert worker.kind == "worker"
    assert row.state == EventState.READY


async def test_worker_stops_in_time_when_temporal_never_came(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    log = data_dir.with_suffix(".log")
    with worker_process(data_dir, free_ports(1)[0]) as process:
        until_it_waits(log)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0, log.read_text()
