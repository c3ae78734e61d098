"""Retention: the policy, what would go, what went, a pass by hand."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response
from starlette.concurrency import run_in_threadpool

from iris.base.errors import InputError, NotFoundError
from iris.base.ids import CameraId, NodeId, parse_id
from iris.base.timebase import US_PER_S, format_rfc3339
from iris.contracts.names import operation_workflow_id
from iris.contracts.retention import PASS_EVERY_S
from iris.domain.operation import OperationKind, RemovalReason
from iris.domain.status import SILENT_US
from iris.domain.storage import StorageReport, storage_report
from iris.retention.planner import Going
from iris.retention.policy import AgeRule, RetentionPolicy
from iris.store.engine import Repositories
from iris.store.operations import OperationDraft, OperationRow
from iris.store.retention import StoredPolicy
from iris.store.retention_preview import NodePreview as NodePlan
from iris.store.retention_preview import Portion as PlannedPortion
from iris.store.retention_preview import preview_node
from iris.store.system import NodeRow
from iris.store.tombstones import Tombstone
from web.api.accepted import accepted
from web.api.deps import NO_BODY, ServicesDep, problems
from web.api.retention_schemas import (
    EvictionPage,
    EvictionQuery,
    PreviewQuery,
    Retention,
    RetentionPreview,
    RetentionPut,
)
from web.api.schemas import Operation
from web.api.services import Services
from web.api.wire import WireObject, json_answer, page_answer, wire_storage, wire_time

# The schedule's interval, counted from 1970 as Temporal does.
_PASS_EVERY_US: Final = PASS_EVERY_S * US_PER_S
_REASONS: Final = (RemovalReason.AGE, RemovalReason.SPACE)


def retention_router() -> APIRouter:
    """The routes below /api/retention."""
    router = APIRouter(prefix="/api/retention", tags=["retention"])
    router.get("", response_model=Retention, responses=problems(503))(read_retention)
    router.put("", response_model=Retention, responses=problems(422, 503))(set_retention)
    router.get("/preview", response_model=RetentionPreview, responses=problems(422, 503))(preview_retention)
    router.get("/evictions", response_model=EvictionPage, responses=problems(422, 503))(list_evictions)
    started = APIRouter(dependencies=NO_BODY, responses=problems(422, 503))
    started.post("/run", status_code=202, response_model=Operation)(run_retention)
    started.post("/confirm", status_code=202, response_model=Operation)(confirm_retention)
    router.include_router(started)
    return router


def read_retention(services: ServicesDep) -> Response:
    """The policy that holds: the one a person set, else that of the settings."""
    with services.store.reading() as work:
        return json_answer(_wire_policy(services, work.retention.policy()))


def set_retention(body: RetentionPut, services: ServicesDep) -> Response:
    """Set the whole policy; it holds from the next pass on, and the settings no longer do."""
    policy = RetentionPolicy(
        max_age_days=body.max_age_days,
        rules=tuple(AgeRule(**rule.model_dump()) for rule in body.rules),
        by_space=body.by_space,
        high_water=body.high_water,
        low_water=body.low_water,
        confirm_share=body.confirm_share,
    )
    with services.store.writing() as work:
        _check_cameras(work, policy)
        now_us = services.clock.wall_us()
        work.retention.set_policy(policy, now_us)
    return json_answer(_wire_policy(services, StoredPolicy(policy, now_us)))


def preview_retention(services: ServicesDep, query: Annotated[PreviewQuery, Query()]) -> Response:
    """What would go now and why, and what stays; nothing is removed."""
    now_us = services.clock.wall_us()
    with services.store.reading() as work:
        stored = work.retention.policy()
        policy = services.retention if stored is None else stored.policy
        nodes = work.system.nodes()
        reports = {row.node_id: _report(row, now_us - SILENT_US) for row in nodes}
        plans = [
            preview_node(work.retention, node_id, policy, report, now_us=now_us, limit=query.limit)
            for node_id, report in reports.items()
        ]
    items = [_wire_going(plan.node_id, going) for plan in plans for going in plan.first]
    items.sort(key=lambda item: str(item["started_at"]))
    return json_answer(
        {
            "next_pass_at": format_rfc3339((now_us // _PASS_EVERY_US + 1) * _PASS_EVERY_US),
            "nodes": [_wire_plan(plan, reports[plan.node_id]) for plan in plans],
            "items": items[: query.limit],
        }
    )


def list_evictions(services: ServicesDep, query: Annotated[EvictionQuery, Query()]) -> Response:
    """Every event that went by age or for space, newest first."""
    with services.store.reading() as work:
        stones, cursor = work.tombstones.page(limit=query.limit, cursor=query.cursor, reasons=_REASONS)
    return page_answer([_wire_eviction(stone) for stone in stones], cursor)


async def run_retention(services: ServicesDep) -> Response:
    """A pass now; a second request joins the one that runs."""
    return await accepted(services, await run_in_threadpool(_ask, services, confirmed=False))


async def confirm_retention(services: ServicesDep) -> Response:
    """A pass now that trusts the clock as it is, and removes however many events are past their age."""
    return await accepted(services, await run_in_threadpool(_ask, services, confirmed=True))


def _ask(services: Services, *, confirmed: bool) -> OperationRow:
    request = {"confirmed": confirmed}
    with services.store.writing() as work:
        for row in work.operations.unfinished():
            if row.kind is OperationKind.RETENTION and row.request == request:
                return row
        operation_id = services.ids.new_id()
        draft = OperationDraft(
            operation_id=operation_id,
            kind=OperationKind.RETENTION,
            workflow_id=operation_workflow_id(OperationKind.RETENTION.value, operation_id),
            request=request,
        )
        return work.operations.ask(draft, services.clock.wall_us())


def _check_cameras(work: Repositories, policy: RetentionPolicy) -> None:
    """A rule for a camera that does not exist is a slip of the finger.

    Raises:
        InputError: It names the rule.
    """
    for place, rule in enumerate(policy.rules):
        field = f"rules.{place}.camera_id"
        if rule.camera_id is not None:
            try:
                work.cameras.get(CameraId(parse_id(rule.camera_id, field=field)))
            except NotFoundError:
                raise InputError("there is no such camera", field=field) from None


def _report(row: NodeRow, alive_since_us: int) -> StorageReport | None:
    return storage_report(row.detail.get("storage")) if row.heartbeat_us >= alive_since_us else None


def _wire_policy(services: Services, stored: StoredPolicy | None) -> WireObject:
    policy = services.retention if stored is None else stored.policy
    return {
        "source": "settings" if stored is None else "person",
        "updated_at": None if stored is None else format_rfc3339(stored.updated_us),
        **asdict(policy),
    }


def _wire_plan(plan: NodePlan, report: StorageReport | None) -> WireObject:
    suspended = None if report is None else report.age_suspended
    return {
        "node_id": plan.node_id,
        "storage": wire_storage(report),
        "events": plan.totals.event_count,
        "by_age": _wire_portion(plan.by_age),
        "for_space": _wire_portion(plan.for_space),
        "waiting": _wire_portion(plan.waiting),
        "waits_for": suspended or plan.age_waits,
        "on_hold": plan.totals.held_count,
        "unfinished": plan.totals.unfinished_count,
        "complete": plan.complete,
    }


def _wire_portion(portion: PlannedPortion) -> WireObject:
    return {"events": portion.event_count, "size_bytes": portion.size_bytes}


def _wire_going(node_id: NodeId, going: Going) -> WireObject:
    event = going.event
    return {
        "event_id": event.event_id,
        "camera_id": event.camera_id,
        "node_id": node_id,
        "labels": event.labels,
        "started_at": format_rfc3339(event.started_us),
        "last_seen_at": format_rfc3339(event.last_seen_us),
        "size_bytes": event.size_bytes,
        "reason": going.reason,
        "rule": None if going.rule is None else asdict(going.rule),
    }


def _wire_eviction(stone: Tombstone) -> WireObject:
    return {
        "event_id": stone.event_id,
        "camera_id": stone.camera_id,
        "node_id": stone.node_id,
        "reason": stone.reason,
        "started_at": format_rfc3339(stone.started_us),
        "last_seen_at": format_rfc3339(stone.last_seen_us),
        "size_bytes": stone.size_bytes,
        "operation_id": stone.operation_id,
        "evicted_at": format_rfc3339(stone.created_us),
        "files_gone_at": wire_time(stone.buried_us),
    }
