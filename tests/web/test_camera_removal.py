"""Deleting and repointing a camera over HTTP: gone at once, joined, refused where events are on hold."""

from __future__ import annotations

import httpx
import pytest

from iris.base.errors import UnavailableError
from iris.base.ids import CameraId
from tests.builders.events import finalise_request, uuid_of
from tests.fakes.node import recording
from tests.web.conftest import World
from web.api.schemas import Camera, CameraLive, Operation

ADDRESS = "rtsp://CANARYUSER:CANARYPASS@cam.example:8554/live"
UNKNOWN_ID = "018bcfe5-6800-7000-800c-00000000ffff"


@pytest.fixture
async def camera_id(client: httpx.AsyncClient, world: World) -> str:
    answer = await client.post("/api/cameras", json={"name": "Door", "rtsp_url": ADDRESS})
    number = str(answer.json()["id"])
    world.node.statuses = [recording(number)]
    world.node.pictures[number] = b"\xff\xd8"
    with world.store.writing() as work:
        work.events.finalise(finalise_request(1, camera_id=number), world.clock.wall_us())
    return number


async def hold(client: httpx.AsyncClient) -> None:
    assert (await client.put(f"/api/events/{uuid_of(1)}/hold", json={"note": "police"})).status_code == 200


def finish(world: World, operation_id: str, camera_id: str) -> None:
    """What the workflow does with the rows; files count as gone."""
    camera = CameraId(camera_id)
    with world.store.writing() as work:
        now_us = world.clock.wall_us()
        work.camera_removals.entomb_page(operation_id, camera, now_us)
        work.tombstones.bury([stone.event_id for stone in work.tombstones.unburied()], now_us)
        left, _ = work.camera_removals.finish(operation_id, camera, now_us)
        assert left == 0


async def test_deleted_camera_is_gone_everywhere_at_once_and_its_operation_is_shown(
    client: httpx.AsyncClient, world: World, camera_id: str
) -> None:
    told = world.node.changed_count
    answer = await client.delete(f"/api/cameras/{camera_id}")

    body = answer.json()
    Operation.model_validate(body, strict=True)
    assert answer.status_code == 202
    assert (body["kind"], body["workflow_id"]) == ("camera_deletion", f"camera-delete:{camera_id}")
    assert answer.headers["location"] == body["progress_url"] == f"/api/operations/{body['id']}"
    assert (await client.get(body["progress_url"])).json() == body
    assert [task.workflow_id for task in world.operations.started] == [body["workflow_id"]]
    assert world.node.changed_count == told + 1
    assert (await client.get("/api/cameras")).json()["items"] == []
    assert (await client.get("/api/events")).json()["items"] == []
    for path in ("", "/status", "/snapshot", "/detect/classes"):
        assert (await client.get(f"/api/cameras/{camera_id}{path}")).status_code == 404
    assert (await client.patch(f"/api/cameras/{camera_id}", json={"name": "x"})).status_code == 404
    for verb in ("enable", "disable", "record/start", "record/stop"):
        assert (await client.post(f"/api/cameras/{camera_id}/{verb}")).status_code == 404
    for path in ("", "/clip", "/thumbnail"):
        assert (await client.get(f"/api/events/{uuid_of(1)}{path}")).status_code == 404


async def test_second_deletion_answers_the_first_and_its_certificate_afterwards(
    client: httpx.AsyncClient, world: World, camera_id: str
) -> None:
    first = (await client.delete(f"/api/cameras/{camera_id}")).json()
    second = await client.delete(f"/api/cameras/{camera_id}")
    assert (second.status_code, second.json()["id"]) == (202, first["id"])
    finish(world, first["id"], camera_id)
    third = await client.delete(f"/api/cameras/{camera_id}")
    assert (third.status_code, third.json()["id"], third.json()["state"]) == (200, first["id"], "done")
    assert third.json()["result"]["event_count"] == 1
    assert third.json()["result"]["remaining"] == 0


async def test_deletion_is_accepted_when_temporal_is_away(
    client: httpx.AsyncClient, world: World, camera_id: str
) -> None:
    world.operations.error = UnavailableError("Temporal cannot be reached now")
    answer = await client.delete(f"/api/cameras/{camera_id}")
    assert (answer.status_code, answer.json()["state"]) == (202, "requested")
    with world.store.reading() as work:
        assert [row.operation_id for row in work.operations.unfinished()] == [answer.json()["id"]]


async def test_deletion_answers_404_when_there_never_was_such_a_camera(client: httpx.AsyncClient) -> None:
    assert (await client.delete(f"/api/cameras/{UNKNOWN_ID}")).status_code == 404
    assert (await client.delete("/api/cameras/nonsense")).status_code == 404


