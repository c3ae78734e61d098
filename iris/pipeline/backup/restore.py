"""Restores a backup: into a folder beside what is there, put in place only when all of it is whole.

Nothing of the target is written over. What is in the way is refused, or with `force` moved aside; the restored files
come from the paths that a backup may have and no other, and no link is followed. `store.json` gets its name last: until
then Iris refuses to start on the folder, and a restore that was cut off is cleared away by the next one.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from iris.adapters.backup_files import (
    VanishedError,
    copy,
    fsync_dirs,
    hash_of,
    link_or_copy,
    private_dirs,
    remove_tree,
    size_of,
)
from iris.adapters.media_files import fsync_dir, make_dir, translated
from iris.adapters.media_marks import make_media_marks
from iris.adapters.store_mark import read_mark
from iris.base.errors import ConflictError, CorruptMediaError, InputError, IrisError, StorageError
from iris.base.failpoint import failpoint
from iris.pipeline.backup.finish import verify
from iris.pipeline.backup.layout import FileEntry, Manifest, lists_of, node_folder, open_private, read_list
from iris.pipeline.backup.restore_database import DatabaseTarget
from iris.ports import ProgressSink

MARK: Final = "store.json"
# The mark of a restore that is being put in place; it becomes `store.json`.
UNDER_WAY: Final = "store.json.restoring"
ASIDE: Final = "before-restore-"
_PART: Final = ".restore.part"
# What a folder may hold and still count as empty; it stays where it is, also with `force`.
KEPT: Final = frozenset({"secrets", "backups", "run", "lost+found"})
_TELL_EVERY: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreRequest:
    """What to restore, and where to. `stamp` names what is moved aside."""

    backup: Path
    manifest: Manifest
    data_dir: Path
    stamp: str
    force: bool = False
    verify: bool = False


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was done: the new generation, rows by table, and where what was there before is now."""

    generation: int
    counts: Mapping[str, int] = field(default_factory=dict)
    aside: str | None = None


def restore_backup(request: RestoreRequest, database: DatabaseTarget, progress: ProgressSink) -> RestoreReport:
    """Restore files and database; Iris must not run on the target.

    Raises:
        InputError: The backup names what no backup has.
        CorruptMediaError: Something of it is missing or different; the target is as it was.
        ConflictError: The target is in use, or not empty and `force` was not given.
        StorageError, StoreError, ConfigError: Something cannot be read or written.
    """
    manifest, data_dir = request.manifest, request.data_dir
    if len(manifest.nodes) > 1:
        raise ConflictError("the backup is of several hosts, which cannot be restored onto one")
    _check_backup(request, progress)
    make_dir(data_dir)
    _clear_cut_off(data_dir)
    before = read_mark(data_dir)
    same = before is not None and before.store_id == manifest.store_id
    generation = 1 + max(manifest.generation, before.generation if before is not None and same else 0)
    _refuse_occupied(request, database)
    part = data_dir / _PART
    private_dirs(data_dir, part)
    with translated("write the mark of the store"), open_private(part / MARK) as file:
        file.write((json.dumps({"store_id": manifest.store_id, "generation": generation}) + "\n").encode())
    make_media_marks(part, manifest.store_id)
    try:
        _restore_files(request, part, progress)
    except IrisError:
        with contextlib.suppress(StorageError):  # the next restore clears it away
            remove_tree(part)
        raise
    failpoint("restore.after_files")
    counts = database.restore(request.backup / manifest.database.name, manifest, part, generation, request.stamp)
    failpoint("restore.after_database")
    fsync_dirs(part)
    aside = _move_aside(request)
    _put_in_place(part, data_dir)
    return RestoreReport(generation, counts, aside)


def _check_backup(request: RestoreRequest, progress: ProgressSink) -> None:
    """Everything is there with its size before anything is written; with `verify` with its hash, too."""
    try:
        verify(request.backup, request.manifest, progress)
    except VanishedError as error:
        raise CorruptMediaError(f"{error} from the backup at {request.backup}; restore another backup") from error
    folders: set[Path] = set()
    for number, (source, entry) in enumerate(_entries(request), 1):
        folder = source.parent
        while folder not in folders and folder != request.backup.parent:
            folders.add(folder)
            if folder.is_symlink():
                raise InputError("a folder of the backup is a link; a backup has none")
            folder = folder.parent
        if request.verify and entry.same_as is None and hash_of(source) != entry.sha256:
            raise CorruptMediaError(f"{entry.path} of the backup has other bytes than its list says")
        if number % _TELL_EVERY == 0:
            progress("compare with the manifest", number, request.manifest.file_count)


