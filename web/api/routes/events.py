"""Events: pages of them, one of them, its clip and its thumbnail."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from iris.base.errors import InputError, NotFoundError
from iris.base.ids import CameraId, EventId, parse_id
from iris.domain.event import EventState
from iris.store.events import EventFilters, EventRow
from web.api.deps import EventIdDep, ServicesDep, media, problems
from web.api.media import MediaFile, resolve_media
from web.api.schemas import Event, EventPage, EventQuery
from web.api.services import Services
from web.api.wire import json_answer, page_answer, wire_event

_CLIP = media("video/mp4", "the whole file") | media("video/mp4", "the range asked for", 206)
_JPEG = media("image/jpeg", "the best shot")


def events_router() -> APIRouter:
    """The routes below /api/events."""
    router = APIRouter(prefix="/api/events", tags=["events"])
    router.get("", response_model=EventPage, responses=problems(422, 503))(list_events)
    router.get("/{event_id}", response_model=Event, responses=problems(404, 503))(read_event)
    router.get("/{event_id}/clip", response_class=Response, responses=_CLIP | problems(404, 412, 416, 422, 503))(
        event_clip
    )
    router.get("/{event_id}/thumbnail", response_class=Response, responses=_JPEG | problems(404, 503))(event_thumbnail)
    return router


def list_events(services: ServicesDep, query: Annotated[EventQuery, Query()]) -> Response:
    """Events, newest first. `next_cursor` goes into `cursor` of the next request; null means the end."""
    if query.person_id is not None:
        parse_id(query.person_id, field="person_id")
        return page_answer([], None)  # nobody is named yet, so nobody was seen
    filters = EventFilters(
        camera_id=None if query.camera_id is None else CameraId(parse_id(query.camera_id, field="camera_id")),
        from_us=query.from_,
        to_us=query.to,
        label=query.label,
        state=None if query.state is None else EventState(query.state),
        held=query.held,
    )
    if query.cursor is not None and query.offset:
        raise InputError("cursor and offset cannot be combined", field="offset")
    with services.store.reading() as repositories:
        rows, next_cursor = repositories.events.page(
            filters, limit=query.limit, cursor=query.cursor, offset=query.offset
        )
    return page_answer([wire_event(row) for row in rows], next_cursor)


def read_event(event_id: EventIdDep, services: ServicesDep) -> Response:
    """One event."""
    return json_answer(wire_event(_row(services, event_id)))


def event_clip(
    event_id: EventIdDep, services: ServicesDep, part: Annotated[int, Query(ge=0, le=10_000)] = 0
) -> Response:
    """The clip as MP4, with byte ranges. `part` names a further file, where the camera changed its stream."""
    row = _row(services, event_id)
    if row.state not in (EventState.READY, EventState.PARTIAL):
        raise NotFoundError(f"the event has no clip: it is {row.state.value}")
    if part >= len(row.clip_files):
        raise NotFoundError("the clip has no such part")
    file = row.clip_files[part]
    return MediaFile(
        resolve_media(services.data_dir, "recordings", file.path),
        etag=f'"{file.sha256}"',
        media_type="video/mp4",
        size_bytes=file.size_bytes,
        name=f"{event_id}.mp4" if part == 0 else f"{event_id}.{part}.mp4",
    )


def event_thumbnail(event_id: EventIdDep, services: ServicesDep) -> Response:
    """The best shot as JPEG."""
    row = _row(services, event_id)
    if row.thumbnail_path is None:
        raise NotFoundError("the event has no thumbnail")
    return MediaFile(
        resolve_media(services.data_dir, "thumbnails", row.thumbnail_path),
        etag=f'"{event_id}-{row.finalised_us}"',
        media_type="image/jpeg",
        size_bytes=None,
        name=f"{event_id}.jpg",
    )


def _row(services: Services, event_id: EventId) -> EventRow:
    with services.store.reading() as repositories:
        return repositories.events.get(event_id)
