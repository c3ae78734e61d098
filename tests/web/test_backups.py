"""Backups over HTTP: the list, and asking for one."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from iris.domain.backup import BackupFacts
from tests.builders.events import S
from tests.web.conftest import API_KEY, World, client_of
from web.api.app import create_app
from web.api.backup_schemas import BackupList

FACTS = BackupFacts(
    name="20231114T221320Z-000000ab", created_us=1_700_000_000 * S, iris_version="0.1.0", camera_count=2,
    event_count=30, file_count=61, total_bytes=5_000, deleted_count=1, began_count=0, damaged=("event x: gone",),
)  # fmt: skip


async def test_list_shows_finished_backups(world: World) -> None:
    app = create_app(replace(world.services, backups=lambda: [FACTS]))
    async with client_of(app, key=API_KEY) as client:
        answer = await client.get("/api/backups")
    [item] = BackupList.model_validate(answer.json()).items
    assert (item.name, item.created_at, item.events) == (FACTS.name, "2023-11-14T22:13:20.000000Z", 30)
    assert item.damaged == ["event x: gone"]


async def test_list_is_empty_where_there_is_none(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/backups")).json() == {"items": []}


@pytest.mark.parametrize("path", ["/api/backups", "/api/system/dead-letters"])
async def test_list_refuses_parameters_when_it_has_none(client: httpx.AsyncClient, path: str) -> None:
    refused = await client.get(path, params={"x": "1"})
    assert refused.status_code == 422
    assert refused.json()["detail"] == "this list takes no parameters; leave them out"
    assert (await client.get(path)).status_code == 200


async def test_asking_makes_one_operation_and_the_second_joins_it(client: httpx.AsyncClient) -> None:
    first = await client.post("/api/backups")
    second = await client.post("/api/backups")
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert first.json()["kind"] == "backup"
    assert first.headers["Location"] == f"/api/operations/{first.json()['id']}"
    assert first.json()["workflow_id"] == f"backup:{first.json()['id']}"
