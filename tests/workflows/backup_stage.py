"""A backup for real: a database, real files, both workers, a folder of backups."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from temporalio.client import Client

from activities.backup import BackupActivities, NodeBackupActivities
from activities.operations import OperationActivities
from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.base.ids import NodeId
from iris.config import Settings
from iris.contracts.backup import BackupResult, BackupStart
from iris.contracts.workflows import BackupWorkflow
from iris.domain.operation import OperationKind
from iris.pipeline.backup.office import BackupOffice
from iris.pipeline.backup.steps import BackupSteps
from iris.store.engine import open_store, sqlite_url
from iris.store.migrate import migrate
from iris.store.operation_records import StoreOperationRecords
from iris.store.operations import OperationRow
from tests.builders.events import CAMERA_ID, finalise_request, uuid_of
from tests.workflows.operation_stage import OperationStage
from workers.temporal_worker import iris_worker, node_worker
from workers.wiring.backup import place_of
from workers.wiring.pairing import pair_store


class BackupStage(OperationStage[BackupResult]):
    """One node with three finished events; its id is its own, so that tests share a Temporal server."""

    def __init__(self, client: Client, address: str, folder: Path) -> None:
        self.data_dir, self.target = folder / "data", folder / "backups"
        migrate(sqlite_url(self.data_dir / "vms.db"))
        store = open_store(sqlite_url(self.data_dir / "vms.db"))
        super().__init__(client, address, store, OperationKind.BACKUP, BackupWorkflow.run)
        self.clock = SystemClock()
        ids = Uuid7Source()
        pair_store(self.store, self.data_dir, ids)
        self.node_id = ids.new_id()
        (self.data_dir / "node").mkdir(exist_ok=True)
        (self.data_dir / "node" / "id").write_text(self.node_id)
        for number in range(1, 4):
            self._finish(number)

    def _finish(self, number: int) -> None:
        request = finalise_request(number, node_id=self.node_id)
        self.clip(number).parent.mkdir(exist_ok=True)
        self.clip(number).write_bytes(bytes(1000))
        (self.data_dir / f"{request.thumbnail_path}").write_bytes(b"\xff\xd8")
        with self.store.writing() as work:
            work.events.finalise(request, 1)

    def clip(self, number: int) -> Path:
        """Where the clip of an event lies."""
        return self.data_dir / "recordings" / CAMERA_ID / f"{uuid_of(number)}.mp4"

    def sign_of_life(self) -> None:
        """The node's heartbeat."""
        with self.store.writing() as work:
            work.system.node_seen(NodeId(self.node_id), self.clock.wall_us(), {})

    def ask(self) -> OperationRow:
        """Ask for a backup."""
        return self.ask_for({})

    async def start(self) -> None:
        """See `start_asked_or`."""
        await self.start_asked_or(BackupStart())

    @asynccontextmanager
    async def iris(self) -> AsyncIterator[None]:
        """The worker of queue `iris`."""
        settings = Settings(_env_file=None, data_dir=self.data_dir, backup_dir=self.target)
        place = replace(place_of(settings, self.store, self.clock), node_id=None)
        families = [
            BackupActivities(BackupOffice(place)),
            OperationActivities(StoreOperationRecords(self.store, self.clock)),
        ]
        async with iris_worker(self.client, families):
            yield

    @asynccontextmanager
    async def node(self) -> AsyncIterator[None]:
        """The worker of the node."""
        settings = Settings(_env_file=None, data_dir=self.data_dir, backup_dir=self.target)
        steps = BackupSteps(place_of(settings, self.store, self.clock))
        async with node_worker(self.client, self.node_id, [NodeBackupActivities(steps)]):
            yield
