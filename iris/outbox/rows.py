"""Outbox rows: an event message as JSON, and the message of an event's state."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from iris.contracts.events import EventMessage

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
