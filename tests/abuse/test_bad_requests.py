"""Bad requests to a running Iris: refused in words that name the field and repeat nothing, and no process starts.

The whole tables stand beside the api's own tests; here is one of each kind, through the real server.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.running_iris import RunningIris

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CANARY = "CANARYVALUE"
ADDRESS = f"rtsp://u:{CANARY}@127.0.0.1:9/stream"
ID = "018bcfe5-6800-7000-800c-00000000ffff"
# What is changed in a good camera, and the field that the answer must name.
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({CANARY: 1}, CANARY),
    ({"enabled": CANARY}, "enabled"),
    ({"name": 5}, "name"),
    ({"name": CANARY * 20}, "name"),
    ({"name": f"{CANARY}\n"}, "name"),
    ({"trigger_classes": [CANARY * 20]}, "trigger_classes.0"),
    ({"pre_seconds": -1}, "pre_seconds"),
    ({"post_seconds": float("nan")}, "post_seconds"),
    ({"trigger_cooldown": float("inf")}, "trigger_cooldown"),
    ({"detect_fps": 1e300}, "detect_fps"),
    ({"detect_conf": "0.5"}, "detect_conf"),
    ({"rtsp_url": f"file:///{CANARY}"}, "rtsp_url"),
    ({"rtsp_url": f"http://h/{CANARY}"}, "rtsp_url"),
    ({"rtsp_url": f"RTSP://h/{CANARY}"}, "rtsp_url"),
    ({"rtsp_url": f"rtsp:///{CANARY}"}, "rtsp_url"),
    ({"rtsp_url": f"rtsp://h/ {CANARY}"}, "rtsp_url"),
    ({"rtsp_url": f"rtsp://h/a\n{CANARY}"}, "rtsp_url"),
    ({"rtsp_url": f"rtsp://h/{CANARY}?tcp"}, "rtsp_url"),
    ({"rtsp_url": f"rtsp://h:99999/{CANARY}"}, "rtsp_url"),
    ({"rtsp_url": f"rtsp://***@h/{CANARY}"}, "rtsp_url"),
    ({"rtsp_url": "rtsp://h/" + CANARY * 300}, "rtsp_url"),
    ({"detect_url": f"concat:rtsp://h/{CANARY}|file:/x"}, "detect_url"),
]
# Method, path, headers, expected status.
ELSEWHERE: list[tuple[str, str, dict[str, str], int]] = [
    ("GET", f"/api/cameras/{CANARY}", {}, 404),
    ("GET", f"/api/cameras/..%2f{CANARY}/status", {}, 404),
    ("GET", f"/api/events/{CANARY}/clip", {}, 404),
    ("GET", f"/api/events/{ID}/clip", {"Range": f"bytes={CANARY}"}, 404),
    ("GET", f"/api/events?cursor={CANARY}", {}, 422),
    ("GET", f"/api/events?limit={CANARY}", {}, 422),
    ("GET", f"/api/events?camera_id={CANARY}", {}, 422),
    ("GET", f"/api/events?{CANARY}=1", {}, 422),
    ("GET", f"/api/cameras?cursor={CANARY}", {}, 422),
    ("DELETE", "/api/system", {}, 405),
    ("GET", "/api/cameras", {"Authorization": f"Bearer {CANARY}"}, 401),
    ("GET", "/api/cameras", {"Authorization": f"Basic {CANARY}"}, 401),
    ("GET", "/api/cameras", {"Authorization": ""}, 401),
    ("POST", "/api/cameras", {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}, 403),
]


def test_bad_requests_are_refused_by_name_and_start_no_process(tmp_path: Path) -> None:
    with RunningIris(tmp_path / "data") as iris:
        problems = [text for change, name in REFUSED if (text := refusal(iris, change, name))]
        problems += [text for case in ELSEWHERE if (text := refusal_elsewhere(iris, *case))]
        problems += key_in_query(iris)
        problems += masked_edit(iris)
        assert problems == []
        assert iris.part("camera") is None, "an address that was refused has a process"
        assert CANARY not in iris.log()
        cameras = iris.call("GET", "/api/cameras").json()["items"]
        assert [camera["enabled"] for camera in cameras] == [False], "only the one that was good"


def refusal(iris: RunningIris, change: dict[str, Any], name: str) -> str:
    """What is wrong with the answer to a bad camera; empty when it is right."""
    body = json.dumps({"name": "Door", "rtsp_url": ADDRESS, **change})
    answer = iris.call("POST", "/api/cameras", content=body, headers={"Content-Type": "application/json"})
    fields = [item["field"] for item in answer.json().get("errors", [])]
    repeats = CANARY in answer.text.replace(name, "") if name == CANARY else CANARY in answer.text
    if answer.status_code == 422 and is_problem(answer) and fields == [name] and not repeats:
        return ""
    return f"{change}: {answer.status_code} {answer.text}"


def refusal_elsewhere(iris: RunningIris, method: str, path: str, headers: dict[str, str], status: int) -> str:
    """The same of another request."""
    answer = iris.call(method, path, headers=headers)
    repeats = CANARY in answer.text and f"?{CANARY}" not in path  # an unknown parameter is named
    if answer.status_code == status and is_problem(answer) and not repeats:
        return ""
    return f"{method} {path}: {answer.status_code} {answer.text}"


def key_in_query(iris: RunningIris) -> list[str]:
    """A key in an address would end up in logs and histories: it opens nothing."""
    base = f"http://127.0.0.1:{iris.port}/api/cameras"
    answers = [
        httpx.get(base, params={name: iris.key}, timeout=10) for name in ("api_key", "key", "token", "access_token")
    ]
    return [str(answer.status_code) for answer in answers if answer.status_code != 401] + (
        ["the key is in the log"] if iris.key in iris.log().partition("/api/cameras?")[2] else []
    )


def masked_edit(iris: RunningIris) -> list[str]:
    """A masked address keeps its password only for the same host; a camera that is off starts no process."""
    camera = iris.add_camera(rtsp_url=ADDRESS, enabled=False)
    path = f"/api/cameras/{camera['id']}"
    problems = []
    for target in ("rtsp://***@127.0.0.2:9/stream", "rtsp://***@127.0.0.1:10/stream", "rtsps://***@127.0.0.1:9/stream"):
        answer = iris.call("PATCH", path, json={"rtsp_url": target})
        if answer.status_code != 422 or answer.json()["errors"][0]["field"] != "rtsp_url" or CANARY in answer.text:
            problems.append(f"{target}: {answer.status_code} {answer.text}")
    if iris.call("GET", path).json()["rtsp_url"] != "rtsp://***@127.0.0.1:9/stream":
        problems.append("the address changed")
    return problems


def is_problem(answer: httpx.Response) -> bool:
    """Problem details with a sentence."""
    return answer.headers["content-type"] == "application/problem+json" and bool(answer.json()["detail"])
