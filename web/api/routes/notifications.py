"""Notifications: what was told to the receiver, what waits, what was given up, and another try by hand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from iris.base.timebase import format_rfc3339
from iris.store.notifications import NotificationRow, NotificationState
from web.api.deps import NotificationIdDep, ServicesDep, problems
from web.api.notification_schemas import Notification, NotificationPage, NotificationQuery
from web.api.wire import WireObject, json_answer, page_answer, wire_time


def notifications_router() -> APIRouter:
    """The routes below /api/notifications."""
    router = APIRouter(prefix="/api/notifications", tags=["notifications"])
    router.get("", response_model=NotificationPage, responses=problems(422, 503))(list_notifications)
    router.post("/{notification_id}/retry", response_model=Notification, responses=problems(404, 409, 503))(
        retry_notification
    )
    return router


def list_notifications(services: ServicesDep, query: Annotated[NotificationQuery, Query()]) -> Response:
    """Notifications, newest first; what was delivered or given up stays for 30 days."""
    with services.store.reading() as repositories:
        rows, next_cursor = repositories.notifications.page(limit=query.limit, cursor=query.cursor)
    return page_answer([wire_notification(row) for row in rows], next_cursor)


def retry_notification(notification_id: NotificationIdDep, services: ServicesDep) -> Response:
    """Try a notification again now, also one that was given up; 409 where it was delivered."""
    with services.store.writing() as repositories:
        row = repositories.notifications.retry(notification_id, services.clock.wall_us())
    return json_answer(wire_notification(row))


def wire_notification(row: NotificationRow) -> WireObject:
    """A notification without its body: names of cameras stay between Iris and the receiver."""
    return {
        "id": row.notification_id,
        "kind": row.kind,
        "event_id": row.event_id,
        "state": row.state,
        "attempts": row.attempt_count,
        "failure": row.failure,
        "created_at": format_rfc3339(row.created_us),
        "next_try_at": format_rfc3339(row.due_us) if row.state is NotificationState.WAITING else None,
        "delivered_at": wire_time(row.delivered_us),
        "dead_at": wire_time(row.dead_us),
    }
