"""Operations: what was asked for and takes a while, how far it is, how it ended."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from iris.domain.operation import OperationKind
from web.api.deps import OperationIdDep, ServicesDep, problems
from web.api.operation_schemas import OperationPage, OperationQuery
from web.api.schemas import Operation
from web.api.wire import json_answer, page_answer, wire_operation


def operations_router() -> APIRouter:
    """The routes below /api/operations."""
    router = APIRouter(prefix="/api/operations", tags=["operations"])
    router.get("", response_model=OperationPage, responses=problems(422, 503))(list_operations)
    router.get("/{operation_id}", response_model=Operation, responses=problems(404, 503))(read_operation)
    return router


def list_operations(services: ServicesDep, query: Annotated[OperationQuery, Query()]) -> Response:
    """Operations, newest first."""
    kind = None if query.kind is None else OperationKind(query.kind)
    with services.store.reading() as repositories:
        rows, next_cursor = repositories.operations.page(kind=kind, limit=query.limit, cursor=query.cursor)
    return page_answer([wire_operation(row) for row in rows], next_cursor)


def read_operation(operation_id: OperationIdDep, services: ServicesDep) -> Response:
    """One operation: its progress while it runs, its result or failure afterwards."""
    with services.store.reading() as repositories:
        return json_answer(wire_operation(repositories.operations.get(operation_id)))
