"""The node's internal door: a small application on a Unix socket that only the same user can open.

It says what the node's memory holds; nothing in it waits for a camera, but a snapshot. Errors carry code and
sentence, so that the other end raises the same error again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from iris.base.errors import IrisError
from iris.base.ids import CameraId, parse_id
from iris.domain.dead_letter import DeadLetter
from iris.domain.recording import ManualRecording
from iris.domain.status import CameraStatus, NodeFacts
from web.api.errors import problem_of


class NodeHub(Protocol):
    """What a node knows of its cameras and of itself; called on the node's event loop."""

    def status(self) -> Sequence[CameraStatus]:
        """Live status of all its cameras."""
        ...

    async def snapshot(self, camera_id: CameraId) -> bytes:
        """Newest picture as JPEG.

        Raises:
            NotFoundError: No process of this camera, or no picture yet.
            UnavailableError: The camera process does not answer.
        """
        ...

    async def record(self, camera_id: CameraId, action: str, most_seconds: float | None) -> ManualRecording | None:
        """Start or stop the manual recording; None: nothing to stop.

        Raises:
            NotFoundError: No process of this camera.
            UnavailableError: The camera process does not answer.
            StorageError: Its disk refused it.
        """
        ...

    def changed(self) -> None:
        """The cameras in the database changed; returns at once."""
        ...

    def facts(self) -> NodeFacts:
        """Detector and outbox figures."""
        ...

    async def dead_letters(self) -> Sequence[DeadLetter]:
        """Messages that Temporal refused for good.

        Raises:
            StorageError: The node cannot read its marks.
        """
        ...

    async def retry_dead_letters(self) -> int:
        """Have them handed over again; answers how many.

        Raises:
            StorageError: The node cannot write its marks.
        """
        ...


def create_node_app(hub: NodeHub) -> ASGIApp:
    """The application over a hub."""

    async def status(_request: Request) -> Response:
        return _json({"cameras": hub.status()})

    async def facts(_request: Request) -> Response:
        return _json(hub.facts())

    async def snapshot(request: Request) -> Response:
        camera_id = CameraId(parse_id(request.path_params["camera_id"], field="camera_id"))
        return Response(await hub.snapshot(camera_id), media_type="image/jpeg")

    async def record(request: Request) -> Response:
        camera_id = CameraId(parse_id(request.path_params["camera_id"], field="camera_id"))
        seconds = request.query_params.get("most_seconds")
        recording = await hub.record(
            camera_id, request.path_params["action"], None if seconds is None else float(seconds)
        )
        return _json({"recording": recording})

    async def changed(_request: Request) -> Response:
        hub.changed()
        return Response(status_code=204)

    async def dead_letters(_request: Request) -> Response:
        return _json({"items": list(await hub.dead_letters())})

    async def retry_dead_letters(_request: Request) -> Response:
        return _json({"count": await hub.retry_dead_letters()})

    async def on_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, IrisError)
        return problem_of(error)

    return Starlette(
        routes=[
            Route("/status", status),
            Route("/facts", facts),
            Route("/snapshot/{camera_id}", snapshot),
            Route("/record/{camera_id}/{action}", record, methods=["POST"]),
            Route("/changed", changed, methods=["POST"]),
            Route("/dead-letters", dead_letters),
            Route("/dead-letters/retry", retry_dead_letters, methods=["POST"]),
        ],
        exception_handlers={IrisError: on_error},
    )


def _json(body: object) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