async def test_deletion_and_repoint_answer_409_when_events_are_on_hold(
    client: httpx.AsyncClient, camera_id: str
) -> None:
    await hold(client)
    elsewhere = {"rtsp_url": "rtsp://cam.example:8554/other"}
    for answer in (
        await client.delete(f"/api/cameras/{camera_id}"),
        await client.patch(f"/api/cameras/{camera_id}", json=elsewhere),
    ):
        assert answer.status_code == 409
        assert "include_held=true" in answer.json()["detail"]
    assert (await client.get(f"/api/cameras/{camera_id}")).json()["operation_id"] is None
    with_held = {"include_held": "true"}
    repoint = await client.patch(f"/api/cameras/{camera_id}", json=elsewhere, params=with_held)
    assert repoint.status_code == 200
    assert (await client.delete(f"/api/cameras/{camera_id}", params=with_held)).status_code == 202


async def test_other_address_purges_and_says_so_until_it_is_done(
    client: httpx.AsyncClient, world: World, camera_id: str
) -> None:
    changes = {"rtsp_url": "rtsp://CANARYUSER:CANARYPASS@other.example/live", "name": "Yard"}
    answer = await client.patch(f"/api/cameras/{camera_id}", json=changes)

    body = answer.json()
    Camera.model_validate(body, strict=True)
    assert "CANARY" not in answer.text
    assert (answer.status_code, body["name"], body["rtsp_url"]) == (200, "Yard", "rtsp://***@other.example/live")
    assert answer.headers["location"] == f"/api/operations/{body['operation_id']}"
    assert [task.workflow_id for task in world.operations.started] == [f"camera-repoint:{camera_id}:2"]
    live = (await client.get(f"/api/cameras/{camera_id}/status")).json()
    CameraLive.model_validate(live, strict=True)
    assert live["state"] == "connecting"
    assert "old address" in live["sentence"]
    assert (await client.get("/api/events")).json()["items"] == []
    for camera in (
        (await client.get(f"/api/cameras/{camera_id}")).json(),
        (await client.get("/api/cameras")).json()["items"][0],
        (await client.patch(f"/api/cameras/{camera_id}", json={"detect_fps": 3})).json(),
        (await client.post(f"/api/cameras/{camera_id}/disable")).json(),
    ):
        assert camera["operation_id"] == body["operation_id"]
    assert (await client.get(f"/api/cameras/{camera_id}/status")).json()["state"] == "disabled"
    finish(world, body["operation_id"], camera_id)
    assert (await client.get(f"/api/cameras/{camera_id}")).json()["operation_id"] is None


async def test_second_address_during_the_first_purge_is_another_operation(
    client: httpx.AsyncClient, camera_id: str
) -> None:
    operations = []
    for host in ("one.example", "two.example"):
        answer = await client.patch(f"/api/cameras/{camera_id}", json={"rtsp_url": f"rtsp://{host}/live"})
        operations.append(answer.json()["operation_id"])
    assert len(set(operations)) == 2
    body = (await client.get(f"/api/cameras/{camera_id}")).json()
    assert (body["rtsp_url"], body["operation_id"]) == ("rtsp://two.example/live", operations[1])


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://CANARYUSER:ANOTHER@cam.example:8554/live",  # another password
        "rtsp://cam.example:8554/live",  # nobody's password
        "rtsps://CANARYUSER:CANARYPASS@cam.example:8554/live",  # encrypted
        "rtsp://CANARYUSER:CANARYPASS@CAM.example:8554/live",
        "",  # blank keeps it
        "rtsp://***@cam.example:8554/live",  # as it is shown
    ],
)
async def test_address_of_the_same_source_removes_nothing(
    client: httpx.AsyncClient, world: World, camera_id: str, address: str
) -> None:
    answer = await client.patch(f"/api/cameras/{camera_id}", json={"rtsp_url": address})
    assert (answer.status_code, answer.json()["operation_id"]) == (200, None)
    assert "location" not in answer.headers
    assert world.operations.started == []
    assert len((await client.get("/api/events")).json()["items"]) == 1


async def test_same_address_again_changes_nothing(client: httpx.AsyncClient, camera_id: str) -> None:
    answer = await client.patch(f"/api/cameras/{camera_id}", json={"rtsp_url": ADDRESS})
    assert answer.json()["version"] == 1


async def test_address_given_again_purges_anew_when_a_person_ended_the_workflow(
    client: httpx.AsyncClient, world: World, camera_id: str
) -> None:
    elsewhere = {"rtsp_url": "rtsp://cam.example:8554/other"}
    first = (await client.patch(f"/api/cameras/{camera_id}", json=elsewhere)).json()
    with world.store.writing() as work:
        work.operations.finish(first["operation_id"], world.clock.wall_us(), result={}, failure="terminated")
    second = (await client.patch(f"/api/cameras/{camera_id}", json=elsewhere)).json()
    assert second["operation_id"] not in (None, first["operation_id"])
    finish(world, second["operation_id"], camera_id)
    assert (await client.get(f"/api/cameras/{camera_id}/status")).json()["state"] == "recording"
