"""Activities that remove events: rows on queue `iris`, files on the queue of each node. Each may be run twice."""

from __future__ import annotations

from temporalio import activity

from activities.heartbeat import errors_told, tell_progress
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
from iris.ports import EventFiles, EventRemovals


class RemovalActivities:
    """Over the removed events of the main database; threads share one instance."""

    def __init__(self, removals: EventRemovals) -> None:
        self._removals = removals

    @activity.defn(name=names.ACTIVITY_ENTOMB_EVENTS, no_thread_cancel_exception=True)
    def entomb_events(self, start: EventDeletionStart) -> EntombedPage:
        """Rows of the next page go, tombstones stay."""
        with errors_told():
            return self._removals.entomb_page(start)

    @activity.defn(name=names.ACTIVITY_WAITING_NODES, no_thread_cancel_exception=True)
    def waiting_nodes(self, ref: OperationRef) -> NodeIds:
        """Nodes that may hold files of what an operation removed."""
        with errors_told():
            return NodeIds(self._removals.waiting_nodes(ref.operation_id))

    @activity.defn(name=names.ACTIVITY_WAITING_FILES, no_thread_cancel_exception=True)
    def waiting_files(self, place: BurialPlace) -> RemovedEvents:
        """The next page of removed events with files on a node."""
        with errors_told():
            return self._removals.waiting_files(place)

    @activity.defn(name=names.ACTIVITY_BURY_EVENTS, no_thread_cancel_exception=True)
    def bury_events(self, buried: BuriedEvents) -> None:
        """Their files are gone."""
        with errors_told():
            self._removals.bury(buried)


class EventFileActivities:
    """Over the files of events on this node."""

    def __init__(self, files: EventFiles) -> None:
        self._files = files

    @activity.defn(name=names.ACTIVITY_PURGE_EVENT_FILES, no_thread_cancel_exception=True)
    def purge_event_files(self, removed: RemovedEvents) -> PurgedFiles:
        """Every file of these events goes."""
        with errors_told():
            return self._files.purge(removed, tell_progress)
