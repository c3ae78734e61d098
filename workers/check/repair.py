"""`iris check --repair`: does what is safe, says each thing it did, and what it leaves to others.

Nothing that could hold footage is deleted: files that belong to nothing, and damaged clips, move into quarantine.
Only the camera process writes its own file, so what is wrong in a segment index is left to its next start. It works
beside a running Iris, and does more while the node is stopped, whose lock it holds meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from iris.adapters.clock import SystemClock
from iris.adapters.clock_mark import read_clocks
from iris.adapters.event_files import DiskEventFiles
from iris.adapters.id_source import Uuid7Source
from iris.adapters.media_files import unlink_durably
from iris.adapters.media_marks import MEDIA_FOLDERS, MEDIA_MARK, make_media_marks
from iris.adapters.once_file import read_text_once
from iris.adapters.pins import pinned_events, release_pins
from iris.adapters.process import hold_lock
from iris.adapters.quarantine import Quarantine, batch_name
from iris.adapters.store_mark import StoreMark, check_mark, read_mark
from iris.base.errors import ConflictError, InputError, IrisError, StoreMismatchError
from iris.base.ids import NodeId
from iris.config import Settings
from iris.contracts.orphans import SurveyOrphans, SweepOrphans
from iris.contracts.removal import EventPlace, RemovedEvents
from iris.outbox.check import read_camera_files, read_relay_file
from iris.outbox.ownership import NodeOwnership
from iris.store.check import read_identity, read_schema
from iris.store.check_removals import read_removals
from iris.store.ownership import read_owners, read_terminal
from workers.check.removals import unknown_node_files
from workers.check.repair_events import EventRepairs
from workers.check.repair_log import RepairLog
from workers.check.view import CheckTask, View
from workers.wiring.orphans import build_orphans

_PAGE = 200


def run_repair(settings: Settings, task: CheckTask, accept_empty: Collection[str] = ()) -> RepairLog:
    """Repair what can be repaired; the caller checks again afterwards.

    Args:
        settings: Where, and the limits.
        task: The store and folder to look at.
        accept_empty: Media folders that lost their mark and whose files are gone for good.

    Raises:
        StoreMismatchError: Database and data directory are no pair; nothing was changed.
        StoreError: The database is unreachable.
        InputError: `accept_empty` names no media folder, or one that is marked.
    """
    identity = read_identity(task.store)
    schema = read_schema(task.store)
    if identity is None or not schema.is_head:
        raise StoreMismatchError("the database is not of this version, or was never paired; start Iris once")
    log = RepairLog()
    for name in accept_empty:
        _accept(task.data_dir, name, identity.store_id, log)
    check_mark(task.data_dir, StoreMark(identity.store_id, identity.generation))
    lock = _stopped(task.data_dir)
    try:
        _Repair(settings, task, log, stopped=lock is not None).run()
    finally:
        if lock is not None:
            os.close(lock)
    return log


def _accept(data_dir: Path, name: str, store_id: str, log: RepairLog) -> None:
    """Mark a folder again; only one without any mark, in a data directory that is the right one."""
    mark = read_mark(data_dir)
    if name not in MEDIA_FOLDERS:
        raise InputError(f"--accept-empty must be one of {', '.join(MEDIA_FOLDERS)}")
    if mark is None or mark.store_id != store_id:
        raise StoreMismatchError(f"{data_dir} does not belong to the database; nothing was changed")
    if read_text_once(data_dir / name / MEDIA_MARK) is not None:
        raise InputError(f"{name} has its mark; there is nothing to accept")
    make_media_marks(data_dir, store_id, [name])
    log.done(f"{name}/ is accepted as it is, and marked again")


def _stopped(data_dir: Path) -> int | None:
    """The node's lock where no node runs; held, so that none starts meanwhile."""
    if not (data_dir / "node").is_dir():
        return None
    try:
        return hold_lock(data_dir / "node" / "lock", patience_s=0)
    except ConflictError:
        return None


