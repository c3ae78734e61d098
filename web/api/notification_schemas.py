"""Notifications on the wire: what a page of them asks for, and what it shows of each."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class NotificationQuery(BaseModel):
    """Which page of notifications."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    limit: int = Field(50, ge=1, le=500)
    cursor: str | None = Field(None, max_length=200)


class Notification(BaseModel):
    """Word to the receiver about one event. `attempts` counts the tries; `failure` is about the newest that failed."""

    model_config = ConfigDict(extra="forbid")

    id: str
    kind: Literal["event.finished"]
    event_id: str
    state: Literal["waiting", "delivered", "dead"]
    attempts: int
    failure: str | None
    created_at: str
    next_try_at: str | None
    delivered_at: str | None
    dead_at: str | None


class NotificationPage(BaseModel):
    """Notifications, newest first."""

    model_config = ConfigDict(extra="forbid")

    items: list[Notification]
    next_cursor: str | None
