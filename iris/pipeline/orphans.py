"""Finds files that belong to nothing and moves them into quarantine; refuses where the evidence cannot be trusted.

A file is an orphan when neither the database, nor the node's outbox and segment indexes, nor a removal under way
explains it, and it has not changed for the grace time. A file is seen first, then the node's own records are asked,
then the database: what leaves the outbox is in the database before it does, so nothing falls between.
Memory is bounded: a batch of files at a time, and counts. Nothing is ever deleted but what lay in quarantine for days.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from iris.adapters.media_marks import MEDIA_FOLDERS
from iris.adapters.media_walk import MediaFile, walk_media
from iris.adapters.quarantine import Amount, Quarantine
from iris.adapters.store_mark import StoreMark, check_mark
from iris.base.errors import InputError, StoreMismatchError
from iris.base.ids import NodeId, parse_id
from iris.base.timebase import US_PER_S
from iris.contracts.orphans import FolderOrphans, OrphanSurvey, OrphanSweep, SurveyOrphans, SweepOrphans
from iris.outbox.ownership import NodeOwnership
from iris.ports import Clock, ProgressSink
from iris.store.engine import Store
from iris.store.ownership import StoreFacts, read_facts, read_owners

# Live parts are made anew whenever somebody watches; what is left of a camera that is gone is an orphan.
_FOLDERS: Final = (*MEDIA_FOLDERS, "hls")
_BATCH: Final = 500
# So few are no sign of a wrong database: a person's experiment, the rests of a crash.
_ALWAYS_ALLOWED: Final = 20
_MOST_EXAMPLES: Final = 50
_EXAMPLE_LENGTH: Final = 200
_DAY_US: Final = 86_400 * US_PER_S


@dataclass(frozen=True, slots=True)
class OrphanLimits:
    """How old an orphan must be, how long quarantine lasts, and which share of a folder needs a person's word."""

    grace_us: int
    quarantine_us: int
    max_share: float


@dataclass(slots=True)
class _Count:
    """Running figures of one folder."""

    folder: str
    files: int = 0
    size_bytes: int = 0
    orphans: int = 0
    orphan_bytes: int = 0
    clips: int = field(default=0)  # files that a clip's row names

    def result(self) -> FolderOrphans:
        return FolderOrphans(self.folder, self.files, self.size_bytes, self.orphans, self.orphan_bytes)


