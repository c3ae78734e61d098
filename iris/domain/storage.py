"""How full a node's disk is, and what the node says of making room on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class DiskFigures:
    """A node's disk as `df` counts it: what only the system may use belongs to nobody.

    Attributes:
        used_bytes: In use, by whomever.
        free_bytes: What Iris may still write.
        write_bytes_per_s: What the cameras of the node write now.
    """

    used_bytes: int
    free_bytes: int
    write_bytes_per_s: float = 0.0

    @property
    def usable_bytes(self) -> int:
        """Used and free together."""
        return self.used_bytes + self.free_bytes

    @property
    def used_share(self) -> float:
        """Used of usable, 0 to 1; a disk without any room is full."""
        return self.used_bytes / self.usable_bytes if self.usable_bytes else 1.0


@dataclass(frozen=True, slots=True)
class StorageReport:
    """What a node says of its disk and of retention.

    Attributes:
        disk: The disk that holds DATA_DIR.
        wants_pass: Whether the Retention workflow has something to do here.
        alarm: A sentence where a person has to act: only held footage is left, or the database is away.
        age_suspended: Why nothing goes by age now (the clock), or None.
        age_waits: Why removal by age waits for a confirmation, or None.
        evicted_counts: Events removed since the node started, by `age` and `space`.
        evicted_bytes: Their clips.
    """

    disk: DiskFigures
    wants_pass: bool = False
    alarm: str | None = None
    age_suspended: str | None = None
    age_waits: str | None = None
    evicted_counts: dict[str, int] = field(default_factory=dict)
    evicted_bytes: int = 0


def storage_report(values: object) -> StorageReport | None:
    """The report in what a node sent or signed as JSON; None where this version understands none."""
    if not isinstance(values, dict):
        return None
    known: dict[str, Any] = {name: values[name] for name in StorageReport.__dataclass_fields__ if name in values}
    try:
        return StorageReport(**{**known, "disk": DiskFigures(**known["disk"])})
    except (KeyError, TypeError):
        return None
