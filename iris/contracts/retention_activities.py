"""Typed stubs of the activities of retention."""

from __future__ import annotations

from temporalio import activity

from iris.contracts import names
from iris.contracts.retention import EvictedEvents, EvictEvents, RetentionNodes, RetentionStart


@activity.defn(name=names.ACTIVITY_PLAN_RETENTION)
def plan_retention(start: RetentionStart) -> RetentionNodes:
    """Queue `iris`: which nodes have something to do; reads only."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_EVICT_EVENTS)
def evict_events(request: EvictEvents) -> EvictedEvents:
    """Queue of the node: remove what is too old and what the disk needs; rows first, idempotent, heartbeats."""
    raise NotImplementedError
