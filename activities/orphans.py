"""Activities of an orphan purge: its operation on queue `iris`, the files on the queue of each node."""

from __future__ import annotations

from typing import Protocol

from temporalio import activity

from activities.heartbeat import errors_told, tell_progress
from iris.contracts import names
from iris.contracts.orphans import BeginPurge, OrphanSurvey, OrphanSweep, PurgePlan, SurveyOrphans, SweepOrphans
from iris.ports import ProgressSink


class PurgeRecords(Protocol):
    """The operation of an orphan purge in the main database (implemented by `iris.store`)."""

    def begin(self, begin: BeginPurge) -> PurgePlan:
        """The operation of this run, made where nobody asked for it by hand, and whom to ask."""
        ...


class OrphanKeeper(Protocol):
    """Files of one node against what explains them (implemented by `iris.pipeline.orphans`)."""

    def survey(self, request: SurveyOrphans, progress: ProgressSink) -> OrphanSurvey:
        """Count what belongs to nothing; changes nothing."""
        ...

    def sweep(self, request: SweepOrphans, progress: ProgressSink) -> OrphanSweep:
        """Into quarantine, and old quarantine away; idempotent."""
        ...


class PurgeActivities:
    """Over the main database; threads share one instance."""

    def __init__(self, records: PurgeRecords) -> None:
        self._records = records

    @activity.defn(name=names.ACTIVITY_BEGIN_PURGE, no_thread_cancel_exception=True)
    def begin_orphan_purge(self, begin: BeginPurge) -> PurgePlan:
        """The operation of this run, and whom to ask."""
        with errors_told():
            return self._records.begin(begin)


class OrphanActivities:
    """Over the files of this node; threads share one instance."""

    def __init__(self, keeper: OrphanKeeper) -> None:
        self._keeper = keeper

    @activity.defn(name=names.ACTIVITY_SURVEY_ORPHANS, no_thread_cancel_exception=True)
    def survey_orphans(self, request: SurveyOrphans) -> OrphanSurvey:
        """Count what belongs to nothing."""
        with errors_told():
            return self._keeper.survey(request, tell_progress)

    @activity.defn(name=names.ACTIVITY_SWEEP_ORPHANS, no_thread_cancel_exception=True)
    def sweep_orphans(self, request: SweepOrphans) -> OrphanSweep:
        """Into quarantine, and old quarantine away."""
        with errors_told():
            return self._keeper.sweep(request, tell_progress)
