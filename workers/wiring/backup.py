"""Builds what the steps of a backup work with; for the worker, the node and the command line."""

from __future__ import annotations

from pathlib import Path

from iris.adapters.once_file import read_text_once
from iris.config import Settings
from iris.pipeline.backup.steps import BackupPlace
from iris.ports import Clock
from iris.store.engine import Store
from workers.version import VERSION


def place_of(settings: Settings, store: Store, clock: Clock, *, target: Path | None = None) -> BackupPlace:
    """By the settings; `target` instead of BACKUP_DIR where one is named.

    Raises:
        StorageError: The node's id cannot be read.
    """
    return BackupPlace(
        data_dir=settings.data_path,
        target=settings.backup_path if target is None else target,
        keep=settings.backup_keep,
        store=store,
        database_url=settings.main_database_url,
        node_id=read_text_once(settings.data_path / "node" / "id"),
        version=VERSION,
        clock=clock,
    )
