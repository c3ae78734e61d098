"""Cameras over HTTP: what is accepted, what is refused by name, what is never shown."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from iris.domain.camera import CameraState
from tests.fakes.node import recording
from tests.web.conftest import World
from web.api.schemas import Camera, CameraLive, CameraPage

ADDRESS = "rtsp://CANARYUSER:CANARYPASS@cam.example:8554/live?password=CANARYQUERY"
MASKED = "rtsp://***@cam.example:8554/live?***"
UNKNOWN_ID = "018bcfe5-6800-7000-800c-00000000ffff"


@pytest.fixture(autouse=True)
async def _canary_never_shown(client: httpx.AsyncClient) -> AsyncIterator[None]:
    """No answer of any test in this file holds a password."""
    seen: list[str] = []

    async def keep(response: httpx.Response) -> None:
        seen.append((await response.aread()).decode("latin-1") + str(response.headers))

    client.event_hooks["response"].append(keep)
    yield
    assert "CANARY" not in "".join(seen)


async def _create(client: httpx.AsyncClient, **fields: object) -> dict[str, object]:
    response = await client.post("/api/cameras", json={"name": "Door", "rtsp_url": ADDRESS, **fields})
    assert response.status_code == 201, response.text
    created: dict[str, object] = response.json()
    return created


async def test_create_answers_201_with_id_and_masked_address(client: httpx.AsyncClient, world: World) -> None:
    response = await client.post("/api/cameras", json={"name": " Door ", "rtsp_url": ADDRESS})

    body = response.json()
    Camera.model_validate(body, strict=True)
    assert response.status_code == 201
    assert response.headers["location"] == f"/api/cameras/{body['id']}"
    assert body == {
        "id": body["id"], "name": "Door", "rtsp_url": MASKED, "detect_url": None, "enabled": True,
        "recording_mode": "track", "trigger_classes": ["person"], "detect_conf": 0.5, "detect_fps": 5.0,
        "pre_seconds": 5.0, "post_seconds": 10.0, "trigger_cooldown": 15.0, "detector_backend": None,
        "created_at": "2023-11-14T22:13:20.000000Z", "updated_at": "2023-11-14T22:13:20.000000Z", "version": 1,
        "operation_id": None,
    }  # fmt: skip
    assert world.address_of(body["id"]) == ADDRESS
    assert world.node.changed_count == 1


async def test_create_takes_every_field_when_given(client: httpx.AsyncClient) -> None:
    fields = {
        "detect_url": "rtsp://u:p@cam.example:8554/sub", "enabled": False, "recording_mode": "track",
        "trigger_classes": ["person", "car"], "detect_conf": 0.4, "detect_fps": 10, "pre_seconds": 0,
        "post_seconds": 2.5, "trigger_cooldown": 2, "detector_backend": "motion",
    }  # fmt: skip
    body = await _create(client, **fields)
    assert body == {**body, **fields, "detect_url": "rtsp://***@cam.example:8554/sub"}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bogus": 1}, "bogus"),
        ({"id": UNKNOWN_ID}, "id"),  # mass assignment
        ({"created_at": "x"}, "created_at"),
        ({"name": None}, "name"),
        ({"name": 5}, "name"),
        ({"name": ""}, "name"),
        ({"name": "   "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"rtsp_url": ""}, "rtsp_url"),
        ({"rtsp_url": None}, "rtsp_url"),
        ({"rtsp_url": "http://CANARYUSER:CANARYPASS@h/a"}, "rtsp_url"),
        ({"rtsp_url": "rtsp:///CANARY"}, "rtsp_url"),
        ({"rtsp_url": "rtsp://***@cam.example/a"}, "rtsp_url"),
        ({"rtsp_url": "rtsp://cam.example/" + "CANARY" * 400}, "rtsp_url"),
        ({"rtsp_url": "rtsp://cam.example/a?tcp"}, "rtsp_url"),
        ({"detect_url": "file:///etc/CANARY"}, "detect_url"),
        ({"enabled": "yes"}, "enabled"),
        ({"enabled": 1}, "enabled"),
        ({"recording_mode": "continuous"}, "recording_mode"),
        ({"trigger_classes": []}, "trigger_classes"),
        ({"trigger_classes": "person"}, "trigger_classes"),
        ({"trigger_classes": ["a", "a"]}, "trigger_classes"),
        ({"trigger_classes": ["x" * 65]}, "trigger_classes.0"),
        ({"trigger_classes": [str(i) for i in range(101)]}, "trigger_classes"),
        ({"detect_conf": 0}, "detect_conf"),
        ({"detect_conf": 1}, "detect_conf"),
        ({"detect_conf": "0.5"}, "detect_conf"),
        ({"detect_fps": 31}, "detect_fps"),
        ({"pre_seconds": -0.1}, "pre_seconds"),
        ({"pre_seconds": 115}, "pre_seconds"),  # more than the buffer holds
        ({"pre_seconds": True}, "pre_seconds"),
        ({"post_seconds": 301}, "post_seconds"),
        ({"trigger_cooldown": float("nan")}, "trigger_cooldown"),
        ({"trigger_cooldown": float("inf")}, "trigger_cooldown"),
        ({"detector_backend": "gpu"}, "detector_backend"),
    ],
)
async def test_create_names_the_field_when_it_is_wrong(
    client: httpx.AsyncClient, world: World, change: dict[str, object], field: str
) -> None:
    body = {"name": "Door", "rtsp_url": ADDRESS, **change}
    response = await client.post("/api/cameras", content=json.dumps(body), headers={"Content-Type": "application/json"})

    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert [item["field"] for item in problem["errors"]] == [field]
    assert problem["detail"]
    assert problem["code"] == "input_error"
    with world.store.reading() as repositories:
        assert repositories.cameras.all() == []
    assert world.node.changed_count == 0


@pytest.mark.parametrize("missing", ["name", "rtsp_url"])
async def test_create_names_the_field_when_it_is_missing(client: httpx.AsyncClient, missing: str) -> None:
    body = {"name": "Door", "rtsp_url": ADDRESS}
    del body[missing]
    response = await client.post("/api/cameras", json=body)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, missing)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 422),
        (b"[]", 422),
        (b"null", 422),
        (b'{"name": ', 422),
        (b"\xff\xfe", 422),
        (b'{"name": "\\ud800", "rtsp_url": "rtsp://h/a"}', 422),  # a lone surrogate
        (b'{"name":' * 10_000 + b"1" + b"}" * 10_000, 413),
        (b"[" * 20_000 + b"]" * 20_000, 400),  # 20,000 deep and within the size
        (b'{"name": ' + b"9" * 5000 + b"}", 400),
        (b'{"name": 1e400, "rtsp_url": 1}', 422),
    ],
)
async def test_create_refuses_when_the_body_is_no_camera(
    client: httpx.AsyncClient, content: bytes, status: int
) -> None:
    response = await client.post("/api/cameras", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"


async def test_list_pages_oldest_first(client: httpx.AsyncClient) -> None:
    ids = [(await _create(client, name=f"c{i}"))["id"] for i in range(3)]

    first = (await client.get("/api/cameras", params={"limit": 2})).json()
    CameraPage.model_validate(first, strict=True)
    second = (await client.get("/api/cameras", params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [item["id"] for item in first["items"] + second["items"]] == ids
    assert second["next_cursor"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=501", "limit=x", "cursor=!", "cursor=AAAA", "sort=name"])
async def test_list_refuses_when_a_parameter_is_wrong(client: httpx.AsyncClient, query: str) -> None:
    response = await client.get(f"/api/cameras?{query}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == query.partition("=")[0]


@pytest.mark.parametrize("path", ["", "/status", "/snapshot", "/detect/classes"])
@pytest.mark.parametrize(
    "camera_id", [UNKNOWN_ID, "x", "..%2f..%2fetc", UNKNOWN_ID.upper(), "%00", "C:%5Cx", UNKNOWN_ID + ".", "%c0%ae"]
)
async def test_camera_is_not_found_when_the_id_names_none(client: httpx.AsyncClient, path: str, camera_id: str) -> None:
    response = await client.get(f"/api/cameras/{camera_id}{path}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


async def test_change_applies_only_what_is_given(client: httpx.AsyncClient, world: World) -> None:
    before = await _create(client)
    world.clock.advance_s(1)

    response = await client.patch(f"/api/cameras/{before['id']}", json={"name": "Gate", "trigger_classes": ["car"]})

    assert response.status_code == 200
    changed = {"name": "Gate", "trigger_classes": ["car"], "version": 2, "updated_at": "2023-11-14T22:13:21.000000Z"}
    assert response.json() == {**before, **changed}
    assert world.node.changed_count == 2


async def test_change_keeps_the_version_when_nothing_changes(client: httpx.AsyncClient) -> None:
    before = await _create(client)
    assert (await client.patch(f"/api/cameras/{before['id']}", json={})).json() == before
    same = {name: before[name] for name in ("name", "rtsp_url", "detect_fps", "detector_backend")}
    assert (await client.patch(f"/api/cameras/{before['id']}", json=same)).json() == before


@pytest.mark.parametrize(
    ("submitted", "kept"),
    [
        ("", ADDRESS),
        (MASKED, ADDRESS),
        ("rtsp://***@cam.example:8554/other", "rtsp://CANARYUSER:CANARYPASS@cam.example:8554/other"),
        ("rtsp://new:pw@other.example/a", "rtsp://new:pw@other.example/a"),
    ],
)
async def test_change_keeps_the_password_when_the_target_is_the_same(
    client: httpx.AsyncClient, world: World, submitted: str, kept: str
) -> None:
    camera_id = str((await _create(client))["id"])
    response = await client.patch(f"/api/cameras/{camera_id}", json={"rtsp_url": submitted})
    assert response.status_code == 200
    assert world.address_of(camera_id) == kept


@pytest.mark.parametrize(
    ("field", "submitted"),
    [
        ("rtsp_url", "rtsp://***@evil.example:8554/live?***"),
        ("rtsp_url", "rtsp://***@cam.example:8555/live?***"),
        ("rtsp_url", "rtsps://***@cam.example:8554/live?***"),
        ("detect_url", "rtsp://***@evil.example/sub"),
        ("detect_url", "***"),
    ],
)
async def test_change_refuses_when_a_masked_address_has_another_target(
    client: httpx.AsyncClient, world: World, field: str, submitted: str
) -> None:
    camera_id = str((await _create(client, detect_url="rtsp://u:CANARYSUB@cam.example/sub"))["id"])
    response = await client.patch(f"/api/cameras/{camera_id}", json={field: submitted})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, field)
    assert world.address_of(camera_id) == ADDRESS


async def test_change_handles_the_substream_by_its_own_rules(client: httpx.AsyncClient) -> None:
    camera = await _create(client)
    path = f"/api/cameras/{camera['id']}"
    assert (await client.patch(path, json={"detect_url": ""})).json()["detect_url"] is None
    added = await client.patch(path, json={"detect_url": "rtsp://u:p@cam.example/sub"})
    assert added.json()["detect_url"] == "rtsp://***@cam.example/sub"
    assert (await client.patch(path, json={"detect_url": " "})).json()["detect_url"] == "rtsp://***@cam.example/sub"
    assert (await client.patch(path, json={"detect_url": None})).json()["detect_url"] is None


@pytest.mark.parametrize("field", ["name", "rtsp_url", "enabled", "pre_seconds", "trigger_classes", "detect_conf"])
async def test_change_refuses_null_when_the_field_has_no_empty_value(client: httpx.AsyncClient, field: str) -> None:
    camera = await _create(client)
    response = await client.patch(f"/api/cameras/{camera['id']}", json={field: None})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, field)


async def test_switch_goes_on_and_off_once_when_repeated(client: httpx.AsyncClient) -> None:
    camera = await _create(client)
    path = f"/api/cameras/{camera['id']}"
    for action, enabled, version in [("disable", False, 2), ("disable", False, 2), ("enable", True, 3)]:
        body = (await client.post(f"{path}/{action}")).json()
        assert (body["enabled"], body["version"]) == (enabled, version)
    assert (await client.post(f"/api/cameras/{UNKNOWN_ID}/enable")).status_code == 404


async def test_status_says_what_the_node_says(client: httpx.AsyncClient, world: World) -> None:
    camera_id = str((await _create(client))["id"])
    world.node.statuses = [recording(camera_id)]
    body = (await client.get(f"/api/cameras/{camera_id}/status")).json()
    CameraLive.model_validate(body, strict=True)
    assert (body["state"], body["last_segment_age_seconds"], body["in_view"]) == ("recording", 1.0, ["person"])
    assert body["heartbeat_at"] == "2023-11-14T22:13:20.000000Z"


async def test_status_says_motion_detection_when_there_is_no_model(client: httpx.AsyncClient, world: World) -> None:
    camera_id = str((await _create(client))["id"])
    world.node.statuses = [recording(camera_id, backend="motion")]
    assert (await client.get(f"/api/cameras/{camera_id}/status")).json()["detector"] == "motion detection"


@pytest.mark.parametrize(
    ("enabled", "node_up", "known", "state"),
    [
        (False, True, True, CameraState.DISABLED),  # switched off a moment ago
        (True, False, True, CameraState.OFFLINE),
        (True, True, False, CameraState.CONNECTING),  # the node has not heard of it yet
    ],
)
async def test_status_says_the_state_when_no_process_speaks(
    client: httpx.AsyncClient, world: World, enabled: bool, node_up: bool, known: bool, state: CameraState
) -> None:
    camera_id = str((await _create(client, enabled=enabled))["id"])
    world.node.up = node_up
    world.node.statuses = [recording(camera_id)] if known else []
    response = await client.get(f"/api/cameras/{camera_id}/status")
    assert (response.status_code, response.json()["state"]) == (200, state)
    assert response.json()["sentence"]


async def test_snapshot_answers_jpeg_when_there_is_a_picture(client: httpx.AsyncClient, world: World) -> None:
    camera_id = str((await _create(client))["id"])
    assert (await client.get(f"/api/cameras/{camera_id}/snapshot")).status_code == 404
    world.node.pictures[camera_id] = b"\xff\xd8picture"
    response = await client.get(f"/api/cameras/{camera_id}/snapshot")
    assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg")
    assert response.content == b"\xff\xd8picture"
    world.node.up = False
    response = await client.get(f"/api/cameras/{camera_id}/snapshot")
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response.headers["retry-after"]


async def test_detect_classes_are_those_of_the_detector_in_use(client: httpx.AsyncClient, world: World) -> None:
    assert (await client.get("/api/cameras/detect/classes")).json() == {"detector": "unknown", "items": []}
    await world.services.vitals.refresh()
    expected = {"detector": "onnx", "items": ["person", "car"]}
    assert (await client.get("/api/cameras/detect/classes")).json() == expected
    plain, motion = (await _create(client))["id"], (await _create(client, detector_backend="motion"))["id"]
    assert (await client.get(f"/api/cameras/{plain}/detect/classes")).json() == expected
    answer = (await client.get(f"/api/cameras/{motion}/detect/classes")).json()
    assert answer == {"detector": "motion detection", "items": ["motion"]}


async def test_change_takes_a_whole_new_address_when_the_stored_one_does_not_open(
    client: httpx.AsyncClient, world: World
) -> None:
    camera_id = str((await _create(client))["id"])
    with world.store.writing() as repositories:
        damaged = {"rtsp_url_sealed": b"\x01" + bytes(40)}
        repositories.cameras.update(camera_id, damaged, 1)  # type: ignore[arg-type]  # a plain id and dictionary
    path = f"/api/cameras/{camera_id}"
    masked = await client.patch(path, json={"rtsp_url": "rtsp://***@cam.example:8554/other"})
    assert (masked.status_code, masked.json()["code"]) == (500, "config_error")
    assert (await client.patch(path, json={"rtsp_url": "rtsp://new:pw@other.example/a"})).status_code == 200
    assert world.address_of(camera_id) == "rtsp://new:pw@other.example/a"
