"""What is recorded for the replay tests: per workflow the paths, each played on a real server.

A new workflow adds its file of cases and one line here; `python -m scripts.record_histories` records what is new.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from temporalio.client import WorkflowHandle

from tests.workflows import (
    backup_cases,
    camera_removal_cases,
    event_cases,
    event_deletion_cases,
    node_cases,
    orphan_purge_cases,
    retention_cases,
)

# Plays one path on the server at an address and answers the workflow whose history is kept.
Case = Callable[[str], Awaitable[WorkflowHandle[Any, Any]]]

FAMILIES: Mapping[str, Mapping[str, Case]] = {
    "event": event_cases.CASES,
    "event_deletion": event_deletion_cases.CASES,
    "camera_deletion": camera_removal_cases.DELETION,
    "camera_repoint": camera_removal_cases.REPOINT,
    "node": node_cases.CASES,
    "orphan_purge": orphan_purge_cases.CASES,
    "retention": retention_cases.CASES,
    "backup": backup_cases.CASES,
}
