"""From a person in the picture to an event in the API, and from its end to a clip, on a running Iris.

When somebody appears is exact: every picture of the simulator carries the wall time at which it was sent, and the
clip holds those pictures. Walks begin at every part of a keyframe interval, as an idle camera looks at keyframes only.
"""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import av
import httpx
import numpy as np
import pytest

from iris.adapters.clock import SystemClock
from iris.base.ids import CameraId
from iris.outbox.reader import CameraDbReader
from iris.outbox.rows import CLOSED
from tests.assets import film, model
from tests.bench.figures import Figures
from tests.e2e.films import ONE_BY_ONE
from tests.e2e.running_iris import RunningIris, wait_until
from workers.camera_sim.encode import encode_scene
from workers.camera_sim.nal import read_mark
from workers.camera_sim.scene import SceneSpec, read_barcode
from workers.camera_sim.server import CameraSim, SimOptions

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]
WALKS = 10
KEYFRAME_INTERVAL_S = 2.0
FPS = 15
POLL_S = 0.02
MOST_VISIBLE_S, MOST_CLIP_S = 1.5 + KEYFRAME_INTERVAL_S, 3.0


@dataclass(slots=True)
class Moments:
    """What was seen from outside when, wall time in microseconds."""

    visible_us: int = 0
    closed_us: int = 0
    covered_us: int = 0
    terminal_us: int = 0
    window_end_us: int = 0
    state: str = ""

    @property
    def clip_s(self) -> float:
        """Seconds to the clip since its event was closed and its last segment published, whichever came later."""
        assert self.closed_us
        assert self.covered_us
        return (self.terminal_us - max(self.closed_us, self.covered_us)) / 1e6


class Watch:
    """Looks at the API and at the camera's file, over and over."""

    def __init__(self, iris: RunningIris, camera_id: str) -> None:
        self._camera_id = CameraId(camera_id)
        self._reader = CameraDbReader(iris.data_dir)
        self._clock = SystemClock()
        headers = {"Authorization": f"Bearer {iris.key}"}
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{iris.port}", headers=headers, timeout=10)
        self._moments: dict[str, Moments] = {}
        self._taken: set[str] = set()

    def next_event(self, patience_s: float) -> tuple[str, Moments]:
        """The next event that comes to its end."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            self._look()
            for event_id, moments in self._moments.items():
                if moments.terminal_us and event_id not in self._taken:
                    self._taken.add(event_id)
                    return event_id, moments
            time.sleep(POLL_S)
        raise AssertionError(f"no event came to its end: {self._moments}")

    def _look(self) -> None:
        """Note what is there now of every event."""
        events = self._client.get("/api/events", params={"limit": 5}).json()["items"]
        now_us = self._clock.wall_us()
        for event in events:
            moments = self._moments.setdefault(event["id"], Moments(visible_us=now_us))
            if event["state"] in ("ready", "partial", "failed") and not moments.terminal_us:
                moments.terminal_us, moments.state = now_us, event["state"]
        for _, message in self._reader.rows_after(self._camera_id, 0, 1000):
            closed = self._moments.get(message.event_id)
            if message.kind == CLOSED and message.window_end_us is not None and closed and not closed.closed_us:
                closed.closed_us, closed.window_end_us = now_us, message.window_end_us
        newest_us = self._reader.newest_end_us(self._camera_id) or 0
        for moments in self._moments.values():
            if moments.window_end_us and newest_us >= moments.window_end_us and not moments.covered_us:
                moments.covered_us = now_us

    def clip(self, event_id: str, path: Path) -> Path:
        """Fetch an event's clip."""
        path.write_bytes(self._client.get(f"/api/events/{event_id}/clip").content)
        return path

    def close(self) -> None:
        """Close what it holds open."""
        self._client.close()


