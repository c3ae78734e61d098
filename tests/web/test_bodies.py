"""Requests that take no fields say so to whoever sends some."""

from __future__ import annotations

import httpx
import pytest

from tests.builders.events import CAMERA_ID


@pytest.mark.parametrize(
    "path", ["/api/backups", "/api/retention/run", "/api/retention/confirm", f"/api/cameras/{CAMERA_ID}/record/stop"]
)
async def test_fields_are_refused_where_there_are_none(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.post(path, json={"dry_run": True})
    assert (answer.status_code, answer.json()["detail"]) == (422, "this request takes no fields; send no body")
    assert (await client.get("/api/operations")).json()["items"] == []
    assert (await client.post(path, json={})).status_code != 422
