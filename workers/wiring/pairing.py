"""Pairs the main database with the data directory on the first start, and refuses what is no pair afterwards.

Every process that has both calls `prepare_pair` at its start. A node whose database is away records without it
and calls it when the database answers.
"""

from __future__ import annotations

from pathlib import Path

from iris.adapters.media_marks import MEDIA_FOLDERS, check_footage_is_there, make_media_marks
from iris.adapters.once_file import read_text_once
from iris.adapters.store_mark import StoreMark, check_mark, check_sqlite_pair, first_mark, holds_footage, read_mark
from iris.base.errors import StoreMismatchError
from iris.base.ids import NodeId
from iris.config import Settings
from iris.ports import IdSource
from iris.store.engine import Repositories, Store
from iris.store.migrate import migrate
from iris.store.system import StoreIdentity


def prepare_pair(settings: Settings, store: Store, ids: IdSource) -> StoreMark:
    """Bring the database to this version and see that it belongs to the data directory.

    Where footage has lost its database file none is made in its place: one that is put back would find leftovers of
    the new one beside it.

    Raises:
        StoreMismatchError: They are no pair; nothing was changed.
        StoreError: The database is unreachable.
        StorageError: The data directory cannot be read or written.
    """
    check_sqlite_pair(settings.data_path, settings.main_database_file)
    migrate(settings.main_database_url)
    return pair_store(store, settings.data_path, ids)


def pair_store(store: Store, data_dir: Path, ids: IdSource) -> StoreMark:
    """The mark that database and data directory share; made when both are new. Nothing is ever deleted.

    Raises:
        StoreMismatchError: They are no pair.
        StoreError: The database is unreachable.
        StorageError: The data directory cannot be read or written.
    """
    # In one writing transaction: of several processes that start at once, one makes the pair.
    with store.writing() as work:
        identity = work.system.identity()
        if identity is not None:
            in_database = StoreMark(identity.store_id, identity.generation)
            check_mark(data_dir, in_database)
            _mark_media(work, data_dir)
            return in_database
        if not work.system.is_empty():
            raise StoreMismatchError("the database holds cameras or events but no store id; restore it from a backup")
        if holds_footage(data_dir):
            raise StoreMismatchError(
                f"the database is new, but {data_dir} holds footage of another one; restore that database, "
                "or set DATA_DIR to an empty folder (nothing was deleted)"
            )
        # A mark without footage is left by a start that was cut off between the file and the commit: go on with it.
        mark = read_mark(data_dir) or first_mark(data_dir, ids)
        work.system.pair(StoreIdentity(mark.store_id, mark.generation))
        # There is no footage, so whatever marks the empty folders had are replaced.
        make_media_marks(data_dir, mark.store_id)
        return mark


def _mark_media(work: Repositories, data_dir: Path) -> None:
    """Mark the media folders that never had a mark: those of v0.1.0, of a restored copy, of a newer kind."""
    mark = read_mark(data_dir)
    if mark is None:
        return
    if not mark.folders:
        node_id = read_text_once(data_dir / "node" / "id")
        check_footage_is_there(data_dir, work.system.newest_clips(NodeId(node_id or "")))
    make_media_marks(data_dir, mark.store_id, [name for name in MEDIA_FOLDERS if name not in mark.folders])