class NodeOrphans:
    """Implements the `OrphanKeeper` of activities over one data directory; calls do not overlap.

    Args:
        store: The main database.
        data_dir: DATA_DIR.
        node_id: Whose files lie there.
        limits: See `OrphanLimits`.
        clock: Wall time.
        clock_doubt: Why the wall clock is not believed now, given the newest event's start; None where it is.
    """

    def __init__(
        self,
        store: Store,
        data_dir: Path,
        node_id: NodeId,
        limits: OrphanLimits,
        clock: Clock,
        clock_doubt: Callable[[int | None], str | None],
    ) -> None:
        self._store = store
        self._data_dir = data_dir
        self._node_id = node_id
        self._limits = limits
        self._clock = clock
        self._clock_doubt = clock_doubt
        self._node = NodeOwnership(data_dir)
        self._quarantine = Quarantine(data_dir)

    def survey(self, request: SurveyOrphans, progress: ProgressSink) -> OrphanSurvey:
        """Count what would be moved and deleted; changes nothing.

        Raises:
            StoreError: The database is unreachable.
            StorageError: A folder or a camera's own file cannot be read.
        """
        facts = read_facts(self._store, self._node_id)
        refusal = self._mistrust(facts)
        if refusal is not None:
            return OrphanSurvey(refusal=refusal)
        counts: list[_Count] = []
        examples: list[str] = []
        for folder in _FOLDERS:
            count = _Count(folder)
            for orphans in self._orphans(count, facts, progress):
                room = _MOST_EXAMPLES - len(examples)
                examples += [orphan.path[:_EXAMPLE_LENGTH] for orphan in orphans[:room]]
            counts.append(count)
        missing = max(0, facts.clip_count - sum(count.clips for count in counts))
        expired = self._quarantine.expired(self._clock.wall_us() - self._limits.quarantine_us)
        share = self._limits.max_share if request.max_share is None else request.max_share
        return OrphanSurvey(
            tuple(count.result() for count in counts),
            tuple(examples),
            missing,
            expired.count,
            expired.size_bytes,
            _too_much(facts, counts, missing, share) or "",
        )

    def sweep(self, request: SweepOrphans, progress: ProgressSink) -> OrphanSweep:
        """Move orphans into the batch, then delete what has been in quarantine for long. Twice the same is once.

        What it was told about is looked at again before each batch of files; where the database or the folders are
        not what they were, it stops, and what it moved until then lies in quarantine.

        Raises:
            StoreError: The database is unreachable; what was moved until then lies in quarantine.
            StorageError: A file cannot be moved.
        """
        parse_batch(request.batch)
        facts = read_facts(self._store, self._node_id)
        refusal = self._mistrust(facts)
        moved = 0
        for folder in _FOLDERS if refusal is None else ():
            for orphans in self._orphans(_Count(folder), facts, progress):
                refusal = self._mistrust(read_facts(self._store, self._node_id))
                if refusal is None and moved + len(orphans) > request.most_count + _ALWAYS_ALLOWED:
                    refusal = (
                        f"there are more orphans than the {request.most_count} counted a moment ago; look at the "
                        "result of a dry run, then ask again"
                    )
                if refusal is not None:
                    return self._sweep_result(request.batch, refusal)
                moved += self._quarantine.take([orphan.path for orphan in orphans], request.batch)
        if refusal is not None:
            return self._sweep_result(request.batch, refusal)
        gone = Amount()
        if request.expire:
            gone = self._quarantine.delete_expired(self._clock.wall_us() - self._limits.quarantine_us)
        total = self._quarantine.amount(request.batch)
        return OrphanSweep(total.count, total.size_bytes, gone.count, gone.size_bytes)

    def _sweep_result(self, batch: str, refusal: str) -> OrphanSweep:
        total = self._quarantine.amount(batch)
        return OrphanSweep(total.count, total.size_bytes, refusal=refusal)

    def _mistrust(self, facts: StoreFacts) -> str | None:
        """Why nothing may be judged by this database, these folders or this clock; None where it may."""
        reason = self._reason_for_mistrust(facts)
        # The sentence goes into workflow histories, which name no folder of a host.
        return None if reason is None else reason.replace(str(self._data_dir), "DATA_DIR")

    def _reason_for_mistrust(self, facts: StoreFacts) -> str | None:
        if facts.identity is None:
            return "the database was never paired with this data directory; start Iris once"
        try:
            check_mark(self._data_dir, StoreMark(facts.identity.store_id, facts.identity.generation))
        except StoreMismatchError as error:
            return str(error)
        if facts.is_empty and any(True for folder in _FOLDERS for _file in walk_media(self._data_dir, folder)):
            return (
                f"the database knows no camera and no event, but {self._data_dir} holds files; restore the database "
                "from a backup, or move the files away by hand if nobody needs them"
            )
        doubt = self._clock_doubt(facts.newest_us)
        if doubt is None:
            return None
        return f"{doubt}; set the clock right, or confirm it by POST /api/retention/confirm"

    def _orphans(self, count: _Count, facts: StoreFacts, progress: ProgressSink) -> Iterator[list[MediaFile]]:
        """Orphans of one folder in batches; fills `count` on the way."""
        files = walk_media(self._data_dir, count.folder, whole_folders=count.folder == "pending")
        while batch := list(islice(files, _BATCH)):
            count.files += len(batch)
            count.size_bytes += sum(file.size_bytes for file in batch)
            progress(f"look at {count.folder}", count.files, 0)
            orphans = self._unexplained(count, batch, facts)
            count.orphans += len(orphans)
            count.orphan_bytes += sum(file.size_bytes for file in orphans)
            if orphans:
                yield orphans

    def _unexplained(self, count: _Count, batch: list[MediaFile], facts: StoreFacts) -> list[MediaFile]:
        oldest_us = self._clock.wall_us() - self._limits.grace_us
        if count.folder in ("segments", "hls"):
            old = [file for file in batch if file.changed_us < oldest_us and file.parent not in facts.busy_camera_ids]
            if count.folder == "hls":
                return [file for file in old if file.path.split("/")[1] not in facts.camera_ids]
            return list(self._without_index(old, facts))
        # A clip is counted by its row also while it is young.
        ids = {event_id for file in batch if (event_id := _event_id(file)) is not None}
        unfinished = self._node.unfinished(ids)
        owners = read_owners(self._store, ids)
        count.clips += sum(file.path in owners.paths for file in batch if count.folder == "recordings")
        return [
            file
            for file in batch
            if file.changed_us < oldest_us
            and file.path not in owners.paths
            and _event_id(file) not in unfinished | owners.busy
            and file.parent not in facts.busy_camera_ids
        ]

    def _without_index(self, files: Iterable[MediaFile], facts: StoreFacts) -> Iterator[MediaFile]:
        """Segments that no index names. A known camera whose own file is gone keeps its footage: nobody can judge."""
        by_camera: dict[str, list[MediaFile]] = {}
        for file in files:
            by_camera.setdefault(file.parent, []).append(file)
        for camera_id, segments in by_camera.items():
            paths = [file.path for file in segments]
            indexed = self._node.indexed(camera_id, paths) if _is_id(camera_id) else None
            if indexed is None and camera_id in facts.camera_ids:
                continue
            yield from (file for file in segments if indexed is None or file.path not in indexed)


def _too_much(facts: StoreFacts, counts: list[_Count], missing: int, share: float) -> str | None:
    """Why a person has to look first: much of a folder would go, or many clips have no file at all."""
    confirm = "if that is right, confirm it with a higher max_share"
    for count in counts:
        parts = [(count.orphans, count.files), (count.orphan_bytes, count.size_bytes)]
        if count.orphans > _ALWAYS_ALLOWED and any(part > share * whole for part, whole in parts):
            return (
                f"{count.orphans} of {count.files} files in {count.folder}/ belong to nothing, more than the share of "
                f"{share:g} that goes without asking; is it the right database? Look at the examples; {confirm}"
            )
    if missing > _ALWAYS_ALLOWED and missing > share * facts.clip_count:
        return f"{missing} of {facts.clip_count} recorded clips have no file; is a disk missing? Mount it; {confirm}"
    return None


def parse_batch(batch: str) -> str:
    """The name itself when it can be that of a batch, so that it never leads out of quarantine.

    Raises:
        InputError: It is anything else.
    """
    if not batch or len(batch) > 100 or not all(c.isascii() and (c.isalnum() or c == "-") for c in batch):
        raise InputError("a batch is named by a date and an id", field="batch")
    return batch


def _event_id(file: MediaFile) -> str | None:
    stem = file.name.partition(".")[0]
    return stem if _is_id(stem) else None


def _is_id(text: str) -> bool:
    try:
        parse_id(text)
    except InputError:
        return False
    return True
