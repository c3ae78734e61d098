"""Rows of a camera's file: outbox messages as JSON, and the events that are open."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import Any

from iris.contracts.events import EventMessage
from iris.domain.event import OpenEvent

OPENED, UPDATED, CLOSED = "opened", "updated", "closed"


def message_to_json(message: EventMessage) -> str:
    """What the row holds.

    >>> message_from_json(message_to_json(EventMessage("opened", "e", "c", "n", 1, 5, 6, 4))).seq
    1
    """
    return json.dumps(asdict(message), separators=(",", ":"))


def message_from_json(text: str) -> EventMessage:
    """An outbox row's message; fields that this version does not know are dropped."""
    fields: dict[str, Any] = json.loads(text)
    known = {name: value for name, value in fields.items() if name in EventMessage.__slots__}
    return EventMessage(**{**known, "labels": tuple(known.get("labels", ()))})


def read_open_events(connection: sqlite3.Connection) -> list[OpenEvent]:
    """The events that are open, presence before manual recording; of a file of version 0.1.0 too."""
    columns = "event_id, started_us, last_seen_us, window_start_us, labels, seq, continues"
    if connection.execute("PRAGMA user_version").fetchone()[0] < 2:
        query = f"SELECT {columns}, NULL FROM open_event"  # noqa: S608 - column names only
    else:
        query = f"SELECT {columns}, stops_us FROM open_events ORDER BY kind DESC"  # noqa: S608 - column names only
    rows = connection.execute(query).fetchall()
    return [
        OpenEvent(event_id, started_us, last_seen_us, window_start_us, tuple(json.loads(labels)), *rest)
        for event_id, started_us, last_seen_us, window_start_us, labels, *rest in rows
    ]
