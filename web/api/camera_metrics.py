"""Metrics of camera processes, from their heartbeats, and of nodes, from their signs of life."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from iris.base.timebase import US_PER_S
from iris.domain.camera import CameraState
from iris.domain.status import (
    COUNTER_GAP_US,
    COUNTER_RESTARTS,
    FIGURE_CLIP_COUNT,
    FIGURE_CLIP_SECONDS,
    FIGURE_CLIP_WITHIN,
    FIGURE_DEAD_LETTERS,
    FIGURE_MISSING_SECONDS,
    FIGURE_TERMINAL,
    CameraStatus,
)
from web.api.node_vitals import NodeVitals

# Counters of a camera process that have a metric of their own: name there -> metric, meaning.
_NAMED_COUNTERS = {
    "segments": ("iris_segment_written", "Segments made durable"),
    "reconnects": ("iris_reconnect", "Connections to the camera after the first"),
    "discontinuities": ("iris_stream_discontinuity", "Jumps of the stream's time stamps"),
    "packets_dropped": ("iris_packet_dropped", "Packets that could not be recorded"),
    "storage_failures": ("iris_storage_failure", "Failures to write a segment"),
    "inference_errors": ("iris_inference_error", "Failures of the network"),
    "events_accepted": ("iris_events_accepted", "Events that are sure to reach an end (P0)"),
}


def node_metrics(nodes: Sequence[NodeVitals], now_us: int) -> Iterable[Metric]:
    """Whether each node is there."""
    up = GaugeMetricFamily("iris_node_up", "1 while its signs of life come", labels=("node",))
    age = GaugeMetricFamily("iris_node_heartbeat_age_seconds", "Since its last sign of life", labels=("node",))
    for node in nodes:
        up.add_metric((node.node_id,), float(node.up))
        age.add_metric((node.node_id,), node.age_s(now_us))
    return up, age


def figure_metrics(figures: Mapping[str, float]) -> Iterable[Metric]:
    """What the node counted since its process started: ends of events, clips, dead letters."""
    terminal = CounterMetricFamily(
        "iris_events_terminal", "Events that reached their end and were released", labels=("state",)
    )
    buckets = []
    for name, value in figures.items():
        if name.startswith(FIGURE_TERMINAL):
            terminal.add_metric((name.removeprefix(FIGURE_TERMINAL),), value)
        elif name.startswith(FIGURE_CLIP_WITHIN):
            buckets.append((float(name.removeprefix(FIGURE_CLIP_WITHIN)), value))
    count = int(figures.get(FIGURE_CLIP_COUNT, 0))
    bounds = [(str(most_s), value) for most_s, value in sorted(buckets)]
    yield terminal
    yield HistogramMetricFamily(
        "iris_clip_assembly_seconds", "Time to make a clip once its last segment is there",
        [*bounds, ("+Inf", count)], figures.get(FIGURE_CLIP_SECONDS, 0),
    )  # fmt: skip
    yield SummaryMetricFamily(
        "iris_clip_missing_seconds", "Time that is missing in clips", count, figures.get(FIGURE_MISSING_SECONDS, 0)
    )
    dead = figures.get(FIGURE_DEAD_LETTERS, 0)
    yield GaugeMetricFamily("iris_dead_letters", "Messages that Temporal refused for good", dead)


Restarts = Mapping[str, Mapping[str, int]]


def part_restarts(path: Path) -> Restarts:
    """Restarts by part and reason, as `iris up` counts them; none where it does not run."""
    try:
        found = json.loads(path.read_bytes())
        return {str(role): {str(r): int(n) for r, n in counts.items()} for role, counts in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def process_metrics(
    cameras: Sequence[CameraStatus], unheard: Sequence[str], parts: Restarts, now_us: int
) -> Iterable[Metric]:
    """State, counters and ages of every camera, and restarts of all processes.

    Args:
        cameras: As their processes say.
        unheard: Enabled cameras that nobody speaks for.
        parts: See `part_restarts`.
        now_us: Wall time now.
    """
    age = GaugeMetricFamily(
        "iris_camera_last_segment_age_seconds", "Since the end of the newest durable segment", labels=("camera",)
    )
    state = GaugeMetricFamily("iris_camera_state", "1 for the state it is in", labels=("camera", "state"))
    counters = _Counters(parts)
    for camera in cameras:
        if camera.last_segment_end_us is not None:
            age.add_metric((camera.camera_id,), max(0, now_us - camera.last_segment_end_us) / US_PER_S)
        state.add_metric((camera.camera_id, camera.state.value), 1)
        counters.add(camera)
    for camera_id in unheard:
        state.add_metric((camera_id, CameraState.OFFLINE.value), 1)
    return age, state, *counters.families()


class _Counters:
    """Counters of camera processes, sorted into their metrics."""

    def __init__(self, parts: Restarts) -> None:
        self._restarts = CounterMetricFamily(
            "iris_process_restarts", "Restarts of processes since their parent started",
            labels=("role", "camera", "reason"),
        )  # fmt: skip
        for role, counts in sorted(parts.items()):
            for reason, count in sorted(counts.items()):
                self._restarts.add_metric((role, "", reason), count)
        self._gaps = CounterMetricFamily(
            "iris_gap_seconds", "Time that should have been recorded and was not; counted when recording goes on",
            labels=("camera", "reason"),
        )  # fmt: skip
        self._named = {
            name: CounterMetricFamily(metric, text, labels=("camera",))
            for name, (metric, text) in _NAMED_COUNTERS.items()
        }
        self._others = CounterMetricFamily(
            "iris_camera_counter", "Other counts of a camera process", labels=("camera", "name")
        )

    def add(self, camera: CameraStatus) -> None:
        for name, value in sorted(camera.counters.items()):
            if name in self._named:
                self._named[name].add_metric((camera.camera_id,), value)
            elif name.startswith(COUNTER_RESTARTS):
                reason = name.removeprefix(COUNTER_RESTARTS)
                self._restarts.add_metric(("camera", camera.camera_id, reason), value)
            elif name.startswith(COUNTER_GAP_US):
                self._gaps.add_metric((camera.camera_id, name.removeprefix(COUNTER_GAP_US)), value / US_PER_S)
            else:
                self._others.add_metric((camera.camera_id, name), value)

    def families(self) -> Iterable[Metric]:
        return self._restarts, self._gaps, self._others, *self._named.values()