def _entries(request: RestoreRequest) -> Iterator[tuple[Path, FileEntry]]:
    for node in request.manifest.nodes:
        for _, path in lists_of(request.backup, node):
            for entry in read_list(path):
                yield node_folder(request.backup, node.node_id) / entry.path, entry


def _clear_cut_off(data_dir: Path) -> None:
    """What a restore left that was cut off: it never counted, and nothing else is among it."""
    remove_tree(data_dir / _PART)
    if (data_dir / UNDER_WAY).exists():
        for path in _occupied(data_dir):
            _remove(path)
        with translated("clear a cut-off restore away"):
            (data_dir / UNDER_WAY).unlink()


def _remove(path: Path) -> None:
    with translated(f"remove {path.name}"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _occupied(data_dir: Path) -> list[Path]:
    """What is in the way."""
    with translated(f"read {data_dir}"):
        names = sorted(path.name for path in data_dir.iterdir())
    return [
        data_dir / name
        for name in names
        if name not in KEPT and name not in (UNDER_WAY, _PART) and not name.startswith(ASIDE)
    ]


def _refuse_occupied(request: RestoreRequest, database: DatabaseTarget) -> None:
    if request.force:
        return
    occupied = _occupied(request.data_dir)
    if occupied:
        raise ConflictError(
            f"{request.data_dir} is not empty ({occupied[0].name} and {len(occupied) - 1} more); name an empty folder, "
            "or use --force, which moves what is there aside"
        )
    if database.is_occupied():
        raise ConflictError(
            "the database that DATABASE_URL names is not empty; name an empty one, or use --force, which moves what "
            "is there aside"
        )


def _restore_files(request: RestoreRequest, part: Path, progress: ProgressSink) -> None:
    for node in request.manifest.nodes:
        private_dirs(part, part / "node")
        with translated("write the id of the node"), open_private(part / "node" / "id") as file:
            file.write(f"{node.node_id}\n".encode())
    folders: set[Path] = set()
    for number, (source, entry) in enumerate(_entries(request), 1):
        target = part / entry.path
        if target.parent not in folders:
            private_dirs(part, target.parent)
            folders.add(target.parent)
        if target.exists():
            raise InputError(f"the backup names {entry.path} twice")
        _restore_file(source, target, entry, part)
        if number % _TELL_EVERY == 0:
            failpoint("restore.among_files")
            progress("restore files", number, request.manifest.file_count)


def _restore_file(source: Path, target: Path, entry: FileEntry, part: Path) -> None:
    if entry.same_as is not None:
        # A pin and the segment that it keeps are one file with two names, as before.
        link_or_copy(part / entry.same_as, target, entry.size_bytes, entry.sha256)
    elif entry.path.startswith(("recordings/", "thumbnails/")):
        link_or_copy(source, target, entry.size_bytes, entry.sha256)
    else:
        # These are written to again, or counted by their names: never shared with the backup.
        copy(source, target, entry.sha256)
    if size_of(target) != entry.size_bytes:
        raise CorruptMediaError(f"{entry.path} came out with another size")


def _move_aside(request: RestoreRequest) -> str | None:
    occupied = _occupied(request.data_dir)
    if not occupied:
        return None
    aside = request.data_dir / f"{ASIDE}{request.stamp}"
    private_dirs(request.data_dir, aside)
    # The mark first: what is only half there must not be taken for the store.
    for path in sorted(occupied, key=lambda path: path.name != MARK):
        with translated(f"move {path.name} aside; where it is a mount of its own, unmount it or restore elsewhere"):
            path.rename(aside / path.name)
        failpoint("restore.among_aside")
    fsync_dir(aside)
    fsync_dir(request.data_dir)
    return aside.name


def _put_in_place(part: Path, data_dir: Path) -> None:
    with translated("put the restored files in place"):
        (part / MARK).rename(data_dir / UNDER_WAY)
        fsync_dir(data_dir)
        for path in sorted(part.iterdir()):
            path.rename(data_dir / path.name)
            failpoint("restore.among_places")
        part.rmdir()
        fsync_dir(data_dir)
        failpoint("restore.before_mark")
        (data_dir / UNDER_WAY).rename(data_dir / MARK)
    fsync_dir(data_dir)
