"""Cameras: create, list, read, change, switch, look, delete."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from starlette.concurrency import run_in_threadpool

from iris.base.errors import UnavailableError
from iris.base.ids import CameraId
from iris.domain.status import CameraStatus
from iris.store.cameras import CameraRow
from iris.store.engine import Repositories
from iris.store.operations import OperationRow
from web.api.accepted import accepted, start_now
from web.api.camera_edit import draft_of, leads_elsewhere, patch_of
from web.api.deps import CameraIdDep, Responses, ServicesDep, media, problems
from web.api.node_vitals import gone_node_of
from web.api.removal_schemas import CameraRemovalQuery
from web.api.schemas import (
    Camera,
    CameraCreate,
    CameraLive,
    CameraPage,
    CameraPatch,
    CameraQuery,
    DetectClasses,
    Operation,
)
from web.api.services import Services
from web.api.wire import (
    WireObject,
    detector_words,
    json_answer,
    operation_url,
    page_answer,
    status_of,
    wire_camera,
    wire_status,
)

_JPEG = media("image/jpeg", "the newest picture")


def cameras_router() -> APIRouter:
    """The routes below /api/cameras."""
    router = APIRouter(prefix="/api/cameras", tags=["cameras"])
    router.post("", status_code=201, response_model=Camera, responses=problems(422, 503))(create_camera)
    router.get("", response_model=CameraPage, responses=problems(422, 503))(list_cameras)
    router.get("/detect/classes", response_model=DetectClasses)(detect_classes)
    router.get("/{camera_id}", response_model=Camera, responses=problems(404, 503))(read_camera)
    router.patch("/{camera_id}", response_model=Camera, responses=problems(404, 409, 422, 503))(change_camera)
    ended: Responses = {200: {"model": Operation, "description": "it was deleted before; `result` is the certificate"}}
    router.delete(
        "/{camera_id}", status_code=202, response_model=Operation, responses=ended | problems(404, 409, 422, 503)
    )(delete_camera)
    router.post("/{camera_id}/enable", response_model=Camera, responses=problems(404, 503))(enable_camera)
    router.post("/{camera_id}/disable", response_model=Camera, responses=problems(404, 503))(disable_camera)
    router.get("/{camera_id}/status", response_model=CameraLive, responses=problems(404, 503))(camera_status)
    router.get("/{camera_id}/snapshot", response_class=Response, responses=_JPEG | problems(404, 503))(camera_snapshot)
    router.get("/{camera_id}/detect/classes", response_model=DetectClasses, responses=problems(404, 503))(
        camera_detect_classes
    )
    return router


async def create_camera(body: CameraCreate, services: ServicesDep) -> Response:
    """Add a camera; where `enabled` it starts at once."""
    camera_id = CameraId(services.ids.new_id())

    def add() -> CameraRow:
        draft = draft_of(body, camera_id, services.vault, services.defaults)
        with services.store.writing() as repositories:
            return repositories.cameras.add(camera_id, draft, services.clock.wall_us())

    row = await run_in_threadpool(add)
    await services.node.changed()
    answer = json_answer(wire_camera(row), 201)
    answer.headers["Location"] = f"/api/cameras/{camera_id}"
    return answer


def list_cameras(services: ServicesDep, query: Annotated[CameraQuery, Query()]) -> Response:
    """Cameras, oldest first."""
    with services.store.reading() as repositories:
        rows, next_cursor = repositories.cameras.page(limit=query.limit, cursor=query.cursor)
        items = [_wire(repositories, row) for row in rows]
    return page_answer(items, next_cursor)


def read_camera(camera_id: CameraIdDep, services: ServicesDep) -> Response:
    """One camera; its addresses are masked."""
    with services.store.reading() as repositories:
        return json_answer(_wire(repositories, repositories.cameras.get(camera_id)))


async def change_camera(
    camera_id: CameraIdDep,
    body: CameraPatch,
    services: ServicesDep,
    query: Annotated[CameraRemovalQuery, Query()],
) -> Response:
    """Change what is given. A camera that runs takes it up within a second.

    Another source in `rtsp_url` first has everything removed that the old one showed: `operation_id` and `Location`
    name the operation, and the camera runs again after it.
    """

    def update() -> tuple[CameraRow, OperationRow | None, bool]:
        now_us = services.clock.wall_us()
        with services.store.writing() as repositories:
            row, removals = repositories.cameras.lock(camera_id), repositories.camera_removals
            patch = patch_of(body, row, services.vault, services.defaults)
            running = None if row.purging_us is None else removals.running_repoint(camera_id)
            # An address is given again where a person ended the workflow of the last one.
            given_up = row.purging_us is not None and running is None and "rtsp_url" in body.model_fields_set
            if given_up or leads_elsewhere(patch, row, services.vault):
                asked = removals.ask_repoint(row, patch, services.ids.new_id(), now_us, include_held=query.include_held)
                return *asked, True
            return repositories.cameras.update(camera_id, patch, now_us), running, False

    row, operation, is_new = await run_in_threadpool(update)
    await services.node.changed()
    answer = json_answer(wire_camera(row, operation))
    if is_new and operation is not None:
        await start_now(services, operation)
        answer.headers["Location"] = operation_url(operation.operation_id)
    return answer


async def delete_camera(
    camera_id: CameraIdDep, services: ServicesDep, query: Annotated[CameraRemovalQuery, Query()]
) -> Response:
    """Delete a camera with everything of it. It is gone from every list at once; the operation says how far it is.

    Asked again it answers with the same operation, also when that is done.
    """

    def ask() -> OperationRow:
        with services.store.writing() as repositories:
            return repositories.camera_removals.ask_deletion(
                camera_id, services.ids.new_id, services.clock.wall_us(), include_held=query.include_held
            )

    row = await run_in_threadpool(ask)
    await services.node.changed()
    answer = await accepted(services, row)
    if row.state.finished:
        answer.status_code = 200
    return answer


async def enable_camera(camera_id: CameraIdDep, services: ServicesDep) -> Response:
    """Switch a camera on; again changes nothing."""
    return await _switch(services, camera_id, enabled=True)


async def disable_camera(camera_id: CameraIdDep, services: ServicesDep) -> Response:
    """Switch a camera off; an open event is closed. Again changes nothing."""
    return await _switch(services, camera_id, enabled=False)


async def camera_status(camera_id: CameraIdDep, services: ServicesDep) -> Response:
    """What the camera does now, as its process said within the last second."""
    row = await run_in_threadpool(_row, services, camera_id)
    live: CameraStatus | None = None
    node_up = True
    if row.enabled:
        try:
            statuses = await services.node.camera_status()
            live = next((status for status in statuses if status.camera_id == camera_id), None)
        except UnavailableError:
            node_up = False
    store = services.vitals.store
    gone = gone_node_of(row, store.nodes) if store else None
    return json_answer(wire_status(status_of(row, live, node_up=node_up, gone=gone), services.clock.wall_us()))


async def camera_snapshot(camera_id: CameraIdDep, services: ServicesDep) -> Response:
    """The newest picture as JPEG."""
    await run_in_threadpool(_row, services, camera_id)
    return Response(await services.node.snapshot(camera_id), media_type="image/jpeg")


async def detect_classes(services: ServicesDep) -> Response:
    """Names that `trigger_classes` may hold with the detector of this node."""
    facts = services.vitals.node
    return json_answer(
        {"detector": detector_words(facts.backend if facts else ""), "items": facts.class_names if facts else ()}
    )


async def camera_detect_classes(camera_id: CameraIdDep, services: ServicesDep) -> Response:
    """Names that `trigger_classes` of this camera may hold."""
    row = await run_in_threadpool(_row, services, camera_id)
    if row.detector_backend is not None and row.detector_backend.value in _OWN_CLASSES:
        own = row.detector_backend.value
        return json_answer({"detector": detector_words(own), "items": _OWN_CLASSES[own]})
    return await detect_classes(services)


# Backends that need no model to know what they can see.
_OWN_CLASSES: dict[str, tuple[str, ...]] = {"motion": ("motion",), "none": ()}


async def _switch(services: Services, camera_id: CameraId, *, enabled: bool) -> Response:
    def switch() -> WireObject:
        with services.store.writing() as repositories:
            now_us = services.clock.wall_us()
            return _wire(repositories, repositories.cameras.set_enabled(camera_id, enabled=enabled, now_us=now_us))

    camera = await run_in_threadpool(switch)
    await services.node.changed()
    return json_answer(camera)


def _wire(repositories: Repositories, row: CameraRow) -> WireObject:
    """A camera with the operation that keeps it from running, where one does."""
    running = None if row.purging_us is None else repositories.camera_removals.running_repoint(row.camera_id)
    return wire_camera(row, running)


def _row(services: Services, camera_id: CameraId) -> CameraRow:
    with services.store.reading() as repositories:
        return repositories.cameras.get(camera_id)
