"""Typed stubs of the activities of an orphan purge. The implementations live in `activities/orphans.py`."""

from __future__ import annotations

from temporalio import activity

from iris.contracts import names
from iris.contracts.orphans import BeginPurge, OrphanSurvey, OrphanSweep, PurgePlan, SurveyOrphans, SweepOrphans


@activity.defn(name=names.ACTIVITY_BEGIN_PURGE)
def begin_orphan_purge(begin: BeginPurge) -> PurgePlan:
    """Queue `iris`: the operation of this run, and the nodes that can be asked; idempotent."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_SURVEY_ORPHANS)
def survey_orphans(request: SurveyOrphans) -> OrphanSurvey:
    """Queue of the node: walk the media folders and count what belongs to nothing; changes nothing, heartbeats."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_SWEEP_ORPHANS)
def sweep_orphans(request: SweepOrphans) -> OrphanSweep:
    """Queue of the node: orphans into quarantine, expired quarantine away; idempotent, heartbeats."""
    raise NotImplementedError
