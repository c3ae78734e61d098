"""The `CameraRemovalRecords` port over the store: one unit of work per call, so that an activity may be run twice."""

from __future__ import annotations

from iris.base.failpoint import failpoint
from iris.base.ids import CameraId
from iris.contracts.camera_removal import (
    CameraRemovalStart,
    EntombedRows,
    KnownEvents,
    RemovalEnd,
    RemovalPlan,
    SurveyNote,
)
from iris.ports import Clock
from iris.store.engine import Store


class StoreCameraRemovals:
    """Removals of cameras in the main database; every method raises `StoreError` where it is away."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def begin(self, start: CameraRemovalStart) -> RemovalPlan:
        """See `CameraRemovalRecords.begin`."""
        with self._store.writing() as work:
            before = work.camera_removals.begin(start.operation_id, self._clock.wall_us())
            if before is not None:
                return RemovalPlan(waits_for=before.operation_id)
            return RemovalPlan(tuple(work.camera_removals.node_ids(CameraId(start.camera_id))))

    def note_survey(self, note: SurveyNote) -> None:
        """See `CameraRemovalRecords.note_survey`."""
        with self._store.writing() as work:
            work.camera_removals.note_survey(note.operation_id, note.node_id, note.survey, self._clock.wall_us())

    def entomb_known(self, known: KnownEvents) -> None:
        """See `CameraRemovalRecords.entomb_known`."""
        with self._store.writing() as work:
            work.camera_removals.entomb_known(
                known.operation_id, CameraId(known.camera_id), known.events, self._clock.wall_us()
            )

    def entomb_page(self, start: CameraRemovalStart) -> EntombedRows:
        """See `CameraRemovalRecords.entomb_page`."""
        with self._store.writing() as work:
            page = work.camera_removals.entomb_page(
                start.operation_id, CameraId(start.camera_id), self._clock.wall_us()
            )
        failpoint("camera_removal.after_tombstones")
        return page

    def finish(self, start: CameraRemovalStart) -> RemovalEnd:
        """See `CameraRemovalRecords.finish`."""
        failpoint("camera_removal.before_finish")
        with self._store.writing() as work:
            left, certificate = work.camera_removals.finish(
                start.operation_id, CameraId(start.camera_id), self._clock.wall_us()
            )
        count, clips = certificate.get("event_count", 0), certificate.get("clip_files", 0)
        return RemovalEnd(left, "" if left else f"{count} events and {clips} clip files were removed")
