"""Backups: what there is, and one now."""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from iris.base.timebase import format_rfc3339
from iris.contracts.names import operation_workflow_id
from iris.domain.backup import BackupFacts
from iris.domain.operation import OperationKind
from iris.store.operations import OperationDraft, OperationRow
from web.api.accepted import accepted
from web.api.backup_schemas import BackupList
from web.api.deps import NO_BODY, NO_QUERY, ServicesDep, problems
from web.api.schemas import Operation
from web.api.services import Services
from web.api.wire import WireObject, json_answer

# More listed than these are the affair of whoever set BACKUP_KEEP so high; names of damaged files are in the manifest.
_MOST_DAMAGED = 20


def backups_router() -> APIRouter:
    """The routes below /api/backups."""
    router = APIRouter(prefix="/api/backups", tags=["backups"])
    router.get("", dependencies=NO_QUERY, response_model=BackupList, responses=problems(422, 500))(list_backups)
    answers = problems(422, 503)
    router.post("", status_code=202, dependencies=NO_BODY, response_model=Operation, responses=answers)(make_backup)
    return router


def list_backups(services: ServicesDep) -> Response:
    """Finished backups in BACKUP_DIR, newest first, also those made by `iris backup`."""
    return json_answer({"items": [wire_backup(facts) for facts in services.backups()]})


async def make_backup(services: ServicesDep) -> Response:
    """Make a backup now. Where one is under way already, that one is the answer."""
    return await accepted(services, await run_in_threadpool(_ask, services))


def _ask(services: Services) -> OperationRow:
    operation_id = services.ids.new_id()
    with services.store.writing() as repositories:
        for row in repositories.operations.unfinished():
            if row.kind is OperationKind.BACKUP:
                return row
        draft = OperationDraft(
            operation_id=operation_id,
            kind=OperationKind.BACKUP,
            workflow_id=operation_workflow_id(OperationKind.BACKUP.value, operation_id),
            request={},
        )
        return repositories.operations.ask(draft, services.clock.wall_us())


def wire_backup(facts: BackupFacts) -> WireObject:
    """A backup."""
    return {
        "name": facts.name,
        "created_at": format_rfc3339(facts.created_us),
        "iris_version": facts.iris_version,
        "cameras": facts.camera_count,
        "events": facts.event_count,
        "files": facts.file_count,
        "size_bytes": facts.total_bytes,
        "deleted_since": facts.deleted_count,
        "began_since": facts.began_count,
        "damaged": list(facts.damaged[:_MOST_DAMAGED]),
    }
