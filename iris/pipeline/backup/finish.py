"""Last step of a backup: the manifest, the proof that all of it is there, its name, and the end of the oldest ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from iris.adapters.backup_files import fsync_dirs, remove_tree, size_of
from iris.adapters.media_files import fsync_dir, fsync_file, sha256_of, translated
from iris.base.errors import CorruptMediaError, InputError
from iris.base.failpoint import failpoint
from iris.base.log import get_logger
from iris.pipeline.backup.clips import ClipsState, read_clips_state, remove_clips_state
from iris.pipeline.backup.database import read_state, remove_state
from iris.pipeline.backup.layout import (
    MANIFEST,
    NAME,
    REMOVING_SUFFIX,
    ListPart,
    Manifest,
    NodePart,
    lists_of,
    node_folder,
    open_private,
    read_list,
    read_manifest,
)
from iris.ports import ProgressSink

# What people miss after a restore, so that nobody looks for it in vain.
LEFT_OUT: Final = (
    "DATA_DIR/secrets: without credentials.key the addresses of cameras cannot be read; keep it apart from backups",
    "DATA_DIR/temporal: what Temporal knew is made anew from the outboxes",
    "the rolling buffer: footage that belongs to no unfinished event",
    "settings (.env) and model files",
)
_TELL_EVERY: Final = 1000
# Touched by every step, so that a backup that is under way can be told from one that was cut off.
ALIVE: Final = "alive"


def finish_backup(part: Path, version: str, progress: ProgressSink) -> Manifest:
    """Write the manifest, verify everything against it, and give the backup its name; twice gives the same.

    Raises:
        CorruptMediaError: Something is not there, or not as the lists say; the backup does not count.
        StorageError: A step before was not finished, or the disk refuses.
    """
    final = part.with_suffix("")
    if final.is_dir() and not part.is_dir():
        return read_manifest(final)
    node_ids = sorted(folder.name for folder in (part / "nodes").glob("*"))
    manifest = _manifest(part, final.name, version, node_ids)
    verify(part, manifest, progress)
    remove_state(part, node_ids)
    for node_id in node_ids:
        remove_clips_state(part, node_id)
    (part / ALIVE).unlink(missing_ok=True)
    failpoint("backup.before_manifest")
    with translated("write the manifest of the backup"), open_private(part / MANIFEST) as file:
        file.write(manifest.as_json().encode())
        file.flush()
    fsync_file(part / MANIFEST)
    fsync_dirs(part)
    failpoint("backup.before_name")
    with translated("name the backup"):
        part.rename(final)
    fsync_dir(final.parent)
    return manifest


def verify(backup: Path, manifest: Manifest, progress: ProgressSink) -> None:
    """Hold a backup against its manifest: lists and database by their hash, every file by its size.

    Raises:
        InputError: A list names what no backup has.
        CorruptMediaError: Something is missing or different.
        StorageError: It cannot be read.
    """
    database = backup / manifest.database.name
    if size_of(database) != manifest.database.size_bytes or sha256_of(database) != manifest.database.sha256:
        raise CorruptMediaError("the database of the backup is not as its manifest says")
    number = 0
    for node in manifest.nodes:
        for part, path in lists_of(backup, node):
            size_of(path)
            if sha256_of(path) != part.sha256:
                raise CorruptMediaError(f"the list {part.name} of the backup is not as its manifest says")
            for entry in read_list(path):
                number += 1
                found = 0 if entry.same_as else size_of(node_folder(backup, node.node_id) / entry.path)
                if not entry.same_as and found != entry.size_bytes:
                    raise CorruptMediaError(f"{entry.path} has {found} bytes, its list says {entry.size_bytes}")
                if number % _TELL_EVERY == 0:
                    progress("verify", number, manifest.file_count)


def finished_backups(target: Path) -> Iterator[tuple[Path, Manifest]]:
    """The backups of a folder that can be restored, newest first; anything else in it is passed over."""
    if not target.is_dir():
        return
    for path in sorted((path for path in target.iterdir() if NAME.fullmatch(path.name)), reverse=True):
        try:
            yield path, read_manifest(path)
        except InputError:
            continue


def remove_old(target: Path, keep: int) -> list[str]:
    """Remove all but the newest `keep` finished backups of a folder; answers the names of those that went.

    Raises:
        StorageError: One could not be removed; it does not count as a backup any more.
    """
    gone = []
    for path in [path for path, _ in finished_backups(target)][keep:]:
        going = path.with_name(path.name + REMOVING_SUFFIX)
        with translated(f"remove the backup {path.name}"):
            path.rename(going)
        remove_tree(going)
        gone.append(path.name)
        get_logger().info("old backup removed", backup=path.name)
    return gone


def _manifest(part: Path, name: str, version: str, node_ids: list[str]) -> Manifest:
    database = read_state(part)
    states = [read_clips_state(part, node_id) for node_id in node_ids]
    left_out = list(LEFT_OUT)
    if database.elsewhere:
        left_out.append(f"files of {database.elsewhere} event(s) of hosts that are no part of this backup")
    return Manifest(
        name=name,
        iris_version=version,
        store_id=database.store_id,
        generation=database.generation,
        created_us=database.created_us,
        database=database.part,
        counts=_counts(dict(database.counts), states),
        nodes=tuple(NodePart(node_id, _lists(node_folder(part, node_id))) for node_id in node_ids),
        deleted_since=tuple(sorted(event_id for state in states for event_id in state.deleted)),
        began_since=tuple(sorted(event_id for state in states for event_id in state.began)),
        damaged=tuple(text for state in states for text in state.damaged),
        left_out=tuple(left_out),
    )


def _counts(counts: dict[str, int], states: list[ClipsState]) -> dict[str, int]:
    """Rows after a restore: without events removed meanwhile, with the end of those whose footage is not in it."""
    for state in states:
        counts["events"] -= len(state.deleted)
        counts["tombstones"] += len(state.deleted)
        for rows in state.deleted.values():
            for table, count in rows.items():
                counts[table] -= count
        counts["event_ranges"] += sum(state.began.values())
    return counts


def _lists(folder: Path) -> tuple[ListPart, ...]:
    found = []
    for path in sorted((folder / "lists").glob("*.jsonl")):
        entries = list(_sizes(path))
        found.append(ListPart(path.name, sha256_of(path), len(entries), sum(entries)))
    return tuple(found)


def _sizes(path: Path) -> Iterator[int]:
    for entry in read_list(path):
        yield 0 if entry.same_as else entry.size_bytes
