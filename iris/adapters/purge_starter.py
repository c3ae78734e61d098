"""Has an orphan purge follow the start of a node; Temporal waits the first minutes, so that recording is under way."""

from __future__ import annotations

import asyncio
import random
from datetime import timedelta
from typing import Final

from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from iris.adapters.temporal import RPC_TIMEOUT, TemporalLink
from iris.base.backoff import backoff_delay_s
from iris.base.errors import IrisError
from iris.base.log import get_logger
from iris.base.timebase import format_rfc3339
from iris.contracts import names
from iris.contracts.orphans import TRIGGER_BOOT, OrphanPurgeStart
from iris.contracts.workflows import OrphanPurgeWorkflow
from iris.ports import Clock

_DELAY: Final = timedelta(minutes=2)
_HOUR_LENGTH: Final = len("2026-01-31T23")


async def purge_after_start(link: TemporalLink, node_id: str, clock: Clock, every_hours: float) -> None:
    """Try until Temporal has it; one an hour at most, however often the node starts. `every_hours` 0: never."""
    attempt = 0
    while every_hours > 0:
        try:
            await start_purge_at_boot(link, node_id, clock.wall_us())
        except IrisError as error:
            if attempt == 0:
                get_logger(part="orphans").info("the orphan purge of this start waits for Temporal", error=error)
            attempt += 1
            await asyncio.sleep(backoff_delay_s(attempt, most_s=60.0, jitter=random.random()))  # noqa: S311 - spread only
        else:
            return


async def start_purge_at_boot(link: TemporalLink, node_id: str, now_us: int, *, delay: timedelta = _DELAY) -> None:
    """Hand it to Temporal; one that was asked for within the hour is the same.

    Raises:
        UnavailableError, InputError, ConfigError: See `iris.adapters.temporal.translate`.
    """
    client = await link.client()
    request = client.start_workflow(
        OrphanPurgeWorkflow.run,
        OrphanPurgeStart(TRIGGER_BOOT),
        id=names.orphan_purge_at_boot_id(node_id, format_rfc3339(now_us)[:_HOUR_LENGTH]),
        task_queue=names.QUEUE_IRIS,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        start_delay=delay,
        static_summary="Orphan purge after the start of a node",
        rpc_timeout=RPC_TIMEOUT,
    )
    try:
        await link.call(request)
    except WorkflowAlreadyStartedError:
        return
