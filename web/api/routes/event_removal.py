"""Deleting events - one, many, all - and holding one back. Deleting takes a while: 202 with an operation to look at."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.concurrency import run_in_threadpool

from iris.base.errors import ConflictError, InputError
from iris.base.failpoint import failpoint
from iris.base.ids import CameraId, EventId, parse_id
from iris.contracts.names import event_deletion_workflow_id
from iris.domain.event import EventState
from iris.domain.operation import OperationKind
from iris.store.engine import Repositories
from iris.store.events import EventFilters, EventRow
from iris.store.operations import OperationDraft, OperationRow
from iris.store.removals import EventSelection
from web.api.accepted import accepted
from web.api.deps import EventIdDep, Responses, ServicesDep, problems
from web.api.schemas import Event, EventDelete, EventDeleteQuery, EventDeletionPreview, HoldPut, Operation
from web.api.services import Services
from web.api.wire import json_answer, wire_event

_PREVIEW: Responses = {200: {"model": EventDeletionPreview, "description": "with dry_run: what would go"}}


def event_removal_router() -> APIRouter:
    """The routes below /api/events that remove events or keep them."""
    router = APIRouter(prefix="/api/events", tags=["events"])
    many = _PREVIEW | problems(422, 503)
    router.delete("", status_code=202, response_model=Operation, responses=many)(delete_events)
    router.post("/delete", status_code=202, response_model=Operation, responses=many)(delete_chosen_events)
    router.delete("/{event_id}", status_code=202, response_model=Operation, responses=problems(404, 409, 503))(
        delete_event
    )
    router.put("/{event_id}/hold", response_model=Event, responses=problems(404, 422, 503))(hold_event)
    router.delete("/{event_id}/hold", response_model=Event, responses=problems(404, 503))(release_event_hold)
    return router


async def delete_event(event_id: EventIdDep, services: ServicesDep) -> Response:
    """Delete one finished event; it is gone from lists at once, its files soon after."""
    return await accepted(services, await run_in_threadpool(_delete_one, services, event_id))


async def delete_events(services: ServicesDep, query: Annotated[EventDeleteQuery, Query()]) -> Response:
    """Delete the events of the filters, as the list shows them, or `all`."""
    return await _delete_many(services, _selection(query), dry_run=query.dry_run)


async def delete_chosen_events(body: EventDelete, services: ServicesDep) -> Response:
    """Delete the events that are named, or those of the filters, or `all`."""
    return await _delete_many(services, _selection(body), dry_run=body.dry_run)


def hold_event(event_id: EventIdDep, body: HoldPut, services: ServicesDep) -> Response:
    """Keep an event whatever deletes or evicts others; again changes only the note."""
    with services.store.writing() as work:
        return json_answer(wire_event(work.holds.put(event_id, body.note, services.clock.wall_us())))


def release_event_hold(event_id: EventIdDep, services: ServicesDep) -> Response:
    """Take the hold away; again changes nothing."""
    with services.store.writing() as work:
        return json_answer(wire_event(work.holds.remove(event_id)))


def _selection(asked: EventDeleteQuery) -> EventSelection:
    """What was asked for: exactly one of names, filters and all.

    Raises:
        InputError: Nothing, or more than one of them, or an id that is none.
    """
    ids = (asked.ids or []) if isinstance(asked, EventDelete) else []
    filters = EventFilters(
        camera_id=None if asked.camera_id is None else CameraId(parse_id(asked.camera_id, field="camera_id")),
        from_us=asked.from_,
        to_us=asked.to,
        label=asked.label,
        state=None if asked.state is None else EventState(asked.state),
    )
    ways = [bool(ids), filters != EventFilters(), asked.all]
    if not any(ways):
        raise InputError("say which events: by a filter, or all=true for every one of them", field="all")
    if sum(ways) > 1:
        raise InputError("choose one: ids, filters, or all=true", field="ids" if ids else "all")
    return EventSelection(filters, tuple(parse_id(event_id, field="ids") for event_id in ids))


async def _delete_many(services: Services, selection: EventSelection, *, dry_run: bool) -> Response:
    def preview() -> Response:
        with services.store.reading() as work:
            return json_answer(asdict(work.removals.preview(selection)))

    def ask() -> OperationRow:
        with services.store.writing() as work:
            return _ask(services, work, selection)

    if dry_run:
        return await run_in_threadpool(preview)
    return await accepted(services, await run_in_threadpool(ask))


def _delete_one(services: Services, event_id: EventId) -> OperationRow:
    """Its row goes with the request, so that a second one finds nothing; the workflow does the rest."""
    with services.store.writing() as work:
        _refuse_to_delete(work.events.get(event_id))
        operation = _ask(services, work, EventSelection(event_ids=(event_id,)))
        if work.removals.entomb_page(operation.operation_id, services.clock.wall_us()).counts.events == 0:
            raise ConflictError("the event changed at this very moment; look at it and try again")
        operation = work.operations.get(operation.operation_id)
    failpoint("event_delete.after_tombstone")
    return operation


def _refuse_to_delete(row: EventRow) -> None:
    if row.hold_us is not None:
        raise ConflictError("the event is on hold; take the hold away first (DELETE its /hold)")
    if not row.state.terminal:
        raise ConflictError(
            f"the event is {row.state.value}; it can be deleted once it is finished (switching its camera off ends it)"
        )


def _ask(services: Services, work: Repositories, selection: EventSelection) -> OperationRow:
    operation_id = services.ids.new_id()
    draft = OperationDraft(
        operation_id=operation_id,
        kind=OperationKind.EVENT_DELETION,
        workflow_id=event_deletion_workflow_id(operation_id),
        request=selection.request(),
    )
    return work.operations.ask(draft, services.clock.wall_us())
