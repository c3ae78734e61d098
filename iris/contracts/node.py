"""What crosses Temporal about a node: what its cameras should do, what they do, what was repaired.

New fields get defaults; nothing is renamed in place. All `_us` are wall time in microseconds UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

NODE_UP: Final = "up"
NODE_GONE: Final = "gone"

# What a repair was.
REPAIR_STARTED: Final = "started"  # it was wanted and nothing ran it
REPAIR_RESTARTED: Final = "restarted"  # it hung, ran for old settings, or nobody watched over it
REPAIR_STOPPED: Final = "stopped"  # it ran and was not wanted
REPAIR_ENDED: Final = "ended"  # a camera process that no supervisor knew


@dataclass(frozen=True, slots=True)
class NodeWatch:
    """Argument of the Node workflow and all of its state: what one run hands to the next.

    Attributes:
        node_id: The node.
        every_s: Seconds between two rounds without a word.
        round_count: Rounds done since the workflow was first started.
        repair_count: Repairs in all of them.
        last_repair: The newest repair, in words; empty: none was needed so far.
        rounds_per_run: A round is about 13 events of the history; Temporal suggests a new run at 4,096.
    """

    node_id: str
    every_s: float = 20.0
    round_count: int = 0
    repair_count: int = 0
    last_repair: str = ""
    rounds_per_run: int = 250


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """Word that cameras changed, or that the node has just started; `every_s` is its setting now."""

    every_s: float


@dataclass(frozen=True, slots=True)
class ReconcileNode:
    """Asks a node to compare the cameras that should run with those that do."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Repair:
    """One thing that was not as it should be, and is now (or soon)."""

    camera_id: str
    action: str
    reason: str


@dataclass(frozen=True, slots=True)
class NodeReport:
    """Answer of `reconcile_node`.

    Attributes:
        checked_us: When.
        wanted_count: Cameras that should run.
        running_count: Of these, those with a process that beats.
        repairs: What was repaired in this round, 50 at most.
        repair_count: How many there were.
        store_answered: Whether the database was asked; else the node's own copy of its cameras counted.
    """

    checked_us: int
    wanted_count: int
    running_count: int
    repairs: tuple[Repair, ...] = ()
    repair_count: int = 0
    store_answered: bool = True


@dataclass(frozen=True, slots=True)
class LookAfterNode:
    """Asks what the database knows of a node whose queue does or does not answer."""

    node_id: str
    answers: bool


@dataclass(frozen=True, slots=True)
class NodeLife:
    """Answer of `look_after_node`: `state` by its sign of life in the database (None: it never gave one)."""

    state: str
    heartbeat_us: int | None = None
    camera_count: int = 0
