"""Health, the installation at a glance, and metrics: read from the vitals, so that asking touches nothing."""

from __future__ import annotations

import platform
from collections import Counter

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from web.api.deps import ServicesDep, media
from web.api.schemas import Health, System
from web.api.services import Services
from web.api.vitals import Vitals
from web.api.wire import WireObject, detector_words, json_answer

_TEXT = media("text/plain", "Prometheus text format")
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
            "cameras": _cameras(services),
        }
    )


def metrics(services: ServicesDep) -> Response:
    """Prometheus metrics."""
    return Response(services.metrics.render(), media_type=CONTENT_TYPE_LATEST)


def _cameras(services: Services) -> WireObject:
    store = services.vitals.store
    states = Counter(camera.state.value for camera in services.vitals.cameras)
    return {
        "total": store.camera_count if store else 0,
        "enabled": store.enabled_camera_count if store else 0,
        **{state: states[state] for state in ("recording", "connecting", "error", "offline")},
    }


def _workers(vitals: Vitals) -> WireObject:
    store = vitals.store
    return {"worker": store.worker_count if store else 0, "node": store.node_count if store else 0}


def _status(vitals: Vitals) -> str:
    return "ok" if vitals.ok else "degraded"


def _up(up: bool) -> str:  # noqa: FBT001 - the one value that it words
    return "up" if up else "down"
