"""Runs a Temporal worker for as long as its process lives: waits for the server, starts anew after a fatal error.

Shared by `iris worker` (queue `iris`) and the node (its own queue). Activities are plain functions in threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Final

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import FailureError
from temporalio.worker import Worker

from iris.adapters.temporal import TemporalLink
from iris.base.backoff import backoff_delay_s
from iris.base.errors import IrisError
from iris.base.log import get_logger
from iris.contracts import names
from workflows.backup import BackupWorkflow
from workflows.camera_deletion import CameraDeletionWorkflow
from workflows.camera_repoint import CameraRepointWorkflow
from workflows.event import EventWorkflow
from workflows.event_deletion import EventDeletionWorkflow
from workflows.node import NodeWorkflow
from workflows.orphan_purge import OrphanPurgeWorkflow
from workflows.retention import RetentionWorkflow

# A stop takes 10 s at most: activities get this long to end by themselves, then they are told to stop.
GRACE: Final = timedelta(seconds=6)
STOP_LIMIT_S: Final = 9.0
# A small machine: about 1 MB each, and a replay costs milliseconds.
_CACHED_WORKFLOWS: Final = 200
# Database activities are short transactions; SQLite takes one writer at a time.
_DATABASE_THREADS: Final = 8
# A clip is bounded by the disk: two copy while two more wait for their last segment.
_CLIP_THREADS: Final = 4
# Cancellation comes back with a heartbeat, so let one out at least this often.
_HEARTBEAT_OFTEN: Final = timedelta(seconds=2)


class _OneLine(logging.Filter):
    """Errors made on purpose are one sentence in the log, as often as they are tried; mistakes keep their trace."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, FailureError):
            record.msg, record.args, record.exc_info = "%s: %s", (str(record.msg).split(" (", 1)[0], error), None
        return True


_ONE_LINE: Final = _OneLine()


# Every workflow of Iris; a new one is registered by its line here.
WORKFLOWS: Final[tuple[type, ...]] = (
    EventWorkflow,
    EventDeletionWorkflow,
    CameraDeletionWorkflow,
    CameraRepointWorkflow,
    NodeWorkflow,
    OrphanPurgeWorkflow,
    RetentionWorkflow,
    BackupWorkflow,
)


def iris_worker(client: Client, families: Sequence[object]) -> Worker:
    """The worker of queue `iris`: all workflows, and the activities of the main database.

    Args:
        client: Connected client.
        families: Instances whose methods are activities, as `workers.wiring.worker` builds them.
    """
    return Worker(
        client,
        task_queue=names.QUEUE_IRIS,
        workflows=WORKFLOWS,
        activities=activities_of(families),
        activity_executor=ThreadPoolExecutor(_DATABASE_THREADS, thread_name_prefix="activity"),
        max_concurrent_activities=_DATABASE_THREADS,
        max_cached_workflows=_CACHED_WORKFLOWS,
        graceful_shutdown_timeout=GRACE,
    )


def node_worker(client: Client, node_id: str, families: Sequence[object]) -> Worker:
    """The worker of a node's own queue: the activities that touch its files.

    Args:
        client: Connected client.
        node_id: The node whose queue it is.
        families: Instances whose methods are activities, as `workers.wiring.node` builds them.
    """
    return Worker(
        client,
        task_queue=names.node_queue(node_id),
        activities=activities_of(families),
        activity_executor=ThreadPoolExecutor(_CLIP_THREADS, thread_name_prefix="clip"),
        max_concurrent_activities=_CLIP_THREADS,
        max_heartbeat_throttle_interval=_HEARTBEAT_OFTEN,
        default_heartbeat_throttle_interval=_HEARTBEAT_OFTEN,
        graceful_shutdown_timeout=GRACE,
    )


def activities_of(families: Sequence[object]) -> list[Callable[..., Any]]:
    """Every method of these instances that is declared as an activity."""
    methods = [method for family in families for _, method in inspect.getmembers(family, inspect.ismethod)]
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]


async def keep_worker_running(
    link: TemporalLink, make: Callable[[Client], Worker], stop: asyncio.Event, *, register: bool = False
) -> None:
    """Run a worker until `stop` is set; returns within `STOP_LIMIT_S` of that.

    Args:
        link: Connection of this process.
        make: Builds the worker for a connected client; called again after a fatal error.
        stop: Set to end.
        register: Whether to register search attributes before the worker starts.
    """
    log = get_logger(part="temporal worker")
    activity.logger.base_logger.addFilter(_ONE_LINE)
    attempt = 0
    while not stop.is_set():
        try:
            if register:
                await link.register_search_attributes()
            worker = make(await link.client())
            log.info("worker runs", queue=worker.task_queue)
            attempt = 0
            await _run_until(worker, stop)
        except IrisError as error:
            log.warning("temporal is away, the worker waits", error=error)
        except Exception as error:  # noqa: BLE001 - the boundary of this task: whatever ended the worker, it starts anew
            log.error("worker ended, starting it again", error=error)
        attempt += 1
        delay_s = backoff_delay_s(attempt, first_s=0.3, most_s=5.0, jitter=random.random())  # noqa: S311 - spread only
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), delay_s)


async def _run_until(worker: Worker, stop: asyncio.Event) -> None:
    """Run the worker until it fails or `stop` is set; then end it in an orderly way, within the limit."""
    running = asyncio.create_task(worker.run())
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            with contextlib.suppress(TimeoutError):  # an activity that hears nothing; the process ends anyway
                await asyncio.wait_for(worker.shutdown(), STOP_LIMIT_S)
        if running.done():
            running.result()
    finally:
        stopped.cancel()
        running.cancel()
