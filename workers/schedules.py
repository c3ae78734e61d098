"""The schedules of Iris in Temporal: one table, and a loop of the worker that has them there.

At the worker's start each is made, or brought to what the table says; afterwards missing ones are made again (a lost
Temporal database). What an operator did stays: a pause, its note, a limited number of runs. Policy values are no part
of a schedule: the first activity of each workflow loads them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from iris.adapters.temporal import TemporalLink
from iris.base.backoff import backoff_delay_s
from iris.base.errors import ConfigError, IrisError
from iris.base.log import get_logger
from iris.config import Settings
from iris.contracts import names
from iris.contracts.backup import BackupStart
from iris.contracts.orphans import OrphanPurgeStart
from iris.contracts.retention import PASS_EVERY_S, RetentionStart
from workers.version import VERSION

# How often a lost schedule is looked for.
LOOK_AGAIN_S: Final = 60.0
# Marks a schedule as ours, with the version that made it: nobody else's is ever changed or removed.
_MADE_BY: Final = "iris_version"
# After an outage one run makes up for all that were missed in these minutes; older ones are left out.
_CATCH_UP_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleLine:
    """One line of the table.

    Attributes:
        schedule_id: Its id; the runs are called `<schedule_id>-<scheduled time>`.
        workflow: Name of the workflow that it starts on queue `iris`.
        every_s: Interval in seconds, counted from midnight UTC of 1970.
        offset_s: How much later than these times it runs, so that heavy work meets quiet hours.
        jitter_s: Each run starts up to so much later.
        note: What it is for; people read it beside the schedule.
        argument: The workflow's argument, if it takes one. No policy values in it.
        overlap: What happens when the run before is still at work.
        catch_up_s: How old a missed run may be to be made up for; 10 minutes at most.
    """

    schedule_id: str
    workflow: str
    every_s: float
    note: str
    offset_s: float = 0.0
    jitter_s: float = 0.0
    argument: object | None = None
    overlap: ScheduleOverlapPolicy = ScheduleOverlapPolicy.SKIP
    catch_up_s: float = _CATCH_UP_S

    def __post_init__(self) -> None:
        if not 10 <= self.catch_up_s <= _CATCH_UP_S:  # Temporal takes no less than 10 s
            raise ValueError(f"a catch-up window of {self.catch_up_s} s is not acceptable")


def schedule_table(settings: Settings) -> tuple[ScheduleLine, ...]:
    """Every schedule of this version. A line that is left out (switched off by a setting) is removed from Temporal."""
    return (
        ScheduleLine(
            schedule_id=names.SCHEDULE_RETENTION,
            workflow=names.WORKFLOW_RETENTION,
            argument=RetentionStart(),
            every_s=PASS_EVERY_S,
            # The node makes room by itself where this is late; what was missed is not made up for.
            catch_up_s=10,
            note="Retention: removes what is too old, and the oldest where a disk is getting full",
        ),
        *_backup_line(settings),
        *_orphan_line(settings),
    )


def _backup_line(settings: Settings) -> tuple[ScheduleLine, ...]:
    """Without BACKUP_DIR there is none: beside the store a backup would only keep deleted footage from giving room."""
    if settings.backup_dir is None:
        return ()
    line = ScheduleLine(
        schedule_id=names.SCHEDULE_BACKUP,
        workflow=names.WORKFLOW_BACKUP,
        argument=BackupStart(),
        every_s=86_400,
        offset_s=2.5 * 3600,
        jitter_s=600,
        note="Backup: the database, clips and pictures into BACKUP_DIR, every night",
    )
    return (line,)


def _orphan_line(settings: Settings) -> tuple[ScheduleLine, ...]:
    if settings.orphan_purge_hours == 0:
        return ()
    nightly = settings.orphan_purge_hours >= 24
    line = ScheduleLine(
        schedule_id=names.SCHEDULE_ORPHAN_PURGE,
        workflow=names.WORKFLOW_ORPHAN_PURGE,
        argument=OrphanPurgeStart(),
        every_s=max(60.0, settings.orphan_purge_hours * 3600),
        offset_s=3.5 * 3600 if nightly else 0.0,
        jitter_s=600.0 if nightly else 0.0,
        note="Orphan purge: files that belong to nothing into quarantine, and from there for good",
    )
    return (line,)


class ScheduleKeeper:
    """Has the lines of a table in Temporal; one per worker process."""

    def __init__(self, link: TemporalLink, lines: Sequence[ScheduleLine], *, version: str = VERSION) -> None:
        self._link = link
        self._lines = tuple(lines)
        self._version = version
        self._log = get_logger(part="schedules")

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`: bring all to the table once, then make missing ones again every minute."""
        brought, attempt = False, 0
        while not stop.is_set():
            try:
                await (self.make_missing() if brought else self.ensure())
            except IrisError as error:
                attempt += 1
                alarmed = isinstance(error, ConfigError)
                delay_s = backoff_delay_s(attempt, most_s=60.0 if alarmed else 10.0, jitter=random.random())  # noqa: S311 - spread only
                (self._log.error if alarmed else self._log.info)("schedules are not looked after now", error=error)
            else:
                brought, attempt, delay_s = True, 0, LOOK_AGAIN_S
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay_s)

    async def ensure(self) -> None:
        """Make or update every line, and remove schedules of ours that the table no longer has.

        Raises:
            UnavailableError, InputError, ConfigError: As `TemporalLink.call`.
        """
        client = await self._link.client()
        for line in self._lines:
            if not await self._made(client, line):
                await self._link.call(self._update(client, line))
        await self._link.call(self._remove_obsolete(client))

    async def make_missing(self) -> None:
        """Make the lines that Temporal does not have; touches no other.

        Raises:
            UnavailableError, InputError, ConfigError: As `TemporalLink.call`.
        """
        client = await self._link.client()
        for line in self._lines:
            await self._made(client, line)

    async def _made(self, client: Client, line: ScheduleLine) -> bool:
        """Make a schedule; false where there is one of this id."""
        memo = {_MADE_BY: self._version}
        try:
            await self._link.call(client.create_schedule(line.schedule_id, _schedule(line), memo=memo))
        except ScheduleAlreadyRunningError:
            return False
        self._log.info("schedule made", schedule=line.schedule_id, every_s=line.every_s)
        return True

    async def _update(self, client: Client, line: ScheduleLine) -> None:
        wanted = _schedule(line)

        async def bring(current: ScheduleUpdateInput) -> ScheduleUpdate | None:
            if _MADE_BY not in await current.description.memo():
                self._log.error(
                    "a schedule that is not of Iris has this id; it is left alone", schedule=line.schedule_id
                )
                return None
            if _is_as(current.description.schedule, wanted):
                return None
            self._log.info("schedule brought up to date", schedule=line.schedule_id, every_s=line.every_s)
            return ScheduleUpdate(replace(wanted, state=current.description.schedule.state))

        await client.get_schedule_handle(line.schedule_id).update(bring)

    async def _remove_obsolete(self, client: Client) -> None:
        known = {line.schedule_id for line in self._lines}
        async for listed in await client.list_schedules():
            made_by = (await listed.memo()).get(_MADE_BY) if listed.id not in known else None
            # Not those of a newer worker that runs beside this one during an update.
            if isinstance(made_by, str) and _order(made_by) <= _order(self._version):
                await client.get_schedule_handle(listed.id).delete()
                self._log.info("schedule removed, this version has no such one", schedule=listed.id, made_by=made_by)


