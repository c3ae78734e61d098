"""What crosses Temporal about retention: which nodes have something to do, and what went there. Ids and numbers only.

New fields get defaults; nothing is renamed in place (recorded histories must go on decoding).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# How often the schedule starts a pass. Measured: a pass that finds nothing to do costs Temporal's database 22 KB for as
# long as closed workflows are kept, a week; every minute that would be 220 MB, which is more than a small disk has.
PASS_EVERY_S: Final = 300


@dataclass(frozen=True, slots=True)
class RetentionStart:
    """Argument of the Retention workflow; `operation_id` where a person asked for the pass, else None."""

    operation_id: str | None = None


@dataclass(frozen=True, slots=True)
class RetentionNodes:
    """Answer of `plan_retention`.

    Attributes:
        node_ids: Nodes with something to do; all that are alive where a person asked.
        silent_count: Nodes without a fresh sign of life; they are left out.
        confirmed: A person vouches for the clock, and for however many are too old.
    """

    node_ids: tuple[str, ...] = ()
    silent_count: int = 0
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class EvictEvents:
    """Argument of `evict_events`; see `RetentionNodes`."""

    operation_id: str | None = None
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class EvictedEvents:
    """What went on one node.

    Attributes:
        age_count: Events that were too old.
        space_count: Events whose room was needed.
        freed_bytes: Their clips.
        more: Whether the pass is not finished and wants to be called again.
        notes: Sentences about what did not go and why.
    """

    age_count: int = 0
    space_count: int = 0
    freed_bytes: int = 0
    more: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetentionResult:
    """Result of the Retention workflow, which is the operation's result too; the sums over all nodes."""

    age_count: int = 0
    space_count: int = 0
    freed_bytes: int = 0
    silent_nodes: int = 0
    notes: tuple[str, ...] = ()
