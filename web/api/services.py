"""What the api works with, handed in by the composition root: ports, the store, and settings already parsed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from iris.domain.backup import BackupFacts
from iris.node_ports import DeadLetterDesk
from iris.ports import AddressVault, Clock, IdSource, NodeLink, OperationStarter
from iris.retention.policy import RetentionPolicy
from iris.store.engine import Store
from web.api.auth import Access
from web.api.metrics import ApiMetrics
from web.api.vitals import Vitals


@dataclass(frozen=True, slots=True)
class CameraDefaults:
    """What a new camera gets where its creator says nothing (from the settings)."""

    detect_conf: float = 0.5
    detect_fps: float = 5.0
    pre_seconds: float = 5.0
    post_seconds: float = 10.0
    trigger_cooldown: float = 15.0
    # The buffer holds no more than this before an event.
    most_pre_seconds: float = 114.0


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that `create_app` needs; shared by all requests."""

    store: Store
    node: NodeLink
    dead_letters: DeadLetterDesk
    operations: OperationStarter
    vault: AddressVault
    clock: Clock
    ids: IdSource
    access: Access
    vitals: Vitals
    metrics: ApiMetrics
    data_dir: Path
    version: str
    defaults: CameraDefaults = CameraDefaults()
    # Of the settings: how long a manual recording may last.
    manual_max_seconds: float = 600.0
    # Finished backups, newest first.
    backups: Callable[[], Sequence[BackupFacts]] = tuple
    # What holds until a person sets a policy.
    retention: RetentionPolicy = field(default_factory=RetentionPolicy)
