"""Health, the installation at a glance, metrics: from the vitals, which forget what is old."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import httpx
import pytest

from iris.adapters.clock import SystemClock
from iris.domain.camera import CameraState
from iris.domain.status import GpuMemory
from tests.fakes.clock import SimulatedClock
from tests.fakes.node import recording
from tests.web.conftest import World, client_of
from tests.web.serving import DEADLINE_S, until
from web.api.system_schemas import Health, System
from web.api.vitals import STALE_US, Vitals, Watched


async def _health(client: httpx.AsyncClient) -> dict[str, object]:
    response = await client.get("/health")
    assert response.status_code == 200
    body: dict[str, object] = response.json()
    Health.model_validate(body, strict=True)
    return body


async def test_health_is_ok_and_says_nothing_private_when_every_part_is_there(world: World) -> None:
    world.sign_of_life()
    world.gpu.value = GpuMemory(512, 15360)
    await world.services.vitals.refresh()
    async with client_of(world.app, key=None) as client:
        assert await _health(client) == {
            "status": "ok", "detector": "onnx", "gpu": {"used_mb": 512, "total_mb": 15360},
            "workers": {"worker": 1, "node": 1}, "temporal": "up", "reasons": [],
            "storage": "unknown",
        }  # fmt: skip


@pytest.mark.parametrize("part", ["temporal", "node", "worker", "store"])
async def test_health_is_degraded_when_a_part_is_away(client: httpx.AsyncClient, world: World, part: str) -> None:
    if part != "worker":
        world.sign_of_life()
    if part == "temporal":
        world.temporal.up = False
    if part == "node":
        world.node.up = False
    if part == "store":
        world.store.close()
        (world.data_dir / "vms.db").unlink()
        (world.data_dir / "vms.db").mkdir()
    await world.services.vitals.refresh()
    body = await _health(client)
    assert body["status"] == "degraded"
    assert (body["temporal"] == "down") == (part == "temporal")
    assert (body["detector"] == "unknown") == (part == "node")
    assert (body["workers"] == {"worker": 0, "node": 0}) == (part in ("store", "worker"))
    system = (await client.get("/api/system")).json()
    System.model_validate(system, strict=True)
    assert system["status"] == "degraded"
    assert (system["store"] == "down") == (part == "store")
    assert (system["outbox"]["depth"] is None) == (part == "node")


async def test_worker_counts_no_more_when_it_is_silent(client: httpx.AsyncClient, world: World) -> None:
    world.sign_of_life()
    world.clock.advance_s(15)
    await world.services.vitals.refresh()
    assert (await _health(client))["workers"] == {"worker": 1, "node": 1}
    world.clock.advance_us(1)
    await world.services.vitals.refresh()
    assert (await _health(client))["workers"] == {"worker": 0, "node": 0}


async def test_health_is_degraded_when_nothing_was_refreshed_for_long(client: httpx.AsyncClient, world: World) -> None:
    world.sign_of_life()
    await world.services.vitals.refresh()
    world.clock.advance_us(STALE_US)
    assert (await _health(client))["status"] == "ok"
    world.clock.advance_us(1)
    assert (await _health(client))["status"] == "degraded"


@pytest.mark.parametrize(("backend", "words"), [("motion", "motion detection"), ("none", "recording only")])
async def test_detector_is_worded_when_there_is_no_model(
    client: httpx.AsyncClient, world: World, backend: str, words: str
) -> None:
    world.node.node_facts = replace(world.node.node_facts, backend=backend)
    await world.services.vitals.refresh()
    assert (await _health(client))["detector"] == words
    described = (await client.get("/api/system")).json()["backend"]
    assert (described["name"], described["description"].startswith(words)) == (backend, True)


async def test_system_tells_backend_outbox_and_cameras(client: httpx.AsyncClient, world: World) -> None:
    world.sign_of_life()
    ids = []
    for enabled in (True, True, False):
        body = {"name": "CANARYNAME", "rtsp_url": "rtsp://u:CANARY@h/a", "enabled": enabled}
        ids.append((await client.post("/api/cameras", json=body)).json()["id"])
    world.node.statuses = [recording(ids[0]), recording(ids[1], state=CameraState.ERROR, sentence="refused")]
    await world.services.vitals.refresh()
    response = await client.get("/api/system")
    body = response.json()
    System.model_validate(body, strict=True)
    assert body["status"] == "ok"
    assert body["backend"] == {
        "name": "onnx", "description": "object detection by a network through onnxruntime", "device": "cpu",
        "onnx_providers": ["CPUExecutionProvider"],
    }  # fmt: skip
    assert body["outbox"] == {"depth": 3, "oldest_age_seconds": 1.5}
    assert body["cameras"] == {"total": 3, "enabled": 2, "recording": 1, "connecting": 0, "error": 1, "offline": 0}
    assert (body["version"], body["temporal"], body["gpu"]) == ("0.1.0", "up", None)
    assert "CANARY" not in response.text


async def test_metrics_tell_ages_and_counters_without_names(client: httpx.AsyncClient, world: World) -> None:
    world.sign_of_life()
    created = await client.post("/api/cameras", json={"name": "CANARYNAME", "rtsp_url": "rtsp://CANARYHOST/a"})
    camera_id = created.json()["id"]
    world.node.statuses = [
        recording(
            camera_id,
            counters={
                "segments": 7,
                "packets": 9,
                "restarts_signal": 2,
                "gap_us_stopped": 1_500_000,
                "events_accepted": 4,
            },
        )
    ]
    world.gpu.value = GpuMemory(1, 2)
    await world.services.vitals.refresh()
    world.clock.advance_s(4)
    response = await client.get("/metrics")
    lines = response.text.splitlines()
    for line in (
        f'iris_camera_last_segment_age_seconds{{camera="{camera_id}"}} 5.0',
        f'iris_camera_state{{camera="{camera_id}",state="recording"}} 1.0',
        f'iris_process_restarts_total{{camera="{camera_id}",reason="signal",role="camera"}} 2.0',
        f'iris_gap_seconds_total{{camera="{camera_id}",reason="stopped"}} 1.5',
        f'iris_events_accepted_total{{camera="{camera_id}"}} 4.0',
        f'iris_camera_counter_total{{camera="{camera_id}",name="packets"}} 9.0',
        f'iris_segment_written_total{{camera="{camera_id}"}} 7.0',
        'iris_up{part="temporal"} 1.0',
        "iris_outbox_depth 3.0",
        "iris_outbox_oldest_age_seconds 1.5",
        "iris_gpu_memory_used_bytes 1.048576e+06",
    ):
        assert line in lines
    assert any(line.startswith("iris_store_free_bytes ") for line in lines)
    assert response.headers["content-type"].startswith("text/plain")
    assert "CANARY" not in response.text


async def test_source_that_hangs_makes_only_its_own_value_old() -> None:
    clock = SimulatedClock()
    asked = asyncio.Event()

    async def hangs() -> int:
        asked.set()
        await asyncio.Event().wait()
        return 1

    async def works() -> int:
        return 2

    hanging, working = Watched("a", hangs, clock), Watched("b", works, clock)
    task = asyncio.create_task(hanging.run())
    await asyncio.wait_for(asked.wait(), DEADLINE_S)
    await working.refresh()
    assert (hanging.get(), working.get()) == (None, 2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_source_is_forgotten_when_it_fails_in_any_way() -> None:
    answers: list[int | Exception] = [7, ValueError("of its own"), 8]

    async def ask() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    source = Watched("a", ask, SimulatedClock())
    seen = []
    for _ in range(3):
        await source.refresh()
        seen.append(source.get())
    assert seen == [7, None, 8]


async def test_vitals_become_fresh_by_themselves_while_running(world: World) -> None:
    world.sign_of_life()
    vitals = Vitals(world.store, world.node, world.temporal, world.gpu, SystemClock())
    async with vitals.running():
        await until(lambda: vitals.node is not None and vitals.store is not None and vitals.temporal_up)
    assert vitals.store is not None
    assert vitals.store.worker_count == 0  # it signed by the simulated clock, long ago
