"""The api's client of a node's internal door: HTTP over a Unix socket, a connection per request.

A node may be restarted at any time, so no connection is kept; one costs about a tenth of a millisecond.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import httpx

from iris.adapters.live_feed import status_from_json
from iris.base.errors import InputError, NotFoundError, UnavailableError
from iris.base.ids import CameraId
from iris.base.log import get_logger
from iris.base.unix_socket import short_socket_path
from iris.domain.dead_letter import DeadLetter
from iris.domain.recording import ManualRecording
from iris.domain.status import CameraStatus, NodeFacts
from iris.domain.storage import storage_report

# The node answers from memory; only a snapshot waits, for the camera process to encode one picture.
_ANSWER_S = 2.0
_SNAPSHOT_S = 8.0
_FACT_NAMES = {field.name for field in fields(NodeFacts)}


class UnixNodeLink:
    """Implements `iris.ports.NodeLink` over DATA_DIR/run/node.sock."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path

    async def camera_status(self) -> Sequence[CameraStatus]:
        """Live status of all cameras of the node.

        Raises:
            UnavailableError: The node does not answer.
        """
        body = _object(await self._request("GET", "/status"))
        try:
            cameras = cast("list[dict[str, object]]", body["cameras"])
            return tuple(status_from_json(CameraId(str(item["camera_id"])), item) for item in cameras)
        except (KeyError, TypeError, InputError) as error:
            raise _not_understood() from error

    async def facts(self) -> NodeFacts:
        """What the node says of its detector and outbox.

        Raises:
            UnavailableError: The node does not answer.
        """
        values = _object(await self._request("GET", "/facts"))
        try:
            for name in ("onnx_providers", "class_names"):
                values[name] = tuple(str(item) for item in cast("list[object]", values[name]))
            # A newer node may say more than this version knows.
            values["storage"] = storage_report(values.get("storage"))
            figures = cast("dict[str, float]", values.get("figures", {}))
            values["figures"] = {name: float(value) for name, value in figures.items()}
            return NodeFacts(**{name: values[name] for name in _FACT_NAMES})  # type: ignore[arg-type]  # the node's own values
        except (KeyError, TypeError) as error:
            raise _not_understood() from error

    async def snapshot(self, camera_id: CameraId) -> bytes:
        """Newest picture as JPEG.

        Raises:
            NotFoundError: The camera runs on no process here or has no picture yet.
            UnavailableError: The node does not answer.
        """
        return (await self._request("GET", f"/snapshot/{camera_id}", timeout_s=_SNAPSHOT_S)).content

    async def record(
        self, camera_id: CameraId, action: str, most_seconds: float | None = None
    ) -> ManualRecording | None:
        """Start or stop the manual recording of a camera; None: nothing to stop.

        Raises:
            NotFoundError: The camera runs on no process here.
            UnavailableError: The node or the camera process does not answer, or its disk refused it.
        """
        seconds = "" if most_seconds is None else f"?most_seconds={most_seconds:g}"
        body = _object(await self._request("POST", f"/record/{camera_id}/{action}{seconds}", timeout_s=_SNAPSHOT_S))
        values = body.get("recording")
        if values is None:
            return None
        try:
            return ManualRecording(**cast("dict[str, Any]", values))
        except TypeError as error:
            raise _not_understood() from error

    async def changed(self) -> None:
        """Best effort word that the cameras in the database changed; never raises."""
        try:
            await self._request("POST", "/changed")
        except (UnavailableError, NotFoundError) as error:
            # The node compares with the database every worker_reconcile_seconds anyway.
            get_logger().info("node not told of a change", error=error)

    async def dead_letters(self) -> Sequence[DeadLetter]:
        """Messages that Temporal refused for good, oldest first.

        Raises:
            UnavailableError: The node does not answer, or cannot read its marks.
        """
        try:
            items = cast("list[dict[str, object]]", _object(await self._request("GET", "/dead-letters"))["items"])
            return tuple(DeadLetter(**item) for item in items)  # type: ignore[arg-type]  # the node's own values
        except (KeyError, TypeError) as error:
            raise _not_understood() from error

    async def retry_dead_letters(self) -> int:
        """Have all of them handed over again; answers how many.

        Raises:
            UnavailableError: The node does not answer, or cannot write its marks.
        """
        return int(cast("int", _object(await self._request("POST", "/dead-letters/retry"))["count"]))

    async def _request(self, method: str, target: str, timeout_s: float = _ANSWER_S) -> httpx.Response:
        try:
            with short_socket_path(self._path) as short:
                transport = httpx.AsyncHTTPTransport(uds=short)
                async with httpx.AsyncClient(transport=transport, base_url="http://node", timeout=timeout_s) as client:
                    response = await client.request(method, target)
        except (httpx.HTTPError, OSError) as error:
            raise UnavailableError("the node does not answer; is `iris node` running?") from error
        if response.status_code == 404:
            raise NotFoundError(_detail(response))
        if response.status_code >= 400:
            raise UnavailableError(_detail(response))
        return response


def _object(response: httpx.Response) -> dict[str, object]:
    try:
        body = json.loads(response.content)
    except ValueError as error:
        raise _not_understood() from error
    if not isinstance(body, dict):
        raise _not_understood()
    return cast("dict[str, object]", body)


def _detail(response: httpx.Response) -> str:
    detail = _object(response).get("detail")
    return detail if isinstance(detail, str) else "the node refused the request"


def _not_understood() -> UnavailableError:
    return UnavailableError("the node gave an answer that this version does not understand; update both")
