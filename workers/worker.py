"""`iris worker`: the Temporal worker of queue `iris`, with all workflows and the activities of the main database."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from typing import Final

from iris.adapters.id_source import Uuid7Source
from iris.adapters.process import leave
from iris.base.backoff import backoff_delay_s
from iris.base.errors import StoreError
from iris.base.log import configure_logging, get_logger
from iris.base.timebase import seconds_to_us
from iris.config import Settings, load_settings
from workers.operation_keeper import OperationKeeper
from workers.schedules import ScheduleKeeper, schedule_table
from workers.temporal_worker import iris_worker, keep_worker_running
from workers.wiring.worker import WorkerProcess, build_notifier, build_worker, prepare_database

HEARTBEAT_S: Final = 5.0
_FORGET_AFTER_S: Final = 60.0


def run_worker() -> int:
    """Run until SIGTERM or Ctrl-C; ends within 10 s."""
    loaded = load_settings()
    configure_logging("worker", level=loaded.settings.log_level, json=loaded.settings.log_json)
    for warning in loaded.warnings:
        get_logger().warning("setting", reason=warning)
    asyncio.run(_run(loaded.settings))
    leave(0)


async def _run(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stop.set)
    process = build_worker(settings)
    if await _prepared(settings, process, stop):
        keeper = OperationKeeper(process.store, process.operations, process.clock, Uuid7Source())
        notifier = build_notifier(settings, process)
        schedules = ScheduleKeeper(process.link, schedule_table(settings))
        jobs = (_tell_alive(process), keeper.run(), notifier.run(), schedules.run(stop))
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            await keep_worker_running(
                process.link, lambda client: iris_worker(client, process.families), stop, register=True
            )
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    get_logger().info("stopped")


async def _prepared(settings: Settings, process: WorkerProcess, stop: asyncio.Event) -> bool:
    """Wait for the database; false when asked to stop before it answered."""
    attempt = 0
    while not stop.is_set():
        try:
            await asyncio.to_thread(prepare_database, settings, process)
        except StoreError as error:
            if not error.retryable:
                raise
            attempt += 1
            delay_s = backoff_delay_s(attempt, most_s=10.0, jitter=random.random())  # noqa: S311 - spread only
            get_logger().warning("the database is away, the worker waits", error=error, retry_in_s=round(delay_s, 1))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay_s)
        else:
            return True
    return False


async def _tell_alive(process: WorkerProcess) -> None:
    """A row in the database every 5 s; rows of processes that are gone for long are dropped."""
    while True:
        try:
            await asyncio.to_thread(_write_heartbeat, process)
        except StoreError as error:
            get_logger().warning("heartbeat could not be written", error=error)
        await asyncio.sleep(HEARTBEAT_S)


def _write_heartbeat(process: WorkerProcess) -> None:
    now_us = process.clock.wall_us()
    with process.store.writing() as work:
        work.system.worker_seen(process.worker_id, "worker", now_us)
        work.system.forget_workers(now_us - seconds_to_us(_FORGET_AFTER_S))
