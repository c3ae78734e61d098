"""Events over HTTP: their shape, pages and filters."""

from __future__ import annotations

import httpx
import pytest

from iris.base.ids import EventId
from tests.builders.events import CAMERA_ID, event_message, finalise_request, uuid_of
from tests.web.conftest import World
from web.api.schemas import Event, EventPage

OTHER_CAMERA = uuid_of(2, "c")


def _seed(world: World) -> None:
    """Events 1 ready, 2 partial, 3 failed, 4 closing, 5 open (of another camera, a car)."""
    with world.store.writing() as repositories:
        events = repositories.events
        events.finalise(finalise_request(1), 1)
        events.finalise(finalise_request(2, missing_s=4), 2)
        failed = finalise_request(3)
        events.finalise(type(failed)(failed.message, type(failed.clip)("failed", failure="the disk was full")), 3)
        repositories.holds.put(EventId(uuid_of(3)), "", 3)
        events.record(event_message(4, "closed"), 4)
        events.record(event_message(5, camera_id=OTHER_CAMERA, labels=("car",), continues=uuid_of(4)), 5)


async def test_ready_event_has_the_whole_shape(client: httpx.AsyncClient, world: World) -> None:
    _seed(world)
    body = (await client.get(f"/api/events/{uuid_of(1)}")).json()
    Event.model_validate(body, strict=True)
    url = f"/api/events/{uuid_of(1)}"
    assert body == {
        "id": uuid_of(1), "camera_id": CAMERA_ID, "state": "ready", "labels": ["person"],
        "started_at": "2023-11-14T22:15:00.000000Z", "ended_at": "2023-11-14T22:15:10.000000Z",
        "last_seen_at": "2023-11-14T22:15:10.000000Z", "end_reason": "left",
        "window": {"start": "2023-11-14T22:14:55.000000Z", "end": "2023-11-14T22:15:20.000000Z"},
        "gaps": [], "clip_url": f"{url}/clip",
        "clip_files": [{
            "part": 0, "url": f"{url}/clip", "start": "2023-11-14T22:14:55.000000Z",
            "end": "2023-11-14T22:15:20.000000Z", "duration_seconds": 25.0, "size_bytes": 1000, "sha256": "ab" * 32,
            "video_codec": "h264", "width": 1920, "height": 1080, "has_audio": False,
        }],
        "thumbnail_url": f"{url}/thumbnail", "workflow_id": f"event:{uuid_of(1)}", "continues": None,
        "detector": "motion detection", "failure": None, "hold": None,
    }  # fmt: skip


async def test_partial_event_lists_its_gaps(client: httpx.AsyncClient, world: World) -> None:
    _seed(world)
    body = (await client.get(f"/api/events/{uuid_of(2)}")).json()
    assert body["state"] == "partial"
    assert body["gaps"] == [
        {"start": "2023-11-14T22:16:56.000000Z", "end": "2023-11-14T22:17:00.000000Z", "reason": "camera_offline"}
    ]
    assert body["clip_url"]


@pytest.mark.parametrize(("number", "state"), [(3, "failed"), (4, "closing"), (5, "open")])
async def test_event_has_no_clip_when_it_is_not_ready(
    client: httpx.AsyncClient, world: World, number: int, state: str
) -> None:
    _seed(world)
    body = (await client.get(f"/api/events/{uuid_of(number)}")).json()
    Event.model_validate(body, strict=True)
    assert (body["state"], body["clip_url"], body["clip_files"]) == (state, None, [])
    assert (body["failure"] is not None) == (state == "failed")
    assert (body["window"]["end"] is None) == (state == "open")
    assert body["continues"] == (uuid_of(4) if number == 5 else None)


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({}, [5, 4, 3, 2, 1]),
        ({"limit": "2"}, [5, 4]),
        ({"limit": "2", "offset": "3"}, [2, 1]),
        ({"camera_id": OTHER_CAMERA}, [5]),
        ({"camera_id": uuid_of(9, "c")}, []),
        ({"label": "car"}, [5]),
        ({"label": "' OR 1=1 --"}, []),
        ({"state": "partial"}, [2]),
        ({"from": "2023-11-14T22:18:20Z"}, [5, 4, 3]),  # event 3 starts at that very moment
        ({"to": "2023-11-14T22:18:20Z"}, [2, 1]),
        ({"from": "2023-11-14T23:16:40+01:00", "to": "2023-11-14T22:18:20.000001Z"}, [3, 2]),
        ({"person_id": uuid_of(1, "f")}, []),
        ({"held": "true"}, [3]),
        ({"held": "false", "state": "ready"}, [1]),
        ({"held": "false", "limit": "2"}, [5, 4]),
        ({"held": "true", "camera_id": OTHER_CAMERA}, []),
    ],
)
async def test_list_filters(client: httpx.AsyncClient, world: World, query: dict[str, str], numbers: list[int]) -> None:
    _seed(world)
    body = (await client.get("/api/events", params=query)).json()
    EventPage.model_validate(body, strict=True)
    assert [item["id"] for item in body["items"]] == [uuid_of(number) for number in numbers]


async def test_list_pages_by_cursor_until_the_end(client: httpx.AsyncClient, world: World) -> None:
    _seed(world)
    seen: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = (await client.get("/api/events", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == [uuid_of(number) for number in (5, 4, 3, 2, 1)]
    assert cursor is None


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=1000000000", "limit"), ("limit=x", "limit"), ("limit=", "limit"),
        ("offset=-1", "offset"), ("offset=99999999999999999999", "offset"), ("camera_id=x", "camera_id"),
        ("camera_id=", "camera_id"), ("person_id=../x", "person_id"), ("from=yesterday", "from"),
        ("from=2023-11-14T22:18:20", "from"), ("to=-1", "to"), ("state=done", "state"), ("label=", "label"),
        ("label=%00", "label"), ("held=maybe", "held"), ("cursor=!", "cursor"), ("cursor=" + "A" * 300, "cursor"),
        ("sort=id", "sort"),
    ],
)  # fmt: skip
async def test_list_names_the_parameter_when_it_is_wrong(client: httpx.AsyncClient, query: str, field: str) -> None:
    response = await client.get(f"/api/events?{query}")
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["field"] == field


async def test_list_refuses_cursor_and_offset_together(client: httpx.AsyncClient, world: World) -> None:
    _seed(world)
    cursor = (await client.get("/api/events?limit=1")).json()["next_cursor"]
    response = await client.get(f"/api/events?cursor={cursor}&offset=1")
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "offset")


@pytest.mark.parametrize("path", ["", "/clip", "/thumbnail"])
@pytest.mark.parametrize("event_id", [uuid_of(77), "x", "..%2f..%2fetc%2fpasswd", "%00", uuid_of(10).upper()])
async def test_event_is_not_found_when_the_id_names_none(client: httpx.AsyncClient, path: str, event_id: str) -> None:
    response = await client.get(f"/api/events/{event_id}{path}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


async def test_store_away_answers_503_without_its_address(world: World, client: httpx.AsyncClient) -> None:
    world.store.close()
    (world.data_dir / "vms.db").unlink()
    (world.data_dir / "vms.db").mkdir()  # cannot be opened as a file
    for path in ("/api/events", "/api/cameras"):
        response = await client.get(path)
        assert (response.status_code, response.json()["code"]) == (503, "store_error")
        assert str(world.data_dir) not in response.text
    assert (await client.get("/health")).status_code == 200
