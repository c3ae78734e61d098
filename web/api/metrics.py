"""Prometheus metrics of the api, on a registry of its own. Labels hold ids and fixed words, no names, no addresses."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from iris.domain.storage import StorageReport
from iris.ports import Clock
from web.api.camera_metrics import figure_metrics, node_metrics, part_restarts, process_metrics
from web.api.vitals import Vitals

# A page of events is to take under 15 ms; a clip may take seconds.
_BUCKETS_S = (0.002, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


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
            yield from _of_storage(vitals.node.storage)
            yield from figure_metrics(vitals.node.figures)
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
        now_us = self._clock.wall_us()
        yield from node_metrics(store.nodes if store else (), now_us)
        yield from process_metrics(
            vitals.cameras, vitals.unheard_camera_ids, part_restarts(self._data_dir / "run" / "restarts.json"), now_us
        )


def _of_storage(report: StorageReport | None) -> Iterable[Metric]:
    if report is None:
        return
    evicted = CounterMetricFamily(
        "iris_evicted", "Events that retention removed since the node started", labels=("class",)
    )
    for reason, count in sorted(report.evicted_counts.items()):
        evicted.add_metric((reason,), count)
    yield evicted
    yield CounterMetricFamily("iris_evicted_bytes", "Clips of these events", report.evicted_bytes)
    yield GaugeMetricFamily("iris_store_used_share", "Used share of the disk, 0 to 1", report.disk.used_share)
    yield GaugeMetricFamily("iris_store_alarm", "1 while no room can be made", float(report.alarm is not None))
    held_back = report.age_suspended is not None or report.age_waits is not None
    yield GaugeMetricFamily("iris_retention_age_held_back", "1 while nothing goes by age", float(held_back))


def _gauge(name: str, text: str, label: str, values: dict[str, bool]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), float(value))
    return family
