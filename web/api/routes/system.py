"""Health, the installation at a glance, and metrics: read from the vitals, so that asking touches nothing."""

from __future__ import annotations

import platform
from collections import Counter

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from iris.base.timebase import format_rfc3339
from web.api.deps import NO_QUERY, ServicesDep, media, problems
from web.api.services import Services
from web.api.system_schemas import DeadLetterList, DeadLetterRetry, Health, System
from web.api.vitals import Vitals
from web.api.wire import WireObject, detector_words, json_answer, wire_storage

_TEXT = media("text/plain", "Prometheus text format")
_NOBODY: WireObject = {"worker": 0, "node": 0}
_DESCRIPTIONS = {
    "onnx": "object detection by a network through onnxruntime",
    "cpu": "object detection by a network on the processor",
    "motion": "motion detection: no model looks at the pictures, so anything that moves opens an event",
    "none": "recording only: nothing looks at the pictures",
}


def system_router() -> APIRouter:
    """The routes of the installation itself."""
    router = APIRouter(tags=["system"])
    router.get("/health", response_model=Health)(health)
    router.get("/api/system", response_model=System)(system)
    letters = "/api/system/dead-letters"
    answers = problems(422, 503)
    router.get(letters, dependencies=NO_QUERY, response_model=DeadLetterList, responses=answers)(dead_letters)
    router.post("/api/system/dead-letters/retry", response_model=DeadLetterRetry, responses=problems(503))(
        retry_dead_letters
    )
    router.get("/metrics", response_class=Response, responses=_TEXT)(metrics)
    return router


async def health(services: ServicesDep) -> Response:
    """200 while the api lives; open to everybody, so nothing in it is private."""
    vitals = services.vitals
    facts = vitals.node
    return json_answer(
        {
            "status": _status(vitals),
            "detector": detector_words(facts.backend if facts else ""),
            "gpu": vitals.gpu,
            "workers": _workers(vitals),
            "temporal": _up(vitals.temporal_up),
            "reasons": vitals.reasons,
            "storage": _storage_word(vitals),
        }
    )


async def system(services: ServicesDep) -> Response:
    """Versions, detector, GPU, outbox and cameras."""
    vitals = services.vitals
    facts = vitals.node
    backend = facts.backend if facts else "unknown"
    return json_answer(
        {
            "status": _status(vitals),
            "version": services.version,
            "python_version": platform.python_version(),
            "backend": {
                "name": backend,
                "description": _DESCRIPTIONS.get(backend, "not known while the node does not answer"),
                "device": facts.device if facts else "unknown",
                "onnx_providers": facts.onnx_providers if facts else (),
            },
            "gpu": vitals.gpu,
            "temporal": _up(vitals.temporal_up),
            "store": _up(vitals.store is not None),
            "node": _up(facts is not None),
            "workers": _workers(vitals),
            "outbox": {
                "depth": facts.outbox_depth if facts else None,
                "oldest_age_seconds": facts.outbox_oldest_age_s if facts else None,
            },
            "storage": wire_storage(facts.storage if facts else None),
            "cameras": _cameras(services),
            "reasons": vitals.reasons,
            "nodes": _nodes(services),
        }
    )


async def dead_letters(services: ServicesDep) -> Response:
    """Messages about events that Temporal refused for good: a mistake of Iris, and their events wait."""
    letters = await services.dead_letters.dead_letters()
    return json_answer(
        {
            "items": [
                {
                    "event_id": letter.event_id,
                    "camera_id": letter.camera_id,
                    "seq": letter.seq,
                    "reason": letter.reason,
                    "noted_at": format_rfc3339(letter.noted_us),
                }
                for letter in letters
            ]
        }
    )


async def retry_dead_letters(services: ServicesDep) -> Response:
    """Hand all of them over again; what is refused once more is listed once more."""
    return json_answer({"count": await services.dead_letters.retry_dead_letters()})


def metrics(services: ServicesDep) -> Response:
    """Prometheus metrics."""
    return Response(services.metrics.render(), media_type=CONTENT_TYPE_LATEST)


def _cameras(services: Services) -> WireObject:
    store = services.vitals.store
    states = Counter(camera.state.value for camera in services.vitals.cameras)
    states["offline"] += len(services.vitals.unheard_camera_ids)
    return {
        "total": store.camera_count if store else 0,
        "enabled": len(store.enabled_camera_ids) if store else 0,
        **{state: states[state] for state in ("recording", "connecting", "error", "offline")},
    }


def _nodes(services: Services) -> list[WireObject]:
    store, now_us = services.vitals.store, services.clock.wall_us()
    return [
        {
            "id": node.node_id,
            "state": node.state,
            "since": format_rfc3339(node.since_us),
            "heartbeat_at": format_rfc3339(node.heartbeat_us),
            "heartbeat_age_seconds": node.age_s(now_us),
            "version": node.version,
            "cameras": node.camera_count,
            "missed": node.missed,
        }
        for node in (store.nodes if store else ())
    ]


def _workers(vitals: Vitals) -> WireObject:
    store = vitals.store
    return {"worker": store.worker_count, "node": sum(node.up for node in store.nodes)} if store else _NOBODY


def _status(vitals: Vitals) -> str:
    return "ok" if vitals.ok and _storage_word(vitals) != "alarm" else "degraded"


def _storage_word(vitals: Vitals) -> str:
    storage = vitals.node.storage if vitals.node else None
    if storage is None:
        return "unknown"
    return "ok" if storage.alarm is None else "alarm"


def _up(up: bool) -> str:  # noqa: FBT001 - the one value that it words
    return "up" if up else "down"
