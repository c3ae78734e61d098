"""What the worker and the api ask of backups: begin one, sum one up, list them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from iris.base.errors import UnavailableError
from iris.base.timebase import seconds_to_us
from iris.contracts.backup import BackupPlan, BackupResult, PlanBackup
from iris.domain.backup import BackupFacts
from iris.pipeline.backup.finish import finished_backups
from iris.pipeline.backup.layout import Manifest
from iris.pipeline.backup.steps import BackupPlace, BackupSteps, backup_name
from iris.ports import ProgressSink

# A node signs its row every five seconds; one that is just being restarted is waited for, one that is gone is not.
_ALIVE_S: Final = 60.0


class BackupOffice(BackupSteps):
    """The steps of the worker, in the words of the workflow."""

    def __init__(self, place: BackupPlace) -> None:
        super().__init__(place)
        self._store, self._clock = place.store, place.clock

    def plan(self, request: PlanBackup) -> BackupPlan:
        """Begin the backup of a run of the workflow, always with the same name.

        Raises:
            UnavailableError: No node gives a sign of life now.
            StoreError, StorageError: Database or folder cannot be used now.
        """
        since_us = self._clock.wall_us() - seconds_to_us(_ALIVE_S)
        with self._store.reading() as work:
            alive = [row.node_id for row in work.system.nodes() if row.heartbeat_us >= since_us]
        if not alive:
            raise UnavailableError("No node gives a sign of life; the backup waits for one.")
        name = backup_name(request.started_us, request.run_id)
        self.begin(name)
        return BackupPlan(name, tuple(str(node_id) for node_id in alive))

    def finish_told(self, name: str, progress: ProgressSink) -> BackupResult:
        """Finish it, and sum it up."""
        manifest = self.finish(name, progress)
        return BackupResult(
            name=manifest.name,
            cameras=manifest.counts["cameras"],
            events=manifest.counts["events"],
            files=manifest.file_count,
            total_bytes=manifest.total_bytes,
            deleted_count=len(manifest.deleted_since),
            began_count=len(manifest.began_since),
            damaged=len(manifest.damaged),
        )


def list_backups(target: Path) -> list[BackupFacts]:
    """Finished backups of a folder, newest first."""
    return [_facts(manifest) for _path, manifest in finished_backups(target)]


def _facts(manifest: Manifest) -> BackupFacts:
    return BackupFacts(
        name=manifest.name,
        created_us=manifest.created_us,
        iris_version=manifest.iris_version,
        camera_count=manifest.counts.get("cameras", 0),
        event_count=manifest.counts.get("events", 0),
        file_count=manifest.file_count,
        total_bytes=manifest.total_bytes,
        deleted_count=len(manifest.deleted_since),
        began_count=len(manifest.began_since),
        damaged=manifest.damaged,
    )
