"""Prometheus metrics of the api, on a registry of its own. Labels hold ids and fixed words, no names, no addresses."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from iris.base.timebase import US_PER_S
from iris.domain.status import CameraStatus
from iris.ports import Clock
from web.api.vitals import Vitals

# A page of events is to take under 15 ms; a clip may take seconds.
_BUCKETS_S = (0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)

# Counters of a camera process that have a metric of their own: name there -> metric, meaning.
_NAMED_COUNTERS = {
    "segments": ("iris_segment_written", "Segments made durable"),
    "reconnects": ("iris_reconnect", "Connections to the camera after the first"),
    "discontinuities": ("iris_stream_discontinuity", "Jumps of the stream's time stamps"),
    "packets_dropped": ("iris_packet_dropped", "Packets that could not be recorded"),
    "storage_failures": ("iris_storage_failure", "Failures to write a segment"),
    "inference_errors": ("iris_inference_error", "Failures of the network"),
}


class ApiMetrics:
    """Counts requests as they come, and reads the rest from the vitals when asked."""

    def __init__(self, vitals: Vitals, clock: Clock, data_dir: Path) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "iris_http_requests", "HTTP requests answered", ("method", "route", "status"), registry=self._registry
        )
        self.request_seconds = Histogram(
            "iris_http_request_seconds", "Time to answer", ("route",), buckets=_BUCKETS_S, registry=self._registry
        )
        self.auth_denied = Counter(
            "iris_auth_denied", "Requests refused for who asked", ("reason",), registry=self._registry
        )
        self._registry.register(_VitalsCollector(vitals, clock, data_dir))

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self._registry)


class _VitalsCollector(Collector):
    def __init__(self, vitals: Vitals, clock: Clock, data_dir: Path) -> None:
        self._vitals, self._clock, self._data_dir = vitals, clock, data_dir

    def describe(self) -> Iterable[Metric]:
        """Nothing: without it, registering would collect."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All metrics read from the vitals."""
        vitals = self._vitals
        store = vitals.store
        yield _gauge("iris_up", "1 while the part answers, by part", "part", {
            "store": store is not None, "node": vitals.node is not None, "temporal": vitals.temporal_up,
            "worker": store is not None and store.worker_count > 0,
        })  # fmt: skip
        if vitals.node is not None:
            yield GaugeMetricFamily("iris_outbox_depth", "Rows not yet handed over", vitals.node.outbox_depth)
            yield GaugeMetricFamily(
                "iris_outbox_oldest_age_seconds", "Age of the oldest of them", vitals.node.outbox_oldest_age_s
            )
        if store is not None:
            notices = CounterMetricFamily(
                "iris_notifications", "Notifications of the last 30 days, by state", labels=("state",)
            )
            for state, count in store.notification_counts.items():
                notices.add_metric((state,), count)
            yield notices
        if vitals.gpu is not None:
            yield GaugeMetricFamily("iris_gpu_memory_used_bytes", "Memory of the first GPU", vitals.gpu.used_mb * 2**20)
        yield GaugeMetricFamily(
            "iris_store_free_bytes", "Free space at DATA_DIR", shutil.disk_usage(self._data_dir).free
        )
        yield from _of_cameras(vitals.cameras, self._clock.wall_us())


def _of_cameras(cameras: tuple[CameraStatus, ...], now_us: int) -> Iterable[Metric]:
    age = GaugeMetricFamily(
        "iris_camera_last_segment_age_seconds", "Since the end of the newest durable segment", labels=("camera",)
    )
    state = GaugeMetricFamily("iris_camera_state", "1 for the state it is in", labels=("camera", "state"))
    restarts = CounterMetricFamily(
        "iris_process_restarts", "Restarts of camera processes since the node started", labels=("role", "camera")
    )
    counts = CounterMetricFamily("iris_camera_counter", "Other counts of a camera process", labels=("camera", "name"))
    named = {
        name: CounterMetricFamily(metric, text, labels=("camera",)) for name, (metric, text) in _NAMED_COUNTERS.items()
    }
    for camera in cameras:
        if camera.last_segment_end_us is not None:
            age.add_metric((camera.camera_id,), max(0, now_us - camera.last_segment_end_us) / US_PER_S)
        state.add_metric((camera.camera_id, camera.state.value), 1)
        restarts.add_metric(("camera", camera.camera_id), camera.restart_count)
        for name, value in sorted(camera.counters.items()):
            if name in named:
                named[name].add_metric((camera.camera_id,), value)
            else:
                counts.add_metric((camera.camera_id, name), value)
    return age, state, restarts, counts, *named.values()


def _gauge(name: str, text: str, label: str, values: dict[str, bool]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), float(value))
    return family
