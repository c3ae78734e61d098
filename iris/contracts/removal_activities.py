"""Typed stubs of the activities that remove events; every workflow that removes any shares those about files."""

from __future__ import annotations

from temporalio import activity

from iris.contracts import names
from iris.contracts.operations import OperationRef
from iris.contracts.removal import (
    BurialPlace,
    BuriedEvents,
    EntombedPage,
    EventDeletionStart,
    NodeIds,
    PurgedFiles,
    RemovedEvents,
)


@activity.defn(name=names.ACTIVITY_ENTOMB_EVENTS)
def entomb_events(start: EventDeletionStart) -> EntombedPage:
    """Queue `iris`: remove the rows of the next page, leave tombstones; where it was is kept in the operation."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_WAITING_NODES)
def waiting_nodes(ref: OperationRef) -> NodeIds:
    """Queue `iris`: nodes that may hold files of events which an operation removed."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_WAITING_FILES)
def waiting_files(place: BurialPlace) -> RemovedEvents:
    """Queue `iris`: the next page of removed events whose files may be on a node; empty at the end."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_PURGE_EVENT_FILES)
def purge_event_files(removed: RemovedEvents) -> PurgedFiles:
    """Queue of the node: remove every file of these events, durable when it returns; idempotent, heartbeats."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_BURY_EVENTS)
def bury_events(buried: BuriedEvents) -> None:
    """Queue `iris`: their files are gone for good; idempotent."""
    raise NotImplementedError