def walker_sent_us(clip: Path, number_in_loop: int) -> int:
    """When the camera sent a picture of its scene."""
    sent_us: dict[int | None, int] = {}
    with av.open(str(clip)) as container:
        for packet in container.demux(video=0):
            mark = read_mark(bytes(packet))
            if mark is not None:
                sent_us[packet.pts] = mark.sent_wall_us
            for frame in packet.decode():
                if read_barcode(np.asarray(frame.to_ndarray(format="gray"), np.uint8)) == number_in_loop:
                    return sent_us[frame.pts]
    raise AssertionError(f"picture {number_in_loop} is not in the clip")


def test_event_is_visible_and_its_clip_ready_soon(tmp_path: Path, figures: Figures) -> None:
    specs = [
        SceneSpec(
            fps=FPS, loop_s=24, walk_at_s=4 + KEYFRAME_INTERVAL_S * walk / WALKS, walk_s=3,
            keyframe_interval_s=KEYFRAME_INTERVAL_S,
        )
        for walk in range(WALKS)
    ]  # fmt: skip
    films = [encode_scene(spec) for spec in specs]
    visible_s, clip_s = [], []
    with CameraSim(SceneSpec(walk_s=0, loop_s=10, fps=FPS)) as camera, RunningIris(tmp_path / "data") as iris:
        camera_id = iris.add_camera(rtsp_url=camera.url, trigger_cooldown=2, pre_seconds=2, post_seconds=2)["id"]
        wait_until(lambda: iris.status(camera_id).get("state") == "recording", 30, "recording")
        watch = Watch(iris, camera_id)
        for spec, scene in zip(specs, films, strict=True):
            camera.show(scene)
            event_id, moments = watch.next_event(patience_s=60)
            assert moments.state == "ready"
            clip = watch.clip(event_id, tmp_path / "clip.mp4")
            appeared_us = walker_sent_us(clip, math.ceil(spec.walk_at_s * FPS))
            visible_s.append((moments.visible_us - appeared_us) / 1e6)
            clip_s.append(moments.clip_s)
        watch.close()
    visible = figures.add(
        "event visible in the API after the person", statistics.median(visible_s), "s",
        most=MOST_VISIBLE_S, walks=WALKS, least_s=round(min(visible_s), 2), worst_s=round(max(visible_s), 2),
        keyframe_interval_s=KEYFRAME_INTERVAL_S,
    )  # fmt: skip
    ready = figures.add(
        "clip ready after event and last segment", statistics.median(clip_s), "s",
        most=MOST_CLIP_S, walks=WALKS, least_s=round(min(clip_s), 2), worst_s=round(max(clip_s), 2),
    )  # fmt: skip
    assert visible.value <= MOST_VISIBLE_S
    assert ready.value <= MOST_CLIP_S


def test_people_of_a_film_are_seen_soon(tmp_path: Path, figures: Figures) -> None:
    models = model("yolov8n_static_640x384.onnx")
    visible_s, clip_s = [], []
    options = SimOptions(once=True)
    with (
        CameraSim(film("one-by-one.mp4"), options) as camera,
        RunningIris(tmp_path / "data", DETECTOR_MODEL=str(models), DETECTOR_BACKEND="onnx") as iris,
    ):
        camera_id = iris.add_camera(rtsp_url=camera.url, trigger_cooldown=2, pre_seconds=2, post_seconds=2)["id"]
        assert camera.wait_for_plays(1, 30)
        watch = Watch(iris, camera_id)
        for begin_s, _ in ONE_BY_ONE[:2]:
            _, moments = watch.next_event(patience_s=90)
            visible_s.append(moments.visible_us / 1e6 - (camera.play_wall_us[0] / 1e6 + begin_s))
            clip_s.append(moments.clip_s)
        watch.close()
    # Whoever wrote down when people come into view did so to half a second: no limit here.
    figures.add(
        "event visible after the person, film and network",
        statistics.median(visible_s),
        "s",
        each_s=[round(v, 2) for v in visible_s],
    )
    figures.add("clip ready, film and network", statistics.median(clip_s), "s", each_s=[round(v, 2) for v in clip_s])
