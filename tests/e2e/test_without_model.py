"""No model file at all: Iris works, says so everywhere a user looks, and the demonstration camera makes an event."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.e2e.films import decode_errors
from tests.e2e.running_iris import RunningIris, free_port, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

# Every text of this camera that must never be seen outside it.
CANARY_USER, CANARY_PASSWORD, CANARY_NAME = "canaryuser", "CANARYPASS-7f3a", "Canary Lane 7"


def test_demonstration_camera_makes_a_playable_event_without_any_model(tmp_path: Path) -> None:
    port = free_port()
    simulator = subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "camera-sim", "--port", str(port), "--user", CANARY_USER,
         "--every", "20"],
        env={**os.environ, "IRIS_CAMERA_SIM_PASSWORD": CANARY_PASSWORD}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with RunningIris(tmp_path / "data") as iris:
            url = f"rtsp://{CANARY_USER}:{CANARY_PASSWORD}@127.0.0.1:{port}/stream"
            camera_id = iris.add_camera(
                name=CANARY_NAME, rtsp_url=url, trigger_cooldown=2, pre_seconds=2, post_seconds=2
            )["id"]
            says_motion_detection(iris, camera_id)
            event = wait_until(iris.terminal_events, 60, "an event ends")[0]
            assert event["state"] in ("ready", "partial")
            assert event["labels"] == ["motion"]
            clip = tmp_path / "clip.mp4"
            clip.write_bytes(iris.call("GET", event["clip_url"]).content)
            assert decode_errors(clip) == ""
            seen_nowhere(iris, event["id"])
    finally:
        simulator.terminate()
        simulator.wait(10)


def says_motion_detection(iris: RunningIris, camera_id: str) -> None:
    wait_until(lambda: iris.status(camera_id).get("state") == "recording", 30, "recording")
    assert "motion detection" in iris.log()
    assert "motion detection" in json.dumps(iris.health())
    assert "motion detection" in iris.call("GET", "/api/system").text
    assert "motion detection" in json.dumps(iris.status(camera_id))


def seen_nowhere(iris: RunningIris, event_id: str) -> None:
    """No name, address or password in a history, a log, an answer, a metric or an argument; summaries are readable."""
    history = history_of(iris, event_id)
    for text in ("Make the clip", "Write the result", "Record: opened"):
        assert text in history, f"a person cannot read {text!r} in the history"
    places = {
        "history": history,
        "log": iris.log(),
        "answers": "".join(iris.call("GET", p).text for p in ("/api/events", "/api/system", "/metrics", "/health")),
        "cameras": iris.call("GET", "/api/cameras").text.replace(CANARY_NAME, ""),
        "arguments": "".join(" ".join(p.cmdline()) for p in every_process(iris)),
        "environments": "".join(str(p.environ()) for p in every_process(iris)),
    }
    for place, text in places.items():
        for secret in (CANARY_USER, CANARY_PASSWORD, CANARY_NAME, "rtsp://" + CANARY_USER):
            assert secret not in text, f"{secret} in {place}"
    for path in iris.data_dir.rglob("*"):
        if path.is_file():
            assert CANARY_PASSWORD.encode() not in path.read_bytes(), f"the password is in {path.name}"


def every_process(iris: RunningIris) -> list[psutil.Process]:
    assert iris.process is not None
    top = psutil.Process(iris.process.pid)
    return [top, *top.children(recursive=True)]


def history_of(iris: RunningIris, event_id: str) -> str:
    """The whole history, as the Temporal UI gets it, with summaries decoded."""
    from base64 import b64decode

    from workers.temporal_binary import cached_binary

    shown = subprocess.run(
        [cached_binary(os.environ), "workflow", "show", "--workflow-id", f"event:{event_id}", "--output", "json",
         "--address", f"127.0.0.1:{iris.temporal_port}"],
        capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip
    decoded: list[str] = [shown]

    def walk(value: object) -> None:
        if isinstance(value, dict):
            data = value.get("data")
            if isinstance(data, str):
                decoded.append(b64decode(data).decode(errors="replace"))
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(json.loads(shown))
    return "\n".join(decoded)
