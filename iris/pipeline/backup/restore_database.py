"""The main database of a restore: loaded, brought to this version, and told what is not in the backup.

SQLite is built as a file of its own and renamed; PostgreSQL is loaded in one transaction, and what was in its schema
`public` is kept as a schema of another name. Everything that is changed afterwards is one transaction, and it is
committed only where the rows of every table are as many as the manifest says.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from iris.adapters.backup_files import copy
from iris.adapters.media_files import fsync_dir, translated
from iris.adapters.pg_tools import ASIDE_PREFIX, load_database
from iris.base.errors import ConfigError, ConflictError, StoreError
from iris.domain.operation import OperationKind, RemovalReason
from iris.pipeline.backup.layout import Manifest
from iris.ports import Clock
from iris.store.backup import end_without_footage
from iris.store.engine import Repositories, open_store, sqlite_file, sqlite_url
from iris.store.engine import translated as store_translated
from iris.store.migrate import knows_schema, migrate

_PAGE: Final = 500
_NO_FOOTAGE: Final = "The event had just begun when the backup was made; no footage of it is in the backup."
_CUT_OFF: Final = "It was under way when the backup was made that was restored; the next one does its work."
# They come again by themselves; what a person asked for goes on.
_PERIODIC: Final = (OperationKind.BACKUP, OperationKind.RETENTION, OperationKind.ORPHAN_PURGE)


class DatabaseTarget:
    """The main database that a restore writes, as the settings name it."""

    def __init__(self, url: str, data_dir: Path, clock: Clock) -> None:
        self._url, self._data_dir, self._clock = url, data_dir, clock
        self._file = sqlite_file(url)

    def is_occupied(self) -> bool:
        """Whether there is something that a restore would have to move aside; of a file in DATA_DIR others look.

        Raises:
            StoreError: It is unreachable.
        """
        if self._file is not None:
            return not self._file.is_relative_to(self._data_dir) and self._file.exists()
        store = open_store(self._url)
        try:
            with store_translated(), store.engine.connect() as connection:
                return bool(sa.inspect(connection).get_table_names())
        finally:
            store.close()

    def refuse_other_kind(self, manifest: Manifest) -> None:
        """Refuse what could not be loaded.

        Raises:
            ConfigError: The backup is of another kind of database, or of a newer Iris.
        """
        wanted = "postgresql" if self._file is None else "sqlite"
        if manifest.database.kind != wanted:
            raise ConfigError(
                f"the backup is of a {manifest.database.kind} database, DATABASE_URL names a {wanted} one; "
                "set DATABASE_URL to one of the same kind"
            )
        if not knows_schema(manifest.database.schema):
            raise ConfigError(f"a newer Iris ({manifest.iris_version}) made the backup; restore it with that version")

    def restore(self, source: Path, manifest: Manifest, part: Path, generation: int, stamp: str) -> Mapping[str, int]:
        """Load the snapshot and adapt it; answers the rows of each table.

        Args:
            source: The snapshot in the backup.
            manifest: Of the backup.
            part: The folder that becomes the content of DATA_DIR.
            generation: Of the restored store.
            stamp: Names what is moved aside.

        Raises:
            StoreError, StorageError, ConfigError: It is not restored.
        """
        if self._file is None:
            self._move_schema_aside(stamp)
            load_database(self._url, source)
            return self._adapted(self._url, manifest, generation)
        inside = self._file.is_relative_to(self._data_dir)
        built = part / self._file.relative_to(self._data_dir) if inside else _beside(self._file, ".restoring")
        with translated("make the folder of the database"):
            built.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        copy(source, built, manifest.database.sha256)
        counts = self._adapted(sqlite_url(built), manifest, generation)
        if not inside:
            self._replace(built, stamp)
        return counts

    def _adapted(self, url: str, manifest: Manifest, generation: int) -> Mapping[str, int]:
        migrate(url)
        store = open_store(url)
        try:
            with store.writing() as work:
                work.system.raise_generation(generation)
                self._remove_deleted(work, manifest)
                self._end_begun(work, manifest)
                self._end_periodic(work)
                counts = work.system.table_counts()
                expected = dict(manifest.counts)
                different = {name for name, count in expected.items() if counts.get(name) != count}
                if different:
                    name = min(different)
                    raise StoreError(
                        f"table {name} has {counts.get(name, 0)} rows after the restore, the manifest says "
                        f"{expected[name]}; nothing was put in place"
                    )
            return counts
        finally:
            store.close()  # the last connection folds the log into the file, so that it is whole by itself

    def _remove_deleted(self, work: Repositories, manifest: Manifest) -> None:
        now_us = self._clock.wall_us()
        for start in range(0, len(manifest.deleted_since), _PAGE):
            page = manifest.deleted_since[start : start + _PAGE]
            work.tombstones.entomb(page, RemovalReason.DELETED, now_us, unfinished=True, held=True)
            work.tombstones.bury(page, now_us)

    def _end_begun(self, work: Repositories, manifest: Manifest) -> None:
        now_us = self._clock.wall_us()
        for start in range(0, len(manifest.began_since), _PAGE):
            for row in work.events.some(manifest.began_since[start : start + _PAGE]):
                end_without_footage(work, row, _NO_FOOTAGE, now_us)

    def _end_periodic(self, work: Repositories) -> None:
        for operation in work.operations.unfinished():
            if operation.kind in _PERIODIC:
                work.operations.finish(
                    operation.operation_id, self._clock.wall_us(), result=operation.progress, failure=_CUT_OFF
                )

    def _replace(self, built: Path, stamp: str) -> None:
        """Put a file outside DATA_DIR in place; what was there keeps another name, with its logs."""
        assert self._file is not None
        with translated("put the restored database in place"):
            for suffix in ("", "-wal", "-shm", "-journal"):
                old = _beside(self._file, suffix)
                if old.exists():
                    old.rename(_beside(self._file, f".before-restore-{stamp}{suffix}"))
            built.rename(self._file)
        fsync_dir(self._file.parent)

    def _move_schema_aside(self, stamp: str) -> None:
        store = open_store(self._url)
        name = f"{ASIDE_PREFIX}{stamp}".lower().replace("-", "_")
        try:
            with store_translated(), store.engine.begin() as connection:
                if not sa.inspect(connection).get_table_names():
                    return
                others = connection.execute(
                    sa.text(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                        " AND application_name = 'iris' AND pid <> pg_backend_pid()"
                    )
                ).scalar_one()
                if others:
                    raise ConflictError("another part of Iris is connected to the database; stop Iris first")
                connection.execute(sa.text(f'ALTER SCHEMA public RENAME TO "{name}"'))
                connection.execute(sa.text("CREATE SCHEMA public"))
        finally:
            store.close()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
