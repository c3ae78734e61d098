"""Typed stubs of the activities that remove a camera's footage; those about event files are in `removal_activities`."""

from __future__ import annotations

from temporalio import activity

from iris.contracts import names
from iris.contracts.camera_removal import (
    CameraEventsPage,
    CameraRef,
    CameraRemains,
    CameraRemovalStart,
    CameraSurvey,
    EntombedRows,
    KnownEvents,
    NodeEvents,
    RemovalEnd,
    RemovalPlan,
    SurveyNote,
)


@activity.defn(name=names.ACTIVITY_BEGIN_CAMERA_REMOVAL)
def begin_camera_removal(start: CameraRemovalStart) -> RemovalPlan:
    """Queue `iris`: whose turn it is, and which nodes may hold something of the camera."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_NOTE_CAMERA_SURVEY)
def note_camera_survey(note: SurveyNote) -> None:
    """Queue `iris`: keep a node's survey with the operation; idempotent, the first counts."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_ENTOMB_KNOWN_EVENTS)
def entomb_known_events(known: KnownEvents) -> None:
    """Queue `iris`: tombstones for events that a node knows and the database does not; idempotent."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_ENTOMB_CAMERA_EVENTS)
def entomb_camera_events(start: CameraRemovalStart) -> EntombedRows:
    """Queue `iris`: remove the next page of the camera's rows, leave tombstones, count what went."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_FINISH_CAMERA_REMOVAL)
def finish_camera_removal(start: CameraRemovalStart) -> RemovalEnd:
    """Queue `iris`: look once more, then end the operation with its certificate; idempotent."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_STOP_CAMERA)
def stop_camera(ref: CameraRef) -> None:
    """Queue of the node: returns when no process of the camera lives or can be started here."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_SURVEY_CAMERA)
def survey_camera(ref: CameraRef) -> CameraSurvey:
    """Queue of the node: what of the camera is here; removes nothing, heartbeats."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_LIST_CAMERA_EVENTS)
def list_camera_events(page: CameraEventsPage) -> NodeEvents:
    """Queue of the node: a page of the events that the camera's own file knows."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_PURGE_CAMERA)
def purge_camera(ref: CameraRef) -> None:
    """Queue of the node: remove every file and mark of the camera, for good; idempotent, heartbeats."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_LOOK_FOR_REMAINS)
def look_for_remains(ref: CameraRef) -> CameraRemains:
    """Queue of the node: what is still there of the camera."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_RESUME_CAMERA)
def resume_camera(ref: CameraRef) -> None:
    """Queue of the node: the camera may run again; look at the database now."""
    raise NotImplementedError
