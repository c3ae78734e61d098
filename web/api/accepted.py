"""Answers 202 for an operation: its row is committed, and its workflow is started best effort.

A Temporal that is away neither fails nor delays the request: the worker starts what was missed.
"""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from iris.base.errors import IrisError
from iris.base.log import get_logger
from iris.store.operations import OperationRow
from web.api.services import Services
from web.api.wire import json_answer, operation_url, wire_operation

_PATIENCE_S = 1.0


async def accepted(services: Services, row: OperationRow) -> Response:
    """The operation as it is now, with its address in `Location`; call it after the commit."""
    if not row.state.finished:
        await start_now(services, row)
    answer = json_answer(wire_operation(row), 202)
    answer.headers["Location"] = operation_url(row.operation_id)
    return answer


async def start_now(services: Services, row: OperationRow) -> None:
    """Start an operation's workflow if Temporal answers at once; call it after the commit."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await services.operations.start(row.task())
    except (IrisError, TimeoutError) as error:
        get_logger().info("the worker will start the operation", workflow_id=row.workflow_id, reason=str(error))
