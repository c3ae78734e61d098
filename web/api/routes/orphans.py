"""Files that belong to nothing: look for them, and have them moved into quarantine."""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from iris.contracts.names import operation_workflow_id
from iris.contracts.orphans import TRIGGER_REQUEST
from iris.domain.operation import OperationKind
from iris.store.operations import OperationDraft, OperationRow
from web.api.accepted import accepted
from web.api.deps import ServicesDep, problems
from web.api.schemas import Operation, OrphanPurge
from web.api.services import Services


def orphans_router() -> APIRouter:
    """The route of the orphan purge."""
    router = APIRouter(prefix="/api/system/orphan-purge", tags=["system"])
    router.post("", status_code=202, response_model=Operation, responses=problems(422, 503))(purge_orphans)
    return router


async def purge_orphans(body: OrphanPurge, services: ServicesDep) -> Response:
    """Look for files that belong to nothing: a dry run counts them, a real run moves them into quarantine."""
    return await accepted(services, await run_in_threadpool(_ask, body, services))


def _ask(body: OrphanPurge, services: Services) -> OperationRow:
    operation_id = services.ids.new_id()
    draft = OperationDraft(
        operation_id=operation_id,
        kind=OperationKind.ORPHAN_PURGE,
        workflow_id=operation_workflow_id(OperationKind.ORPHAN_PURGE.value, operation_id),
        request={"dry_run": body.dry_run, "max_share": body.max_share, "trigger": TRIGGER_REQUEST},
    )
    with services.store.writing() as repositories:
        return repositories.operations.ask(draft, services.clock.wall_us())
