"""CPU of a whole camera process against a naive pipeline, and of recording alone against ffmpeg; memory.

All receive the same film in real time over RTSP/TCP. Variants take turns in each round, so that what else the
machine does falls on both; a figure is the median of the rounds. What was done is counted and asserted: a camera that
stands still does not look cheap.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from pathlib import Path

import pytest

from iris.domain.camera import DetectorBackend
from tests.bench.figures import Figures
from tests.bench.processes import (
    WINDOW_S,
    Cost,
    camera_server,
    cost_of_ffmpeg,
    cost_of_naive,
    cost_of_ours,
)
from tests.bench.scenes import BUSY, FPS, STILL, Scene, make_1080p

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
ROUNDS = 2
FILM_S = 20
RECORDING_CAMERAS = 8
# A window of 30 s at 15 frames a second, less what its edges and a heartbeat a second cut off.
LEAST_FRAMES = round((WINDOW_S - 2.5) * FPS)
LEAST_SEGMENTS = round((WINDOW_S - 4) / 2)


@pytest.mark.parametrize(("scene", "most"), [(BUSY, 0.45), (STILL, 0.10)], ids=["busy", "still"])
async def test_camera_process_costs_a_part_of_a_naive_pipeline(
    scene: Scene, most: float, tmp_path: Path, figures: Figures
) -> None:
    naive: list[Cost] = []
    ours: list[Cost] = []
    with camera_server(make_1080p(tmp_path / "film.mp4", scene, seconds=FILM_S)) as url:
        for number in range(ROUNDS):
            naive.append(await cost_of_naive(tmp_path / f"naive{number}", url))
            ours.append(await cost_of_ours(tmp_path / f"ours{number}", url, DetectorBackend.ONNX))
    for done in (cost.counts for cost in naive):
        assert done["frames"] >= LEAST_FRAMES
        assert done["detections"] >= LEAST_FRAMES // 3
        assert done["segments"] >= LEAST_SEGMENTS
    for done in (cost.counts for cost in ours):
        assert done["packets"] >= LEAST_FRAMES
        assert done["segments"] >= LEAST_SEGMENTS
        assert done.get("packets_dropped", 0) == done.get("analysis_packets_dropped", 0) == 0
        if not scene.still:
            assert done["detector_calls"] >= 4.5 * (WINDOW_S - 2.5)
            assert done["detections"] > 0
    kept = {name: ours[-1].counts.get(name, 0) for name in ("packets", "frames_decoded", "detector_calls", "segments")}
    naive = [replace(cost, cpu=at_real_time(cost)) for cost in naive]
    figures.add(f"naive pipeline, {scene.name}", median_cpu(naive), "cores", **naive[-1].counts)
    figures.add(f"camera process, {scene.name}", median_cpu(ours), "cores", **kept, pss_mb=round(ours[-1].pss_mb))
    ratio = figures.add(f"camera process / naive, {scene.name}", ratio_of(ours, naive), "x", most=most, rounds=ROUNDS)
    assert ratio.value <= most


async def test_recording_alone_costs_little_more_than_ffmpeg(tmp_path: Path, figures: Figures) -> None:
    ffmpeg: list[Cost] = []
    ours: list[Cost] = []
    with camera_server(make_1080p(tmp_path / "film.mp4", BUSY, seconds=FILM_S)) as url:
        for number in range(ROUNDS):
            ffmpeg.append(await cost_of_ffmpeg(tmp_path / f"ffmpeg{number}", url, RECORDING_CAMERAS))
            folder = tmp_path / f"ours{number}"
            ours.append(await cost_of_ours(folder, url, DetectorBackend.NONE, RECORDING_CAMERAS))
    for cost in ours:
        assert cost.counts["packets"] >= RECORDING_CAMERAS * LEAST_FRAMES
        assert "packets_dropped" not in cost.counts
    for cost in (*ffmpeg, *ours):
        assert cost.counts["segments"] >= RECORDING_CAMERAS * LEAST_SEGMENTS
    for name, costs in (("ffmpeg segmenters", ffmpeg), ("camera processes without analysis", ours)):
        memory_mb = round(costs[-1].pss_mb / RECORDING_CAMERAS)
        figures.add(
            f"{RECORDING_CAMERAS} {name}", median_cpu(costs), "cores",
            segments=costs[-1].counts["segments"], pss_mb_each=memory_mb,
        )  # fmt: skip
    ratio = figures.add("recording alone / ffmpeg", ratio_of(ours, ffmpeg), "x", most=1.4, cameras=RECORDING_CAMERAS)
    assert ratio.value <= 1.4


async def test_camera_process_without_a_model_is_small(tmp_path: Path, figures: Figures) -> None:
    with camera_server(make_1080p(tmp_path / "film.mp4", BUSY, seconds=FILM_S)) as url:
        cost = await cost_of_ours(tmp_path / "data", url, DetectorBackend.MOTION)
    assert cost.counts["packets"] >= LEAST_FRAMES
    assert cost.counts["frames_decoded"] >= LEAST_FRAMES
    kept = {name: cost.counts[name] for name in ("packets", "frames_decoded", "segments")}
    memory = figures.add(
        "memory of a camera process, motion", cost.pss_mb, "MB PSS", most=95, rss_mb=round(cost.rss_mb), **kept
    )
    assert memory.value <= 95


def at_real_time(naive: Cost) -> float:
    """CPU of the naive pipeline per second of video; after a slow start it catches up for a while."""
    return naive.cpu * WINDOW_S * FPS / naive.counts["frames"]


def median_cpu(costs: list[Cost]) -> float:
    return statistics.median(cost.cpu for cost in costs)


def ratio_of(ours: list[Cost], others: list[Cost]) -> float:
    """Median of the rounds' ratios; both of a round ran one after the other."""
    return statistics.median(our.cpu / other.cpu for our, other in zip(ours, others, strict=True))
