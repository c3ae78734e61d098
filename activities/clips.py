"""Activities of a node's queue: the files of an event. Idempotent because the workshop publishes by rename."""

from __future__ import annotations

from typing import Final

from temporalio import activity

from activities.heartbeat import errors_told, pause, tell_progress
from iris.base.timebase import US_PER_S
from iris.contracts import names
from iris.contracts.events import AbandonedEvent, AssembleClip, ClipResult, EventRef, ThumbnailResult
from iris.contracts.policies import SEGMENT_PATIENCE
from iris.ports import ClipWorkshop, Clock

# A clip is due 3 s after its last segment is there, so looking ten times a second costs nothing of that.
_POLL_S: Final = 0.1
# Bounds the wait where the wall clock steps: the window itself has passed when assembly is asked for.
_LONGEST_WAIT_S: Final = 4 * SEGMENT_PATIENCE.total_seconds()


class ClipActivities:
    """Over the files of this node; threads share one instance."""

    def __init__(self, workshop: ClipWorkshop, clock: Clock) -> None:
        self._workshop = workshop
        self._clock = clock

    @activity.defn(name=names.ACTIVITY_ASSEMBLE_CLIP, no_thread_cancel_exception=True)
    def assemble_clip(self, request: AssembleClip) -> ClipResult:
        """Wait for the segment that holds the window's end, then assemble what is there."""
        with errors_told():
            self._wait_until_settled(request)
            return self._workshop.assemble(request, tell_progress)

    @activity.defn(name=names.ACTIVITY_PUBLISH_THUMBNAIL, no_thread_cancel_exception=True)
    def publish_thumbnail(self, ref: EventRef) -> ThumbnailResult:
        """Best shot to its final place."""
        with errors_told():
            return self._workshop.publish_thumbnail(ref)

    @activity.defn(name=names.ACTIVITY_CLOSE_ABANDONED, no_thread_cancel_exception=True)
    def close_abandoned_event(self, ref: EventRef) -> AbandonedEvent:
        """The closing message, unless the camera process holds the event open."""
        with errors_told():
            return AbandonedEvent(message=self._workshop.close_abandoned(ref))

    @activity.defn(name=names.ACTIVITY_RELEASE_EVENT, no_thread_cancel_exception=True)
    def release_event(self, ref: EventRef) -> None:
        """Unlink pins, let the outbox rows go."""
        with errors_told():
            self._workshop.release(ref)

    @activity.defn(name=names.ACTIVITY_DISCARD_EVENT, no_thread_cancel_exception=True)
    def discard_event(self, ref: EventRef) -> None:
        """Every file of a removed event goes, with its pins and outbox rows."""
        with errors_told():
            self._workshop.discard(ref)

    def _wait_until_settled(self, request: AssembleClip) -> None:
        """Return when nothing more can come for the window, or when waiting longer is no use."""
        patience_s = SEGMENT_PATIENCE.total_seconds()
        left_s = (request.window_end_us - self._clock.wall_us()) / US_PER_S + patience_s
        deadline_us = self._clock.monotonic_us() + round(min(left_s, _LONGEST_WAIT_S) * US_PER_S)
        polls = 0
        while not self._workshop.settled(request) and self._clock.monotonic_us() < deadline_us:
            polls += 1
            tell_progress("waiting for the last segment", polls, 0)
            pause(_POLL_S)
