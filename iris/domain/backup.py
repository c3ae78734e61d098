"""A finished backup as people see it in a list."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupFacts:
    """What the manifest of a finished backup says, in short; `created_us` is wall time."""

    name: str
    created_us: int
    iris_version: str
    camera_count: int
    event_count: int
    file_count: int
    total_bytes: int
    deleted_count: int
    began_count: int
    damaged: tuple[str, ...]
