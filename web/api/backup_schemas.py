"""Backups on the wire."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Backup(BaseModel):
    """A finished backup in BACKUP_DIR. `damaged` names files that were missing or different before it was made."""

    model_config = ConfigDict(extra="forbid")

    name: str
    created_at: str
    iris_version: str
    cameras: int
    events: int
    files: int
    size_bytes: int
    deleted_since: int
    began_since: int
    damaged: list[str]


class BackupList(BaseModel):
    """Finished backups, newest first; there are no more than BACKUP_KEEP."""

    model_config = ConfigDict(extra="forbid")

    items: list[Backup]
