"""Builds what `iris worker` runs: the main database behind its ports, and the link to Temporal."""

from __future__ import annotations

import os
from dataclasses import dataclass

from activities.backup import BackupActivities
from activities.camera_removal import CameraRemovalActivities
from activities.events import EventActivities
from activities.nodes import NodeLifeActivities
from activities.operations import OperationActivities
from activities.orphans import PurgeActivities
from activities.removal import RemovalActivities
from activities.retention import RetentionActivities
from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.operation_starter import TemporalOperationStarter
from iris.adapters.temporal import TemporalLink
from iris.adapters.webhook import Webhook
from iris.config import Settings
from iris.pipeline.backup.office import BackupOffice
from iris.pipeline.notifier import Notifier
from iris.ports import Clock, OperationStarter
from iris.store.camera_removal_records import StoreCameraRemovals
from iris.store.engine import Store, open_store
from iris.store.event_records import StoreEventRecords
from iris.store.node_records import StoreNodeRecords
from iris.store.operation_records import StoreEventRemovals, StoreOperationRecords
from iris.store.purge_records import StorePurgeRecords
from iris.store.retention_records import StoreRetentionRecords
from workers.wiring.backup import place_of
from workers.wiring.pairing import prepare_pair


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    """The parts of the process.

    `worker_id` names this run of it in the database; `families` are the instances whose methods are its activities.
    """

    worker_id: str
    store: Store
    families: tuple[object, ...]
    operations: OperationStarter
    link: TemporalLink
    clock: Clock


def temporal_address(settings: Settings) -> str:
    """The server to use: a given one, else the embedded one of `iris up` on this machine."""
    return settings.temporal_address or f"127.0.0.1:{settings.temporal_port}"


def build_worker(settings: Settings) -> WorkerProcess:
    """Everything, not yet connected; nothing is read or written."""
    clock = SystemClock()
    store = open_store(settings.main_database_url)
    link = TemporalLink(
        temporal_address(settings),
        identity="iris-worker",
        namespace=settings.temporal_namespace,
        environment=os.environ,
    )
    return WorkerProcess(
        worker_id=f"worker-{Uuid7Source().new_id()}",
        store=store,
        families=(
            EventActivities(StoreEventRecords(store, clock, None if settings.webhook_url is None else Uuid7Source())),
            OperationActivities(StoreOperationRecords(store, clock)),
            BackupActivities(BackupOffice(place_of(settings, store, clock))),
            RemovalActivities(StoreEventRemovals(store, clock)),
            RetentionActivities(StoreRetentionRecords(store, clock)),
            CameraRemovalActivities(StoreCameraRemovals(store, clock)),
            NodeLifeActivities(StoreNodeRecords(store, clock)),
            PurgeActivities(StorePurgeRecords(store, clock, Uuid7Source())),
        ),
        operations=TemporalOperationStarter(link),
        link=link,
        clock=clock,
    )


def build_notifier(settings: Settings, process: WorkerProcess) -> Notifier:
    """What delivers notifications; call it on the event loop that runs it."""
    url, secret = settings.webhook_url, settings.webhook_secret
    webhook = None
    if url is not None and secret is not None:
        webhook = Webhook(url.get_secret_value(), secret.get_secret_value(), process.clock)
    return Notifier(process.store, webhook, process.clock)


def prepare_database(settings: Settings, process: WorkerProcess) -> None:
    """Bring the database to this version and see that it belongs to the data directory.

    Raises:
        StoreError: Try again later.
        StoreMismatchError, ConfigError: A person has to act.
    """
    prepare_pair(settings, process.store, Uuid7Source())
