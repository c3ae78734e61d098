"""Annotated dependencies of the routes. Access is not here: `guards.Guard` decided before any route was looked for."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Path, Request

from iris.base.errors import InputError, NotFoundError
from iris.base.ids import CameraId, EventId, parse_id
from web.api.errors import title_of
from web.api.schemas import Problem
from web.api.services import Services


async def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


async def _camera_id(camera_id: Annotated[str, Path(description="uuid of a camera")]) -> CameraId:
    return CameraId(_known(camera_id, "camera"))


async def _event_id(event_id: Annotated[str, Path(description="uuid of an event")]) -> EventId:
    return EventId(_known(event_id, "event"))


async def _notification_id(notification_id: Annotated[str, Path(description="uuid of a notification")]) -> str:
    return _known(notification_id, "notification")


async def _operation_id(operation_id: Annotated[str, Path(description="uuid of an operation")]) -> str:
    return _known(operation_id, "operation")


async def _no_body(request: Request) -> None:
    """Whoever sends fields expects them to count: better to say that there are none."""
    if await request.body() not in (b"", b"{}"):
        raise InputError("this request takes no fields; send no body")


async def _no_query(request: Request) -> None:
    """As lists with parameters do: an unknown one is refused, since its sender expects it to count."""
    if request.query_params:
        raise InputError("this list takes no parameters; leave them out")


def _known(text: str, kind: str) -> str:
    """An id in a path: whatever is none names nothing that exists."""
    try:
        return parse_id(text)
    except InputError:
        raise NotFoundError(f"there is no such {kind}") from None


ServicesDep = Annotated[Services, Depends(_services)]
CameraIdDep = Annotated[CameraId, Depends(_camera_id)]
NotificationIdDep = Annotated[str, Depends(_notification_id)]
NO_BODY = [Depends(_no_body)]
NO_QUERY = [Depends(_no_query)]
OperationIdDep = Annotated[str, Depends(_operation_id)]
EventIdDep = Annotated[EventId, Depends(_event_id)]

Responses = dict[int | str, dict[str, object]]


def problems(*statuses: int) -> Responses:
    """Descriptions of the errors that a route may answer with."""
    return {status: {"model": Problem, "description": title_of(status)} for status in statuses}


def media(media_type: str, description: str, status: int = 200) -> Responses:
    """Description of an answer that is no JSON."""
    return {status: {"content": {media_type: {}}, "description": description}}
