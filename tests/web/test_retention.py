"""Retention over HTTP: the policy, what would go, what went, a pass by hand; what the installation says of its disk."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from iris.base.ids import NodeId
from iris.contracts.retention import EvictEvents
from iris.domain.operation import RemovalReason
from iris.domain.storage import DiskFigures, StorageReport
from iris.retention.policy import RetentionPolicy
from tests.builders.events import CAMERA_ID, uuid_of
from tests.builders.kept_footage import CLIP_BYTES, KeptFootage
from tests.fakes.node import FACTS
from tests.web.conftest import World, client_of
from web.api.retention_schemas import EvictionPage, Retention, RetentionPreview
from web.api.schemas import Operation

POLICY: dict[str, Any] = {
    "max_age_days": 30, "rules": [{"label": "person", "max_age_days": None}], "by_space": True, "high_water": 0.9,
    "low_water": 0.7, "confirm_share": 0.5,
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "source": "settings", "updated_at": None, "max_age_days": None, "rules": [], "by_space": True, "high_water": 0.85,
    "low_water": 0.8, "confirm_share": 0.2,
}  # fmt: skip


def quiet(step: str, done: int, total: int) -> None:
    """Nobody listens."""


@pytest.fixture
def footage(world: World, tmp_path: Path) -> KeptFootage:
    return KeptFootage(world.store, tmp_path / "kept", clock=world.clock, node_id=NodeId(FACTS.node_id))


def report(footage: KeptFootage, **values: Any) -> StorageReport:
    return replace(StorageReport(disk=footage.disk(), wants_pass=True), **values)


def sign(world: World, footage: KeptFootage, **values: Any) -> None:
    """The node's heartbeat says how its disk is."""
    with world.store.writing() as work:
        detail = {"storage": asdict(report(footage, **values))}
        work.system.node_seen(footage.node_id, world.clock.wall_us(), detail)


async def preview(client: httpx.AsyncClient, **query: int) -> dict[str, Any]:
    answer = await client.get("/api/retention/preview", params=query)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    RetentionPreview.model_validate(body)
    return body