def _schedule(line: ScheduleLine) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            line.workflow,
            args=[] if line.argument is None else [line.argument],
            id=line.schedule_id,
            task_queue=names.QUEUE_IRIS,
            static_summary=line.note,
        ),
        spec=ScheduleSpec(
            intervals=[
                # None where it is zero: so the server answers, and an unchanged line is seen to be unchanged.
                ScheduleIntervalSpec(
                    every=timedelta(seconds=line.every_s), offset=timedelta(seconds=line.offset_s) or None
                )
            ],
            jitter=timedelta(seconds=line.jitter_s) or None,
        ),
        policy=SchedulePolicy(overlap=line.overlap, catchup_window=timedelta(seconds=line.catch_up_s)),
        state=ScheduleState(note=line.note),
    )


def _is_as(current: Schedule, wanted: Schedule) -> bool:
    """Whether a line changed nothing; arguments are constants and not compared. Spares a pause set in this moment."""
    now, then = current.action, wanted.action
    assert isinstance(then, ScheduleActionStartWorkflow)
    return (
        isinstance(now, ScheduleActionStartWorkflow)
        and (now.workflow, now.id, now.task_queue) == (then.workflow, then.id, then.task_queue)
        and (current.spec, current.policy) == (wanted.spec, wanted.policy)
    )


def _order(version: str) -> tuple[int, ...]:
    """A version for comparing; what is no number counts as 0."""
    return tuple(int(part) if part.isdecimal() else 0 for part in version.split("."))