class _Repair:
    def __init__(self, settings: Settings, task: CheckTask, log: RepairLog, *, stopped: bool) -> None:
        self._settings = settings
        self._task = task
        self._log = log
        self._stopped = stopped
        self._clock = SystemClock()
        self._node_id = read_text_once(task.data_dir / "node" / "id")
        self._batch = batch_name(task.now_us(), f"repair-{Uuid7Source().new_id()}")

    def run(self) -> None:
        """Every step by itself: what stops one is said, and the others go on."""
        if not self._stopped:
            self._log.left("Iris runs: only what is safe beside it is done; stop it to have all repaired")
        for step in (self._half_made, self._tombstones, self._pins, self._events, self._orphans, self._node_files):
            try:
                step()
            except IrisError as error:
                self._log.left(str(error))

    def _half_made(self) -> None:
        """Files that were being made when their process ended. A segment's is left: its camera adopts it."""
        clocks = read_clocks()
        boot_us = clocks.wall_us - clocks.steady_us
        for folder, pattern in (("recordings", "*/*.part"), ("thumbnails", "*.part")):
            for path in sorted((self._task.data_dir / folder).glob(pattern)):
                if self._stopped or path.lstat().st_mtime_ns // 1000 < boot_us:
                    unlink_durably(path)
                    self._log.done(f"removed {folder}/{path.relative_to(self._task.data_dir / folder)}, half-made")

    def _tombstones(self) -> None:
        """Files of removed events go, and their tombstones are closed."""
        if self._node_id is None:
            return
        files = DiskEventFiles(self._task.data_dir)
        while True:
            with self._task.store.reading() as work:
                stones = work.tombstones.unburied(node_id=NodeId(self._node_id), limit=_PAGE)
            if not stones:
                return
            places = tuple(EventPlace(stone.event_id, stone.camera_id) for stone in stones)
            purged = files.purge(RemovedEvents(places), lambda _step, _done, _total: None)
            with self._task.store.writing() as work:
                work.tombstones.bury([stone.event_id for stone in stones], self._task.now_us())
            self._log.done(f"finished the removal of {len(stones)} event(s), {purged.file_count} file(s)")

    def _pins(self) -> None:
        """Footage kept for events that reached their end and were released."""
        kept = sorted(pinned_events(self._task.data_dir))
        for start in range(0, len(kept), _PAGE):
            page = kept[start : start + _PAGE]
            unfinished = NodeOwnership(self._task.data_dir).unfinished(page)
            busy = read_owners(self._task.store, page).busy
            for event_id in sorted(read_terminal(self._task.store, page) - unfinished - busy):
                count = release_pins(self._task.data_dir, event_id)
                self._log.done(f"released pending/{event_id}, {count} file(s): its event is finished")

    def _events(self) -> None:
        EventRepairs(self._task, self._clock, self._node_id, self._batch, self._log).run()

    def _orphans(self) -> None:
        """As an orphan purge does; without its patience where nothing is being written."""
        keeper = build_orphans(
            self._settings, self._task.store, NodeId(self._node_id or ""), self._clock,
            grace_us=0 if self._stopped else None,
        )  # fmt: skip
        survey = keeper.survey(SurveyOrphans(), _no_progress)
        if survey.refusal:
            self._log.left(f"nothing is moved into quarantine: {survey.refusal}")
            return
        if survey.orphan_count:
            sweep = keeper.sweep(SweepOrphans(self._batch, survey.orphan_count, expire=False), _no_progress)
            if sweep.refusal:
                self._log.left(sweep.refusal)
            self._log.done(f"moved {survey.orphan_count} thing(s) that belong to nothing to quarantine/{self._batch}")

    def _node_files(self) -> None:
        """Files of cameras that nobody knows; only while no process can have them open."""
        data_dir = self._task.data_dir
        view = View(
            read_camera_files(data_dir), read_relay_file(data_dir), read_removals(self._task.store), self._node_id
        )
        for name in unknown_node_files(self._task, view):
            if not self._stopped:
                self._log.left(f"node/{name} belongs to no camera; it is moved while Iris is stopped")
                continue
            paths = [f"node/{path.name}" for path in sorted((data_dir / "node").glob(f"{name}*"))]
            Quarantine(data_dir).take(paths, self._batch)
            self._log.done(f"moved node/{name} to quarantine/{self._batch}: it belongs to no camera")


def _no_progress(step: str, done: int, total: int) -> None:
    """Nobody watches."""
