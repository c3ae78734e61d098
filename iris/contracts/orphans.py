"""What crosses Temporal about an orphan purge: counts, sentences, and the first paths relative to DATA_DIR.

New fields get defaults; nothing is renamed in place (recorded histories must go on decoding).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

TRIGGER_SCHEDULE: Final = "schedule"
TRIGGER_BOOT: Final = "boot"
TRIGGER_REQUEST: Final = "request"


@dataclass(frozen=True, slots=True)
class OrphanPurgeStart:
    """Argument of the OrphanPurge workflow: who started it. What a person asked for is in the operation's row."""

    trigger: str = TRIGGER_SCHEDULE


@dataclass(frozen=True, slots=True)
class BeginPurge:
    """Asks for the operation of this run; one is made where nobody asked for it by hand."""

    workflow_id: str
    trigger: str


@dataclass(frozen=True, slots=True)
class PurgePlan:
    """What this run does, and on which nodes. `silent_node_ids` gave no sign of life lately and are left out."""

    operation_id: str
    batch: str
    dry_run: bool
    max_share: float | None = None
    node_ids: tuple[str, ...] = ()
    silent_node_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SurveyOrphans:
    """Asks a node what it would move. `max_share` is a person's word in place of the setting; None: the setting."""

    max_share: float | None = None


@dataclass(frozen=True, slots=True)
class FolderOrphans:
    """Files of one media folder, and those of them that belong to nothing."""

    folder: str
    file_count: int
    size_bytes: int
    orphan_count: int
    orphan_bytes: int


@dataclass(frozen=True, slots=True)
class OrphanSurvey:
    """What a node found. With a `refusal` nothing may be moved or deleted there."""

    folders: tuple[FolderOrphans, ...] = ()
    examples: tuple[str, ...] = ()
    missing_clip_count: int = 0
    expired_count: int = 0
    expired_bytes: int = 0
    refusal: str = ""

    @property
    def orphan_count(self) -> int:
        """Over all folders."""
        return sum(folder.orphan_count for folder in self.folders)


@dataclass(frozen=True, slots=True)
class SweepOrphans:
    """Asks a node to move its orphans into `quarantine/<batch>/`, no more than were found a moment ago."""

    batch: str
    most_count: int
    expire: bool = True  # whether to delete what lay in quarantine for long


@dataclass(frozen=True, slots=True)
class OrphanSweep:
    """What a node moved into this run's quarantine, and deleted of earlier ones; `refusal` says why it stopped."""

    moved_count: int = 0
    moved_bytes: int = 0
    deleted_count: int = 0
    deleted_bytes: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class OrphanPurgeOutcome:
    """Result of the workflow."""

    operation_id: str
    moved_count: int = 0
    deleted_count: int = 0
    refusal: str = ""
