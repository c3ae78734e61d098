"""A node that is gone is seen everywhere: health, system, its cameras, metrics; and dead letters of a node."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from iris.base.ids import CameraId, NodeId
from iris.base.timebase import format_rfc3339
from iris.domain.camera import CameraState
from iris.domain.dead_letter import DeadLetter
from iris.domain.status import GpuMemory
from iris.store.cameras import CameraRow
from iris.store.system import NodeRow
from tests.fakes.node import FACTS, T_US, recording
from tests.tree import ROOT
from tests.web.conftest import World
from web.api.camera_metrics import part_restarts
from web.api.node_vitals import gone_node_of, judge_nodes
from web.api.system_schemas import DeadLetterList, System
from workers.restart_book import RestartBook

S = 1_000_000
NODE, OTHER = NodeId(FACTS.node_id), NodeId("018bcfe5-6800-7000-800d-000000000002")


async def camera_of(client: httpx.AsyncClient) -> str:
    created = await client.post("/api/cameras", json={"name": "gate", "rtsp_url": "rtsp://192.0.2.1/a"})
    return str(created.json()["id"])


def sign(world: World, node_id: NodeId = NODE, **detail: object) -> None:
    with world.store.writing() as work:
        work.system.node_seen(node_id, world.clock.wall_us(), detail)


async def test_node_is_up_until_15_s_after_its_last_sign_of_life(client: httpx.AsyncClient, world: World) -> None:
    world.sign_of_life()
    started_us = world.clock.wall_us() - 3600 * S
    sign(world, version="0.2.0", started_us=started_us)
    heard_us = world.clock.wall_us()
    await camera_of(client)
    world.clock.advance_s(15)
    await world.services.vitals.refresh()
    body = (await client.get("/api/system")).json()
    System.model_validate(body, strict=True)
    assert body["nodes"] == [
        {
            "id": NODE, "state": "up", "since": format_rfc3339(started_us), "heartbeat_at": format_rfc3339(heard_us),
            "heartbeat_age_seconds": 15.0, "version": "0.2.0", "cameras": 1, "missed": False,
        }
    ]  # fmt: skip
    assert (body["status"], body["reasons"]) == ("ok", [])
    world.clock.advance_us(1)
    await world.services.vitals.refresh()
    body = (await client.get("/api/system")).json()
    [node] = body["nodes"]
    assert (node["state"], node["since"], node["missed"]) == ("gone", format_rfc3339(heard_us), True)
    assert body["status"] == "degraded"
    assert f"A node with 1 camera(s) has not been heard of since {format_rfc3339(heard_us)}." in body["reasons"]
    health = (await client.get("/health")).json()
    assert (health["status"], health["reasons"]) == ("degraded", body["reasons"])


async def test_camera_is_offline_with_the_reason_when_its_node_is_gone(client: httpx.AsyncClient, world: World) -> None:
    world.sign_of_life()
    heard_us = world.clock.wall_us()
    camera_id = await camera_of(client)
    world.node.statuses = [recording(camera_id)]
    world.clock.advance_s(16)
    world.node.up = False
    await world.services.vitals.refresh()
    status = (await client.get(f"/api/cameras/{camera_id}/status")).json()
    assert (status["state"], status["error_code"]) == ("offline", "node_gone")
    assert f"the node {NODE} has not been heard of since {format_rfc3339(heard_us)}" in status["sentence"]
    assert (await client.get("/api/system")).json()["cameras"]["offline"] == 1
    lines = (await client.get("/metrics")).text.splitlines()
    assert f'iris_node_up{{node="{NODE}"}} 0.0' in lines
    assert f'iris_node_heartbeat_age_seconds{{node="{NODE}"}} 16.0' in lines
    assert f'iris_camera_state{{camera="{camera_id}",state="offline"}} 1.0' in lines


async def test_camera_shows_what_its_node_says_when_only_the_database_has_not_heard_of_it(
    client: httpx.AsyncClient, world: World
) -> None:
    world.sign_of_life()
    camera_id = await camera_of(client)
    world.node.statuses = [recording(camera_id)]
    world.clock.advance_s(16)  # the node cannot write to the database, but it answers at its door
    await world.services.vitals.refresh()
    assert (await client.get(f"/api/cameras/{camera_id}/status")).json()["state"] == CameraState.RECORDING


async def test_node_that_comes_and_goes_is_said_once_each_time(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.sign_of_life()
    for _ in range(2):
        world.clock.advance_s(16)
        await world.services.vitals.refresh()
        await world.services.vitals.refresh()
    world.sign_of_life()
    await world.services.vitals.refresh()
    await world.services.vitals.refresh()
    said = capsys.readouterr().out
    assert (said.count("node is gone"), said.count("node is back")) == (1, 1)


async def test_nothing_is_said_of_a_node_that_starts_together_with_the_api(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.sign_of_life()
    world.clock.step_wall_us(3_600_000_000)  # all of Iris was stopped for an hour
    await world.services.vitals.refresh()
    world.sign_of_life()
    world.clock.advance_s(16)
    world.sign_of_life()
    await world.services.vitals.refresh()
    assert "node is" not in capsys.readouterr().out


def row(node_id: NodeId, age_s: float) -> NodeRow:
    return NodeRow(node_id, T_US - round(age_s * S), {})


def camera_on(node_id: NodeId | None, *, enabled: bool = True) -> CameraRow:
    return CameraRow(
        name="gate", rtsp_url_sealed=b"", rtsp_url_masked="", node_id=node_id, enabled=enabled,
        camera_id=CameraId("018bcfe5-6800-7000-800c-000000000001"), created_us=0, updated_us=0, version=1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "cameras", "expected"),
    [
        ([], [camera_on(None)], []),  # nobody ever signed: the door says what there is to say
        ([row(NODE, 1)], [camera_on(None)], [(True, 1, False)]),
        ([row(NODE, 99)], [camera_on(None)], [(False, 1, True)]),
        ([row(NODE, 99)], [], [(False, 0, True)]),  # it may hold events that wait
        ([row(NODE, 99), row(OTHER, 1)], [camera_on(None)], [(False, 0, False), (True, 1, False)]),  # made anew
        ([row(NODE, 99), row(OTHER, 1)], [camera_on(NODE)], [(False, 1, True), (True, 0, False)]),
        ([row(NODE, 99), row(OTHER, 1)], [camera_on(NODE, enabled=False)], [(False, 0, False), (True, 0, False)]),
    ],
)
def test_nodes_are_judged_by_their_signs_of_life(
    rows: list[NodeRow], cameras: list[CameraRow], expected: list[tuple[bool, int, bool]]
) -> None:
    judged = judge_nodes(rows, cameras, T_US)
    assert [(node.up, node.camera_count, node.missed) for node in judged] == expected


def test_node_of_a_camera_is_gone_only_where_no_other_takes_it() -> None:
    gone, up = judge_nodes([row(NODE, 99), row(OTHER, 1)], [], T_US)
    assert gone_node_of(camera_on(NODE), [gone, up]) == gone
    assert gone_node_of(camera_on(OTHER), [gone, up]) is None
    assert gone_node_of(camera_on(None), [gone, up]) is None
    assert gone_node_of(camera_on(None), [gone]) == gone
    later = replace(gone, node_id=OTHER, heartbeat_us=gone.heartbeat_us + 1)
    assert gone_node_of(camera_on(None), [gone, later]) == later
    assert gone_node_of(camera_on(None), []) is None


async def test_metrics_tell_what_the_node_counted(client: httpx.AsyncClient, world: World) -> None:
    world.sign_of_life()
    world.node.node_facts = replace(
        world.node.node_facts,
        figures={
            "terminal_ready": 3, "terminal_failed": 1, "clip_count": 4, "clip_seconds": 2.5, "clip_within_0.5": 1,
            "clip_within_1": 4, "clip_missing_seconds": 7.5, "dead_letters": 2,
        },
    )  # fmt: skip
    await world.services.vitals.refresh()
    lines = (await client.get("/metrics")).text.splitlines()
    for line in (
        'iris_events_terminal_total{state="ready"} 3.0',
        'iris_events_terminal_total{state="failed"} 1.0',
        'iris_clip_assembly_seconds_bucket{le="0.5"} 1.0',
        'iris_clip_assembly_seconds_bucket{le="1.0"} 4.0',
        'iris_clip_assembly_seconds_bucket{le="+Inf"} 4.0',
        "iris_clip_assembly_seconds_sum 2.5",
        "iris_clip_missing_seconds_count 4.0",
        "iris_clip_missing_seconds_sum 7.5",
        "iris_dead_letters 2.0",
    ):
        assert line in lines


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"node": 1}', b'{"node": {"signal": "x"}}'])
def test_restarts_of_parts_are_none_when_their_file_is_not_readable(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "restarts.json"
    assert part_restarts(path) == {}
    path.write_bytes(text)
    assert part_restarts(path) == {}


async def test_metrics_tell_restarts_of_parts_beside_those_of_cameras(client: httpx.AsyncClient, world: World) -> None:
    book = RestartBook(world.data_dir / "run" / "restarts.json")
    for role, code in (("node", -9), ("node", -9), ("worker", 1), ("temporal", -15)):
        book.note(role, code)
    lines = (await client.get("/metrics")).text.splitlines()
    for labels, count in (('role="node"', 2), ('role="temporal"', 1)):
        assert f'iris_process_restarts_total{{camera="",reason="signal",{labels}}} {count}.0' in lines
    assert 'iris_process_restarts_total{camera="",reason="exit",role="worker"} 1.0' in lines
    RestartBook(world.data_dir / "run" / "restarts.json")  # `iris up` starts anew
    assert 'role="node"' not in (await client.get("/metrics")).text


async def test_every_metric_is_documented(client: httpx.AsyncClient, world: World) -> None:
    world.sign_of_life()
    camera_id = await camera_of(client)
    world.node.statuses = [recording(camera_id)]
    world.gpu.value = GpuMemory(1, 2)
    await world.services.vitals.refresh()
    metrics = re.findall(r"^# TYPE (\w+) ", (await client.get("/metrics")).text, re.MULTILINE)
    assert len(metrics) > 20
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    assert [name for name in metrics if not name.endswith("_created") and f"`{name}`" not in page] == []


async def test_dead_letters_are_shown_and_handed_over_again(client: httpx.AsyncClient, world: World) -> None:
    camera_id = CameraId("018bcfe5-6800-7000-800c-000000000001")
    world.node.refused = [DeadLetter("018bcfe5-6800-7000-800e-000000000001", 3, camera_id, "too large", T_US)]
    body = (await client.get("/api/system/dead-letters")).json()
    DeadLetterList.model_validate(body, strict=True)
    assert body["items"] == [
        {
            "event_id": "018bcfe5-6800-7000-800e-000000000001", "camera_id": camera_id, "seq": 3,
            "reason": "too large", "noted_at": "2023-11-14T22:13:20.000000Z",
        }
    ]  # fmt: skip
    assert (await client.post("/api/system/dead-letters/retry")).json() == {"count": 1}
    assert (await client.get("/api/system/dead-letters")).json() == {"items": []}
    world.node.up = False
    assert (await client.get("/api/system/dead-letters")).status_code == 503
    assert (await client.post("/api/system/dead-letters/retry")).status_code == 503