async def test_policy_is_that_of_the_settings_until_a_person_sets_one(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/retention")).json() == SETTINGS
    answer = await client.put("/api/retention", json=POLICY)
    assert answer.status_code == 200, answer.text
    body = (await client.get("/api/retention")).json()
    assert body == answer.json()
    Retention.model_validate(body)
    assert (body["source"], body["updated_at"]) == ("person", "2023-11-14T22:13:20.000000Z")
    assert body["rules"] == [{"camera_id": None, "label": "person", "max_age_days": None}]
    assert {name: body[name] for name in POLICY if name != "rules"} == {k: v for k, v in POLICY.items() if k != "rules"}
    await client.put("/api/retention", json={})
    assert (await client.get("/api/retention")).json() == {
        **SETTINGS,
        "source": "person",
        "updated_at": body["updated_at"],
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_age_days": 0}, "max_age_days"),
        ({"max_age_days": "30"}, "max_age_days"),
        ({"max_age_days": 36501}, "max_age_days"),
        ({"high_water": 0.7}, "low_water"),
        ({"high_water": 1}, "high_water"),
        ({"low_water": 0}, "low_water"),
        ({"confirm_share": 0}, "confirm_share"),
        ({"days": 3}, "days"),
        ({"rules": [{"max_age_days": 3}]}, "rules.0"),
        ({"rules": [{"label": "person"}]}, "rules.0.max_age_days"),
        ({"rules": [{"label": "a", "max_age_days": 1}, {"label": "a", "max_age_days": 2}]}, "rules.1"),
        ({"rules": [{"camera_id": uuid_of(9, "c"), "max_age_days": 1}]}, "rules.0.camera_id"),
        ({"rules": [{"camera_id": "gate", "max_age_days": 1}]}, "rules.0.camera_id"),
    ],
)  # fmt: skip
async def test_policy_that_is_none_is_refused_by_its_field(
    client: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    answer = await client.put("/api/retention", json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await client.get("/api/retention")).json() == SETTINGS


async def test_policy_takes_a_rule_for_a_camera_that_exists(client: httpx.AsyncClient) -> None:
    camera = (await client.post("/api/cameras", json={"name": "Gate", "rtsp_url": "rtsp://h/a"})).json()
    rule = {"camera_id": camera["id"], "label": "cat", "max_age_days": 0.5}
    answer = await client.put("/api/retention", json={"rules": [rule]})
    assert (answer.status_code, answer.json()["rules"]) == (200, [rule])


async def test_preview_tells_what_would_go_and_why_and_removes_nothing(
    client: httpx.AsyncClient, world: World, footage: KeptFootage
) -> None:
    for number in (1, 2):
        footage.keep(number, age_days=40)
    footage.keep(3, age_days=41, held=True)
    for number in range(4, 91):
        footage.keep(number)
    footage.open_event(91, age_days=0)
    with world.store.writing() as work:
        work.retention.set_policy(RetentionPolicy(max_age_days=30), 1)
    sign(world, footage)
    body = await preview(client, limit=3)
    (node,) = body["nodes"]
    assert node["by_age"] == {"events": 2, "size_bytes": 2 * CLIP_BYTES}
    assert node["for_space"] == {"events": 8, "size_bytes": 8 * CLIP_BYTES}
    assert node["waiting"] == {"events": 0, "size_bytes": 0}
    assert (node["events"], node["on_hold"], node["unfinished"], node["complete"]) == (91, 1, 1, True)
    assert (node["waits_for"], node["storage"]["disk"]["used_share"]) == (None, 0.9)
    assert [(item["event_id"], item["reason"]) for item in body["items"]] == [
        (uuid_of(1), "age"), (uuid_of(2), "age"), (uuid_of(4), "space"),
    ]  # fmt: skip
    assert body["items"][0]["rule"] == {"max_age_days": 30, "camera_id": None, "label": None}
    assert body["items"][2]["rule"] is None
    assert body["next_pass_at"] == "2023-11-14T22:15:00.000000Z"
    assert len(footage.events()) == 91
    # What it said is what happens.
    gone = footage.evictor.run(EvictEvents(), quiet)
    assert (gone.age_count, gone.space_count) == (2, 8)


async def test_preview_says_what_waits_when_the_clock_or_a_person_is_needed(
    client: httpx.AsyncClient, world: World, footage: KeptFootage
) -> None:
    for number in range(1, 31):
        footage.keep(number, age_days=40)
    with world.store.writing() as work:
        work.retention.set_policy(RetentionPolicy(max_age_days=30), 1)
    sign(world, footage)
    (node,) = (await preview(client))["nodes"]
    assert (node["by_age"]["events"], node["waiting"]["events"]) == (0, 30)
    assert node["waits_for"] == "more than 20 of 30 events are past their age"
    sign(world, footage, age_suspended="the wall clock moved by +2.0 h against the steady clock")
    (node,) = (await preview(client))["nodes"]
    assert node["waiting"]["events"] == 30
    assert node["waits_for"] == "the wall clock moved by +2.0 h against the steady clock"


async def test_preview_plans_only_age_when_a_node_is_silent(
    client: httpx.AsyncClient, world: World, footage: KeptFootage
) -> None:
    for number in range(1, 91):
        footage.keep(number)
    sign(world, footage)
    assert (await preview(client))["nodes"][0]["for_space"]["events"] == 10
    world.clock.advance_s(16)
    (node,) = (await preview(client))["nodes"]
    assert (node["storage"], node["for_space"]["events"]) == (None, 0)


async def test_evictions_are_listed_newest_first_with_reason_and_no_other_removal(
    client: httpx.AsyncClient, world: World, footage: KeptFootage
) -> None:
    footage.keep(1, age_days=40)
    for number in range(2, 92):
        footage.keep(number)
    with world.store.writing() as work:
        work.retention.set_policy(RetentionPolicy(max_age_days=30), 1)
    footage.evictor.run(EvictEvents(), quiet)
    world.clock.advance_s(5)
    with world.store.writing() as work:
        work.tombstones.entomb([uuid_of(50)], RemovalReason.DELETED, world.clock.wall_us())
    first = (await client.get("/api/retention/evictions", params={"limit": 10})).json()
    EvictionPage.model_validate(first)
    rest = (await client.get("/api/retention/evictions", params={"cursor": first["next_cursor"]})).json()
    items = [*first["items"], *rest["items"]]
    assert rest["next_cursor"] is None
    assert {item["event_id"]: item["reason"] for item in items} == {uuid_of(1): "age"} | {
        uuid_of(number): "space" for number in range(2, 12)
    }
    assert items[0]["camera_id"] == CAMERA_ID
    assert all(item["size_bytes"] == CLIP_BYTES and item["files_gone_at"] for item in items)
    assert (await client.get("/api/retention/evictions", params={"limit": 0})).status_code == 422


async def test_run_and_confirm_are_operations_and_a_second_request_joins(
    client: httpx.AsyncClient, world: World
) -> None:
    answers = [await client.post(f"/api/retention/{word}") for word in ("run", "run", "confirm", "confirm")]
    assert [answer.status_code for answer in answers] == [202] * 4
    bodies = [Operation.model_validate(answer.json()) for answer in answers]
    assert bodies[0].id == bodies[1].id != bodies[2].id == bodies[3].id
    assert {body.kind for body in bodies} == {"retention"}
    assert [bodies[0].request, bodies[2].request] == [{"confirmed": False}, {"confirmed": True}]
    assert bodies[0].workflow_id == f"retention:{bodies[0].id}"
    assert answers[0].headers["Location"] == f"/api/operations/{bodies[0].id}"
    with world.store.writing() as work:
        work.operations.finish(bodies[0].id, 1, result={})
    assert (await client.post("/api/retention/run")).json()["id"] != bodies[0].id


async def test_alarm_of_the_disk_is_in_health_system_and_metrics(
    client: httpx.AsyncClient, world: World, footage: KeptFootage
) -> None:
    world.sign_of_life()
    full = StorageReport(
        disk=DiskFigures(95, 5, 1.26), alarm="the disk is 95% full", age_waits="more than 20",
        evicted_counts={"age": 3, "space": 7}, evicted_bytes=70,
    )  # fmt: skip
    world.node.node_facts = replace(FACTS, storage=full)
    await world.services.vitals.refresh()
    async with client_of(world.app, key=None) as anybody:
        health = (await anybody.get("/health")).json()
    assert (health["status"], health["storage"]) == ("degraded", "alarm")
    system = (await client.get("/api/system")).json()
    assert system["storage"] == {
        "disk": {"used_bytes": 95, "free_bytes": 5, "used_share": 0.95, "write_bytes_per_second": 1.3},
        "alarm": "the disk is 95% full", "age_suspended": None, "age_waits": "more than 20",
        "evicted_by_age": 3, "evicted_for_space": 7, "evicted_bytes": 70,
    }  # fmt: skip
    lines = (await client.get("/metrics")).text.splitlines()
    for line in (
        'iris_evicted_total{class="age"} 3.0', 'iris_evicted_total{class="space"} 7.0', "iris_evicted_bytes_total 70.0",
        "iris_store_used_share 0.95", "iris_store_alarm 1.0", "iris_retention_age_held_back 1.0",
    ):  # fmt: skip
        assert line in lines
    world.node.node_facts = replace(FACTS, storage=replace(full, alarm=None))
    await world.services.vitals.refresh()
    health = (await client.get("/health")).json()
    assert (health["status"], health["storage"]) == ("ok", "ok")


async def test_changes_need_the_key(world: World) -> None:
    async with client_of(world.app, key=None) as nobody:
        answers = [
            await nobody.put("/api/retention", json={}),
            await nobody.post("/api/retention/run"),
            await nobody.post("/api/retention/confirm"),
            await nobody.get("/api/retention/preview"),
        ]
    assert [answer.status_code for answer in answers] == [401] * 4
