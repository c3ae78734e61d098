"""Activities that remove a camera's footage: the main database's side and a node's. Idempotent, each of them."""

from __future__ import annotations

from temporalio import activity

from activities.heartbeat import errors_told, tell_progress
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
from iris.ports import CameraFootage, CameraRemovalRecords, CameraSwitch


class CameraRemovalActivities:
    """Over the main database; threads share one instance."""

    def __init__(self, records: CameraRemovalRecords) -> None:
        self._records = records

    @activity.defn(name=names.ACTIVITY_BEGIN_CAMERA_REMOVAL, no_thread_cancel_exception=True)
    def begin_camera_removal(self, start: CameraRemovalStart) -> RemovalPlan:
        """Whose turn it is, and where to look."""
        with errors_told():
            return self._records.begin(start)

    @activity.defn(name=names.ACTIVITY_NOTE_CAMERA_SURVEY, no_thread_cancel_exception=True)
    def note_camera_survey(self, note: SurveyNote) -> None:
        """Keep what was found, before anything of it goes."""
        with errors_told():
            self._records.note_survey(note)

    @activity.defn(name=names.ACTIVITY_ENTOMB_KNOWN_EVENTS, no_thread_cancel_exception=True)
    def entomb_known_events(self, known: KnownEvents) -> None:
        """Tombstones for what only a node knows."""
        with errors_told():
            self._records.entomb_known(known)

    @activity.defn(name=names.ACTIVITY_ENTOMB_CAMERA_EVENTS, no_thread_cancel_exception=True)
    def entomb_camera_events(self, start: CameraRemovalStart) -> EntombedRows:
        """The next page of rows."""
        with errors_told():
            return self._records.entomb_page(start)

    @activity.defn(name=names.ACTIVITY_FINISH_CAMERA_REMOVAL, no_thread_cancel_exception=True)
    def finish_camera_removal(self, start: CameraRemovalStart) -> RemovalEnd:
        """The last look at the database, and the certificate."""
        with errors_told():
            return self._records.finish(start)


class CameraFootageActivities:
    """Over the process and the files of one node's cameras; threads share one instance."""

    def __init__(self, switch: CameraSwitch, footage: CameraFootage) -> None:
        self._switch = switch
        self._footage = footage

    @activity.defn(name=names.ACTIVITY_STOP_CAMERA, no_thread_cancel_exception=True)
    def stop_camera(self, ref: CameraRef) -> None:
        """No process of it from now on."""
        with errors_told():
            self._switch.stop(ref.camera_id)

    @activity.defn(name=names.ACTIVITY_SURVEY_CAMERA, no_thread_cancel_exception=True)
    def survey_camera(self, ref: CameraRef) -> CameraSurvey:
        """Count what is here."""
        with errors_told():
            return self._footage.survey(ref.camera_id, tell_progress)

    @activity.defn(name=names.ACTIVITY_LIST_CAMERA_EVENTS, no_thread_cancel_exception=True)
    def list_camera_events(self, page: CameraEventsPage) -> NodeEvents:
        """Events that the camera's own file knows."""
        with errors_told():
            return self._footage.events(page)

    @activity.defn(name=names.ACTIVITY_PURGE_CAMERA, no_thread_cancel_exception=True)
    def purge_camera(self, ref: CameraRef) -> None:
        """Everything of it on this host."""
        with errors_told():
            self._footage.purge(ref.camera_id, tell_progress)

    @activity.defn(name=names.ACTIVITY_LOOK_FOR_REMAINS, no_thread_cancel_exception=True)
    def look_for_remains(self, ref: CameraRef) -> CameraRemains:
        """What a look at disk and marks still finds."""
        with errors_told():
            return self._footage.remains(ref.camera_id)

    @activity.defn(name=names.ACTIVITY_RESUME_CAMERA, no_thread_cancel_exception=True)
    def resume_camera(self, ref: CameraRef) -> None:
        """It may run again."""
        with errors_told():
            self._switch.resume(ref.camera_id)
