"""The main job on real input: a film with six people, served in real time by a camera that we did not write."""

from __future__ import annotations

import statistics
from pathlib import Path

import cv2
import numpy as np
import pytest

from iris.adapters.detector import YoloDetector
from iris.adapters.onnx import OnnxSession
from tests.assets import film, model, skip_or_fail
from tests.e2e.films import (
    ONE_BY_ONE,
    ONE_BY_ONE_GOP_S,
    ONE_BY_ONE_LENGTH_S,
    decode_errors,
    probe,
    seconds,
    video_stream,
)
from tests.e2e.gst_camera import GstCamera, gst_is_available
from tests.e2e.running_iris import RunningIris, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.assets, pytest.mark.timeout(420)]

SHORT = {"trigger_cooldown": 2, "pre_seconds": 2, "post_seconds": 2}


def person_score(jpeg: bytes) -> float:
    """Best score of a person in a picture."""
    bgr = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8)
    detector = YoloDetector(OnnxSession(model("yolov8n_static_640x384.onnx"), device="cpu"), ("person",))
    return float(max(detector.detect(rgb).scores, default=0.0))


def test_six_people_make_six_events_and_one_event_with_default_cooldown(tmp_path: Path) -> None:
    if not gst_is_available():
        skip_or_fail("apt-get install gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good")
    path = film("one-by-one.mp4")
    settings = {"DETECTOR_MODEL": str(model("yolov8n_static_640x384.onnx")), "DETECTOR_BACKEND": "onnx"}
    with (
        RunningIris(tmp_path / "data", **settings) as iris,
        GstCamera(path, password="p@ss word") as short_camera,
        GstCamera(path, password="second") as default_camera,
    ):
        short = iris.add_camera(rtsp_url=short_camera.url, **SHORT)
        default = iris.add_camera(rtsp_url=default_camera.url)
        assert short_camera.wait_for_play(30)
        assert default_camera.wait_for_play(30)
        assert short_camera.wait_for_end(ONE_BY_ONE_LENGTH_S + 30)
        wait_until(lambda: len(iris.terminal_events(camera_id=short["id"])) >= 6, 40, "six events end")
        wait_until(lambda: iris.terminal_events(camera_id=default["id"]), 60, "the long event ends")

        judge_six(iris, short["id"], short_camera.playing_wall_us[0] / 1e6)
        judge_one(iris, default["id"], default_camera.playing_wall_us[0] / 1e6)

        check = iris.check()
        assert check.returncode == 0, check.stdout + check.stderr


def judge_six(iris: RunningIris, camera_id: str, began_s: float) -> None:
    events = iris.events(camera_id=camera_id)
    assert [event["state"] for event in events] == ["ready"] * 6, events
    starts, ends = [], []
    for event, (start, end) in zip(events, ONE_BY_ONE, strict=True):
        starts.append(abs(seconds(event["started_at"]) - began_s - start))
        ends.append(abs(seconds(event["ended_at"]) - began_s - end))
    print(f"errors of starts {[round(x, 2) for x in starts]} s, of ends {[round(x, 2) for x in ends]} s")
    assert max(starts + ends) <= 1.5
    assert statistics.median(starts) <= 0.7
    assert statistics.median(ends) <= 0.7
    for event in events:
        clip = fetch(iris, event["clip_url"])
        assert decode_errors(clip) == ""
        window = seconds(event["window"]["end"]) - seconds(event["window"]["start"])
        duration = float(video_stream(probe(clip))["duration"])
        assert abs(duration - window) <= ONE_BY_ONE_GOP_S + 0.1, (duration, window)
        score = person_score(iris.call("GET", event["thumbnail_url"]).content)
        assert score > 0.5, f"no person in the thumbnail of {event['id']}: {score}"


def judge_one(iris: RunningIris, camera_id: str, began_s: float) -> None:
    events = iris.events(camera_id=camera_id)
    assert [event["state"] for event in events] == ["partial"], events
    event = events[0]
    (gap,) = event["gaps"]
    last = seconds(event["ended_at"])
    assert abs(last - began_s - ONE_BY_ONE[-1][1]) <= 1.5
    assert abs(seconds(gap["start"]) - began_s - ONE_BY_ONE_LENGTH_S) <= 1.0, "the gap begins where the film ends"
    assert seconds(gap["end"]) == pytest.approx(last + 10, abs=0.01)
    assert gap["end"] == event["window"]["end"]
    assert gap["reason"] in ("camera_offline", "camera_stalled")
    assert decode_errors(fetch(iris, event["clip_url"])) == ""


def fetch(iris: RunningIris, url: str) -> Path:
    answer = iris.call("GET", url)
    assert answer.status_code == 200
    path = iris.data_dir.parent / f"{url.split('/')[3]}.mp4"
    path.write_bytes(answer.content)
    return path
