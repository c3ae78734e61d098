"""Builds the application from its services. Importing this module makes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from starlette.types import Lifespan

from web.api.auth import OPEN_PATHS
from web.api.errors import install_error_handlers, title_of
from web.api.guards import Guard
from web.api.routes.backups import backups_router
from web.api.routes.cameras import cameras_router
from web.api.routes.event_removal import event_removal_router
from web.api.routes.events import events_router
from web.api.routes.notifications import notifications_router
from web.api.routes.operations import operations_router
from web.api.routes.orphans import orphans_router
from web.api.routes.recordings import recordings_router
from web.api.routes.retention import retention_router
from web.api.routes.system import system_router
from web.api.services import Services

_DESCRIPTION = """Cameras, events and clips of one Iris installation.

Send `Authorization: Bearer <API_KEY>`. Times are RFC 3339 UTC with microseconds, ids are uuids, lists come in pages
with `next_cursor`, errors are problem details of RFC 9457."""


def create_app(services: Services) -> FastAPI:
    """The whole api; its vitals are kept fresh from start to shutdown."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        async with services.vitals.running():
            yield

    app = build_routes(services.version, lifespan)
    app.state.services = services
    app.add_middleware(Guard, access=services.access, metrics=services.metrics)
    return app


def build_routes(version: str, lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Routes, errors and description, without services and without a guard: never to be served like this."""
    app = FastAPI(
        title="Iris",
        version=version,
        description=_DESCRIPTION,
        lifespan=lifespan,
        # The browser pages would load scripts from elsewhere; the description itself is served.
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    install_error_handlers(app)
    for router in (system_router, cameras_router, recordings_router, events_router, event_removal_router,
                   operations_router, notifications_router, retention_router, backups_router,
                   orphans_router):  # fmt: skip
        app.include_router(router())
    _describe(app)
    return app


def _describe(app: FastAPI) -> None:
    """Add to the description what routes do not know: the key, and one type of problem."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:  # the shape is OpenAPI's own
        if app.openapi_schema is None:
            schema = generate()
            schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
            schema["security"] = [{"key": []}]
            for path, operations in schema["paths"].items():
                for operation in operations.values():
                    _describe_problems(operation, is_open=path in OPEN_PATHS)
            # FastAPI describes its own form of 422, which is never sent.
            for unused in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(unused, None)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI documents this as the way to extend the description


def _describe_problems(operation: dict[str, Any], *, is_open: bool) -> None:
    responses = operation["responses"]
    if is_open:
        operation["security"] = []
    else:
        responses["401"] = {"description": title_of(401)}
    for status, response in responses.items():
        if int(status) >= 400:
            reference = {"$ref": "#/components/schemas/Problem"}
            response["content"] = {"application/problem+json": {"schema": reference}}
