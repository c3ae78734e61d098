"""Deleting events and holding them back over HTTP: what is refused, what is asked for, what is counted."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from iris.base.errors import ConfigError, UnavailableError
from iris.base.ids import EventId
from iris.domain.operation import OperationKind, OperationState
from tests.builders.events import CAMERA_ID, event_message, finalise_request, uuid_of
from tests.web.conftest import World
from web.api.schemas import Event, EventDeletionPreview, Operation

OTHER_CAMERA = uuid_of(2, "c")
MANY = "/api/events/delete"


@pytest.fixture(autouse=True)
def _seed(world: World) -> None:
    """Events 1 ready, 2 partial, 3 ready and on hold, 4 ready of another camera with a car, 5 open."""
    with world.store.writing() as work:
        work.events.finalise(finalise_request(1), 1)
        work.events.finalise(finalise_request(2, missing_s=4), 2)
        work.events.finalise(finalise_request(3), 3)
        work.holds.put(EventId(uuid_of(3)), "court", 3)
        work.events.finalise(finalise_request(4, camera_id=OTHER_CAMERA, labels=("car",)), 4)
        work.events.record(event_message(5), 5)


async def _ids(client: httpx.AsyncClient) -> set[int]:
    items = (await client.get("/api/events")).json()["items"]
    return {number for number in range(1, 10) if any(item["id"] == uuid_of(number) for item in items)}


async def test_one_event_is_gone_at_once_and_its_files_are_an_operation(
    client: httpx.AsyncClient, world: World
) -> None:
    response = await client.delete(f"/api/events/{uuid_of(1)}")
    body = response.json()
    assert response.status_code == 202, body
    Operation.model_validate(body, strict=True)
    assert response.headers["location"] == body["progress_url"] == f"/api/operations/{body['id']}"
    assert body["workflow_id"] == f"events-delete:{body['id']}"
    assert (body["kind"], body["request"]) == ("event_deletion", {"ids": [uuid_of(1)]})
    assert [task.workflow_id for task in world.operations.started] == [body["workflow_id"]]
    assert await _ids(client) == {2, 3, 4, 5}
    for path in ("", "/clip", "/thumbnail", "/hold"):
        method = "DELETE" if path == "/hold" else "GET"
        assert (await client.request(method, f"/api/events/{uuid_of(1)}{path}")).status_code == 404
    with world.store.reading() as work:
        [stone] = work.tombstones.unburied()
    assert (stone.event_id, stone.operation_id, stone.size_bytes) == (uuid_of(1), body["id"], 1000)
    shown = (await client.get(body["progress_url"])).json()
    assert (shown["state"], shown["progress"]["events"], shown["progress"]["files"]) == ("running", 1, 2)
    assert "cursor" not in shown["progress"]


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [(1, 404, "no event"), (77, 404, "no event"), (3, 409, "on hold"), (5, 409, "once it is finished")],
)
async def test_one_event_is_refused_with_what_to_do(
    client: httpx.AsyncClient, number: int, status: int, words: str
) -> None:
    if number == 1:  # removed already
        assert (await client.delete(f"/api/events/{uuid_of(1)}")).status_code == 202
    before = await _ids(client)
    response = await client.delete(f"/api/events/{uuid_of(number)}")
    assert (response.status_code, words in response.json()["detail"]) == (status, True), response.text
    assert await _ids(client) == before
    assert len((await client.get("/api/operations")).json()["items"]) == (number == 1)


@pytest.mark.parametrize("away", [UnavailableError("away"), ConfigError("nobody may in"), "hangs"])
async def test_deletion_is_accepted_soon_when_temporal_is_away(
    client: httpx.AsyncClient, world: World, away: Any
) -> None:
    if away == "hangs":
        world.operations.hangs = True
    else:
        world.operations.error = away
    began = time.monotonic()
    response = await client.delete(f"/api/events/{uuid_of(1)}")
    assert response.status_code == 202
    assert time.monotonic() - began < 3
    with world.store.reading() as work:
        [row] = work.operations.unfinished()
    assert row.operation_id == response.json()["id"]


SELECTIONS: list[tuple[dict[str, Any], tuple[int, ...]]] = [
    ({"all": True}, (3, 6, 3000, 1, 1, 0)),
    ({"camera_id": CAMERA_ID}, (2, 4, 2000, 1, 1, 0)),
    ({"label": "car"}, (1, 2, 1000, 0, 0, 0)),
    ({"state": "partial"}, (1, 2, 1000, 0, 0, 0)),
    ({"state": "failed"}, (0, 0, 0, 0, 0, 0)),
    ({"from": "2023-11-14T22:18:20Z"}, (1, 2, 1000, 1, 1, 0)),  # event 3 starts at that very moment
    ({"to": "2023-11-14T23:18:20+01:00", "label": "person"}, (2, 4, 2000, 0, 0, 0)),
    # Names go into a body only.
    ({"ids": [uuid_of(1), uuid_of(3), uuid_of(5), uuid_of(77)]}, (1, 2, 1000, 1, 1, 1)),
]


@pytest.mark.parametrize(
    ("method", "asked", "counts"),
    [("POST", *case) for case in SELECTIONS] + [("DELETE", *case) for case in SELECTIONS[:-1]],
)
async def test_dry_run_counts_what_the_deletion_then_removes(
    client: httpx.AsyncClient, world: World, method: str, asked: dict[str, Any], counts: tuple[int, ...]
) -> None:
    async def ask(**more: bool) -> httpx.Response:
        if method == "POST":
            return await client.post(MANY, json={**asked, **more})
        query = {name: str(value) for name, value in {**asked, **more}.items()}
        return await client.delete("/api/events", params=query)

    preview = await ask(dry_run=True)
    assert preview.status_code == 200, preview.text
    EventDeletionPreview.model_validate(preview.json(), strict=True)
    assert tuple(preview.json().values()) == counts
    assert await _ids(client) == {1, 2, 3, 4, 5}
    assert (await client.get("/api/operations")).json()["items"] == []
    response = await ask()
    assert response.status_code == 202, response.text
    with world.store.writing() as work:
        page = work.removals.entomb_page(response.json()["id"], world.clock.wall_us())
    assert not page.more
    assert (page.counts.events, page.counts.files, page.counts.size_bytes) == counts[:3]
    assert (page.counts.left_held, page.counts.left_open, page.counts.not_found) == counts[3:]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "all"),
        ({"dry_run": True}, "all"),
        ({"all": False}, "all"),
        ({"all": True, "camera_id": CAMERA_ID}, "all"),
        ({"all": True, "ids": [uuid_of(1)]}, "ids"),
        ({"ids": [uuid_of(1)], "label": "car"}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": [uuid_of(1), uuid_of(1)]}, "ids"),
        ({"ids": [uuid_of(number) for number in range(501)]}, "ids"),
        ({"ids": ["../../etc"]}, "ids"),
        ({"ids": uuid_of(1)}, "ids"),
        ({"camera_id": "x"}, "camera_id"),
        ({"state": "open"}, "state"),
        ({"from": "yesterday"}, "from"),
        ({"to": 5}, "to"),
        ({"all": "yes"}, "all"),
        ({"everything": True}, "everything"),
        ({"label": ""}, "label"),
    ],
)
async def test_many_are_refused_when_it_is_not_said_exactly_which(
    client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    response = await client.post(MANY, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["field"].startswith(field)
    assert await _ids(client) == {1, 2, 3, 4, 5}


async def test_many_are_refused_when_no_filter_is_given_in_the_query(client: httpx.AsyncClient) -> None:
    for query in ("", "?dry_run=true", "?all=false", "?ids=x", "?all=true&label=car"):
        assert (await client.delete(f"/api/events{query}")).status_code == 422
    assert await _ids(client) == {1, 2, 3, 4, 5}


async def test_hold_is_shown_and_taken_away(client: httpx.AsyncClient, world: World) -> None:
    url = f"/api/events/{uuid_of(1)}/hold"
    first = await client.put(url, json={"note": " for the insurance "})
    assert first.status_code == 200
    Event.model_validate(first.json(), strict=True)
    hold = first.json()["hold"]
    assert hold["note"] == "for the insurance"
    world.clock.advance_s(60)
    again = (await client.put(url, json={})).json()["hold"]
    assert again == {"since": hold["since"], "note": None}
    assert [item["id"] for item in (await client.get("/api/events?held=true")).json()["items"]] == [
        uuid_of(3), uuid_of(1),
    ]  # fmt: skip
    assert (await client.delete(f"/api/events/{uuid_of(1)}")).status_code == 409
    for _ in range(2):
        assert (await client.delete(url)).json()["hold"] is None
    assert (await client.delete(f"/api/events/{uuid_of(1)}")).status_code == 202
    assert (await client.put(url, json={})).status_code == 404


@pytest.mark.parametrize("body", [{"note": "x" * 501}, {"note": 5}, {"note": "a\u202eb"}, {"why": "x"}, {"note": None}])
async def test_hold_refuses_another_note(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await client.put(f"/api/events/{uuid_of(1)}/hold", json=body)).status_code == 422
    assert (await client.get(f"/api/events/{uuid_of(1)}")).json()["hold"] is None


async def test_operations_are_listed_newest_first_in_pages(client: httpx.AsyncClient, world: World) -> None:
    asked = []
    for number in (1, 2, 4):
        asked.append((await client.delete(f"/api/events/{uuid_of(number)}")).json()["id"])
        world.clock.advance_s(1)
    first = (await client.get("/api/operations?limit=2")).json()
    rest = (await client.get("/api/operations", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == asked[::-1]
    assert rest["next_cursor"] is None
    assert (await client.get("/api/operations?kind=backup")).json()["items"] == []
    assert len((await client.get("/api/operations?kind=event_deletion")).json()["items"]) == 3
    assert (await client.get("/api/operations?kind=x")).status_code == 422
    for name in (uuid_of(9), "x"):
        assert (await client.get(f"/api/operations/{name}")).status_code == 404


async def test_operation_shows_how_it_ended(client: httpx.AsyncClient, world: World) -> None:
    body = (await client.delete(f"/api/events/{uuid_of(1)}")).json()
    with world.store.writing() as work:
        work.operations.finish(body["id"], world.clock.wall_us(), result={"events": 1}, failure="terminated")
        [row], _ = work.operations.page(kind=OperationKind.EVENT_DELETION)
    assert row.state is OperationState.FAILED
    shown = (await client.get(body["progress_url"])).json()
    Operation.model_validate(shown, strict=True)
    assert (shown["state"], shown["failure"], shown["result"]) == ("failed", "terminated", {"events": 1})
    assert shown["finished_at"]
