"""Typed stubs of the activities: what workflows call. The implementations live in `activities/`."""

from __future__ import annotations

from temporalio import activity

from iris.contracts import names
from iris.contracts.events import (
    AbandonedEvent,
    AssembleClip,
    ClipResult,
    EventMessage,
    EventRef,
    FinaliseEvent,
    RecordedEvent,
    ThumbnailResult,
)


@activity.defn(name=names.ACTIVITY_RECORD_EVENT)
def record_event(message: EventMessage) -> RecordedEvent:
    """Queue `iris`: insert or update the event's row; idempotent by event id and sequence number."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_CLOSE_ABANDONED)
def close_abandoned_event(ref: EventRef) -> AbandonedEvent:
    """Queue of the node: the closing message of an event that its camera process no longer holds."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_ASSEMBLE_CLIP)
def assemble_clip(request: AssembleClip) -> ClipResult:
    """Queue of the node: wait for the last segment, assemble, verify, publish; idempotent, heartbeats."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_PUBLISH_THUMBNAIL)
def publish_thumbnail(ref: EventRef) -> ThumbnailResult:
    """Queue of the node: the event's best shot to `thumbnails/`, durable."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_FINALISE_EVENT)
def finalise_event(request: FinaliseEvent) -> RecordedEvent:
    """Queue `iris`: terminal state, clip rows and gaps in one transaction; idempotent."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_RELEASE_EVENT)
def release_event(ref: EventRef) -> None:
    """Queue of the node: unlink the pins and drop the outbox rows of a finished event."""
    raise NotImplementedError


@activity.defn(name=names.ACTIVITY_DISCARD_EVENT)
def discard_event(ref: EventRef) -> None:
    """Queue of the node: remove every file of an event that was removed meanwhile, and release it; idempotent."""
    raise NotImplementedError
