"""Manual recording of a camera: started and stopped by a person, kept like any event."""

from __future__ import annotations

from fastapi import APIRouter, Response
from starlette.concurrency import run_in_threadpool

from iris.base.errors import ConflictError, InputError, NotFoundError
from iris.base.ids import CameraId
from iris.domain.recording import ManualRecording
from web.api.deps import NO_BODY, CameraIdDep, Responses, ServicesDep, problems
from web.api.schemas import Recording, RecordingStart
from web.api.services import Services
from web.api.wire import json_answer, wire_recording


def recordings_router() -> APIRouter:
    """The routes below /api/cameras/{camera_id}/record."""
    router = APIRouter(prefix="/api/cameras/{camera_id}/record", tags=["cameras"])
    answers = problems(404, 409, 422, 503)
    running: Responses = {200: {"model": Recording, "description": "One runs already; it goes on."}}
    router.post("/start", status_code=201, response_model=Recording, responses=running | answers)(start_recording)
    router.post("/stop", dependencies=NO_BODY, response_model=Recording, responses=answers)(stop_recording)
    return router


async def start_recording(
    camera_id: CameraIdDep, services: ServicesDep, body: RecordingStart | None = None
) -> Response:
    """Record now, from the pre-roll on, until stopped or until the longest time is over.

    A second start while one runs answers with the running one (200). The recording is an event with the label
    `manual`; it survives a restart, and its clip follows when it ends.
    """
    await _expect_enabled(services, camera_id)
    most_seconds = None if body is None else body.max_seconds
    if most_seconds is not None and most_seconds > services.manual_max_seconds:
        limit = f"max_seconds can be {services.manual_max_seconds:g} at most (MANUAL_MAX_SECONDS)"
        raise InputError(limit, field="max_seconds")
    recording = await _told(services, camera_id, "start", most_seconds)
    if recording is None:
        raise ConflictError("the camera did not begin to record")
    return json_answer(wire_recording(camera_id, recording), 201 if recording.fresh else 200)


async def stop_recording(camera_id: CameraIdDep, services: ServicesDep) -> Response:
    """End the manual recording; its clip follows in a moment."""
    await _expect_enabled(services, camera_id)
    recording = await _told(services, camera_id, "stop", None)
    if recording is None:
        raise ConflictError("no manual recording of this camera runs; it may have ended by itself")
    return json_answer(wire_recording(camera_id, recording))


async def _told(
    services: Services, camera_id: CameraId, action: str, most_seconds: float | None
) -> ManualRecording | None:
    try:
        return await services.node.record(camera_id, action, most_seconds)
    except NotFoundError as error:  # there is such a camera, but it does not run
        raise ConflictError(str(error)) from error


async def _expect_enabled(services: Services, camera_id: CameraId) -> None:
    def enabled() -> bool:
        with services.store.reading() as repositories:
            return repositories.cameras.get(camera_id).enabled

    if not await run_in_threadpool(enabled):
        raise ConflictError("the camera is switched off; enable it to record")
