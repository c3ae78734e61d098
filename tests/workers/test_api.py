"""The api as a process: starts, answers, stops; and the settings that it refuses."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from iris.base.errors import ConfigError
from iris.config import Settings
from workers.listening import bind_tcp
from workers.wiring.api import access_of, build_services

ROOT = Path(__file__).parents[2]
KEY = "process-key-0123456789"
DEADLINE_S = 60.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _api(folder: Path, port: int, **settings: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATA_DIR": str(folder / "data"), "PORT": str(port),
        "TEMPORAL_ADDRESS": "127.0.0.1:1", "API_KEY": KEY, **settings,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli", "api"], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _until(port: int, path: str, status: int) -> httpx.Response:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            response = httpx.get(f"http://127.0.0.1:{port}{path}", headers={"Authorization": f"Bearer {KEY}"})
            if response.status_code == status:
                return response
        except httpx.HTTPError:
            pass
        assert time.monotonic() < deadline, f"{path} never answered {status}"
        time.sleep(0.05)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_api_answers_and_stops_with_code_0_when_told(tmp_path: Path, signum: signal.Signals) -> None:
    port = _free_port()
    with _api(tmp_path, port) as process:
        assert _until(port, "/api/cameras", 200).json() == {"items": [], "next_cursor": None}
        body = {"name": "Door", "rtsp_url": "rtsp://u:CANARY@192.0.2.1/a"}
        created = httpx.post(
            f"http://127.0.0.1:{port}/api/cameras", json=body, headers={"Authorization": f"Bearer {KEY}"}
        )
        assert (created.status_code, httpx.get(f"http://127.0.0.1:{port}/api/cameras").status_code) == (201, 401)
        assert httpx.get(f"http://127.0.0.1:{port}/health").json()["status"] == "degraded"
        process.send_signal(signum)
        _, printed = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, printed
    assert "CANARY" not in printed
    assert KEY not in printed
    assert b"CANARY" not in b"".join(path.read_bytes() for path in (tmp_path / "data").glob("vms.db*"))


def test_api_answers_health_while_the_database_is_away(tmp_path: Path) -> None:
    port = _free_port()
    with _api(tmp_path, port, DATABASE_URL="postgresql://iris:CANARY@127.0.0.1:1/iris") as process:
        assert _until(port, "/health", 200).json()["status"] == "degraded"
        assert _until(port, "/api/cameras", 503).json()["code"] == "store_error"
        process.send_signal(signal.SIGTERM)
        _, printed = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, printed
    assert "CANARY" not in printed


def test_api_ends_with_a_sentence_when_the_port_is_taken(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with _api(tmp_path, port) as process:
            _, printed = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 2
    assert f"PORT {port} is in use" in printed
    assert "Traceback" not in printed


def test_api_ends_with_a_sentence_when_the_database_is_another_ones(tmp_path: Path) -> None:
    port = _free_port()
    footage = tmp_path / "data" / "recordings" / "x"
    footage.mkdir(parents=True)
    (footage / "clip.mp4").write_bytes(b"x")
    with _api(tmp_path, port) as process:
        _, printed = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "holds footage of one; restore that database" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.1", "::"])
def test_access_refuses_to_be_open_when_other_machines_could_ask(tmp_path: Path, address: str) -> None:
    settings = Settings(data_dir=tmp_path, auth_required=False, bind_address=address)
    with pytest.raises(ConfigError, match="BIND_ADDRESS"):
        access_of(settings)


def test_access_takes_the_key_of_the_settings_then_of_the_file(tmp_path: Path) -> None:
    assert access_of(Settings(data_dir=tmp_path)).api_key is None
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "api_key").write_text("of-the-file\n")
    assert access_of(Settings(data_dir=tmp_path)).api_key == b"of-the-file"
    assert access_of(Settings(data_dir=tmp_path, api_key=SecretStr("given"))).api_key == b"given"


def test_services_take_camera_defaults_from_the_settings(tmp_path: Path) -> None:
    settings = Settings(
        data_dir=tmp_path, pre_seconds=3, post_seconds=4, trigger_cooldown=5, detect_fps=6, manual_max_seconds=7
    )
    services = build_services(settings)
    defaults = services.defaults
    assert (defaults.pre_seconds, defaults.post_seconds, defaults.trigger_cooldown, defaults.detect_fps) == (3, 4, 5, 6)
    assert defaults.most_pre_seconds == 114
    assert services.manual_max_seconds == 7
    services.store.close()


def test_bind_tcp_makes_a_socket_that_asyncio_sends_from_at_once() -> None:
    with bind_tcp("127.0.0.1", 0) as bound:
        assert bound.proto == socket.IPPROTO_TCP


def test_bind_tcp_names_the_address_when_it_is_none_of_this_machine() -> None:
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1"):
        bind_tcp("192.0.2.1", 8120)
