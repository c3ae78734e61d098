"""Manual recording over HTTP."""

from __future__ import annotations

import httpx
import pytest

from tests.fakes.node import recording
from tests.web.conftest import World
from web.api.schemas import CameraLive, Recording

UNKNOWN_ID = "018bcfe5-6800-7000-800c-00000000ffff"


@pytest.fixture
async def camera_id(client: httpx.AsyncClient, world: World) -> str:
    answer = await client.post("/api/cameras", json={"name": "Door", "rtsp_url": "rtsp://cam.example/live"})
    number = str(answer.json()["id"])
    world.node.statuses = [recording(number)]
    return number


async def test_start_answers_201_and_a_second_start_200_with_the_same_recording(
    client: httpx.AsyncClient, camera_id: str
) -> None:
    first = await client.post(f"/api/cameras/{camera_id}/record/start", json={"max_seconds": 30})
    second = await client.post(f"/api/cameras/{camera_id}/record/start")

    Recording.model_validate(first.json(), strict=True)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert first.json()["running"]
    assert first.json()["stops_at"] == "2023-11-14T22:13:50.000000Z"


async def test_stop_answers_with_the_end_and_a_second_stop_409(client: httpx.AsyncClient, camera_id: str) -> None:
    await client.post(f"/api/cameras/{camera_id}/record/start")
    first = await client.post(f"/api/cameras/{camera_id}/record/stop")
    second = await client.post(f"/api/cameras/{camera_id}/record/stop")

    assert first.status_code == 200
    assert not first.json()["running"]
    assert first.json()["ended_at"] == "2023-11-14T22:13:25.000000Z"
    assert second.status_code == 409
    assert "no manual recording" in second.json()["detail"]


@pytest.mark.parametrize("body", [{"max_seconds": 0}, {"max_seconds": "long"}, {"seconds": 5}, {"max_seconds": 1e9}])
async def test_start_refuses_what_is_no_length(client: httpx.AsyncClient, camera_id: str, body: object) -> None:
    answer = await client.post(f"/api/cameras/{camera_id}/record/start", json=body)
    assert answer.status_code == 422


async def test_start_names_the_limit_when_asked_for_more(client: httpx.AsyncClient, camera_id: str) -> None:
    path = f"/api/cameras/{camera_id}/record/start"
    answer = await client.post(path, json={"max_seconds": 600.5})
    assert answer.status_code == 422
    assert "max_seconds can be 600 at most (MANUAL_MAX_SECONDS)" in answer.text
    assert (await client.post(path, json={"max_seconds": 600})).status_code == 201


async def test_start_of_a_camera_that_is_off_answers_409(client: httpx.AsyncClient, camera_id: str) -> None:
    await client.post(f"/api/cameras/{camera_id}/disable")
    answer = await client.post(f"/api/cameras/{camera_id}/record/start")
    assert answer.status_code == 409
    assert "enable" in answer.json()["detail"]


async def test_start_of_an_unknown_camera_answers_404(client: httpx.AsyncClient) -> None:
    assert (await client.post(f"/api/cameras/{UNKNOWN_ID}/record/start")).status_code == 404


async def test_start_answers_503_while_the_node_is_away(
    client: httpx.AsyncClient, world: World, camera_id: str
) -> None:
    world.node.up = False
    assert (await client.post(f"/api/cameras/{camera_id}/record/start")).status_code == 503


async def test_status_shows_the_running_recording(client: httpx.AsyncClient, world: World, camera_id: str) -> None:
    event_id = "018bcfe5-6800-7000-800e-000000000001"
    world.node.statuses = [
        recording(camera_id, manual_event_id=event_id, manual_since_us=1_700_000_000_000_000,
                  manual_stops_us=1_700_000_600_000_000)
    ]  # fmt: skip
    body = (await client.get(f"/api/cameras/{camera_id}/status")).json()

    CameraLive.model_validate(body, strict=True)
    assert body["recording"]["id"] == event_id
    assert body["recording"]["stops_at"] == "2023-11-14T22:23:20.000000Z"
