"""What crosses Temporal about removing events. Ids and numbers only; a page of 200 events stays below 20 kB.

New fields get defaults; nothing is renamed in place (recorded histories must go on decoding).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventDeletionStart:
    """Argument of the EventDeletion workflow; what it selects is in the operation's row.

    `pages_per_run` bounds the history of one run: at 20 kB for 200 events it stays far below what Temporal warns of.
    """

    operation_id: str
    pages_per_run: int = 25


@dataclass(frozen=True, slots=True)
class EventDeletionResult:
    """Result of the EventDeletion workflow, which is the operation's result too.

    Attributes:
        events: Removed events.
        files: Their clip files and thumbnails.
        size_bytes: Of the clip files.
        left_held: Selected, and kept because they are on hold.
        left_open: Selected, and kept because they are not finished.
        not_found: Named one by one, and not there.
    """

    events: int = 0
    files: int = 0
    size_bytes: int = 0
    left_held: int = 0
    left_open: int = 0
    not_found: int = 0


@dataclass(frozen=True, slots=True)
class EntombedPage:
    """Answer of `entomb_events`: what is removed and left so far, and whether there is another page to look at."""

    counts: EventDeletionResult
    more: bool


@dataclass(frozen=True, slots=True)
class EventPlace:
    """Names one removed event and the camera in whose folder its clip lies."""

    event_id: str
    camera_id: str


@dataclass(frozen=True, slots=True)
class RemovedEvents:
    """Removed events of one node whose files may exist."""

    events: tuple[EventPlace, ...] = ()


@dataclass(frozen=True, slots=True)
class BurialPlace:
    """Asks for events that an operation removed and whose files may be on a node."""

    operation_id: str
    node_id: str


@dataclass(frozen=True, slots=True)
class BuriedEvents:
    """Removed events of an operation whose files are gone for good."""

    operation_id: str
    event_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PurgedFiles:
    """Answer of `purge_event_files`: what was there to remove. A repeated call finds less."""

    file_count: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class NodeIds:
    """Names nodes."""

    node_ids: tuple[str, ...] = ()
