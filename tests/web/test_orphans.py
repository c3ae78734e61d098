"""Asking for an orphan purge: a row that is committed, and a workflow that is started best effort."""

from __future__ import annotations

import httpx
import pytest

from tests.web.conftest import World

PATH = "/api/system/orphan-purge"


async def test_purge_is_a_dry_run_unless_a_person_says_otherwise(world: World, client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, json={})
    assert answer.status_code == 202
    body = answer.json()
    assert body["kind"] == "orphan_purge"
    assert body["state"] == "requested"
    assert body["request"] == {"dry_run": True, "max_share": None, "trigger": "request"}
    assert answer.headers["Location"] == body["progress_url"]
    assert (await client.get(body["progress_url"])).json() == body
    assert [task.workflow_id for task in world.operations.started] == [body["workflow_id"]]


async def test_purge_keeps_what_a_person_confirmed(client: httpx.AsyncClient) -> None:
    body = (await client.post(PATH, json={"dry_run": False, "max_share": 0.9})).json()
    assert body["request"] == {"dry_run": False, "max_share": 0.9, "trigger": "request"}


@pytest.mark.parametrize(
    "body", [{"max_share": 0}, {"max_share": 1.1}, {"max_share": "1"}, {"dry_run": "no"}, {"folder": "recordings"}]
)
async def test_purge_refuses_what_it_does_not_know(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    assert (await client.post(PATH, json=body)).status_code == 422
