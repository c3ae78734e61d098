"""A whole Iris for a test: `iris up` on free ports and a folder of its own, driven from outside as a user would."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil

# What a part's command line holds, by the name a test uses for it.
PARTS = {
    "camera": "workers.camera",
    "node": "workers.cli node",
    "worker": "workers.cli worker",
    "api": "workers.cli api",
    "temporal": "start-dev",
}


def free_port() -> int:
    """A TCP port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], Any], seconds: float, what: str, every_s: float = 0.05) -> Any:
    """The first true value of `condition`, polled; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every_s)


class RunningIris:
    """`iris up` as a child; a context manager that stops it and checks that nothing is left."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.temporal_port = free_port()
        self.ui_port = free_port()
        known = {"PATH", "HOME", "LANG", "XDG_CACHE_HOME", "TMPDIR", "VIRTUAL_ENV"}
        self.environment = {name: value for name, value in os.environ.items() if name in known} | {
            "DATA_DIR": str(data_dir),
            "MODELS_DIR": str(data_dir / "no-models"),
            "PORT": str(self.port),
            "TEMPORAL_PORT": str(self.temporal_port),
            "TEMPORAL_UI_PORT": str(self.ui_port),
            "DETECTOR_DEVICE": "cpu",
            **settings,
        }
        self.log_path = data_dir.parent / f"{data_dir.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._descendants: dict[int, psutil.Process] = {}

    def start(self, *, wait: bool = True) -> Self:
        """Start it; with `wait`, until the api answers and says ok."""
        log = self.log_path.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workers.cli", "up"], env=self.environment, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        log.close()
        if wait:
            wait_until(lambda: self.health().get("status") == "ok", 60, f"health ok; log: {self.log()[-3000:]}")
        return self

    def health(self) -> dict[str, Any]:
        """`/health`, or {} while nothing answers."""
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/health", timeout=5)
        except httpx.HTTPError:
            return {}
        body: dict[str, Any] = answer.json() if answer.status_code == 200 else {}
        return body

    @property
    def key(self) -> str:
        """The key that the first start made."""
        return (self.data_dir / "secrets" / "api_key").read_text().strip()

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        """One request with the key."""
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        return httpx.request(
            method, f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=30, **options
        )  # fmt: skip

    def add_camera(self, **body: Any) -> dict[str, Any]:
        """POST a camera; the answer's body."""
        answer = self.call("POST", "/api/cameras", json={"name": "test", **body})
        assert answer.status_code == 201, answer.text
        camera: dict[str, Any] = answer.json()
        return camera

    def status(self, camera_id: str) -> dict[str, Any]:
        """Live status of a camera."""
        body: dict[str, Any] = self.call("GET", f"/api/cameras/{camera_id}/status").json()
        return body

    def events(self, **filters: Any) -> list[dict[str, Any]]:
        """All events, oldest first."""
        try:
            items: list[dict[str, Any]] = self.call("GET", "/api/events", params={"limit": 200, **filters}).json()[
                "items"
            ]
        except httpx.HTTPError:
            return []
        return items[::-1]

    def terminal_events(self, **filters: Any) -> list[dict[str, Any]]:
        """Those that reached their end."""
        return [event for event in self.events(**filters) if event["state"] in ("ready", "partial", "failed")]

    def part(self, name: str) -> psutil.Process | None:
        """The process of a part (see PARTS), if it runs now."""
        assert self.process is not None
        try:
            children = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return None
        for child in children:
            self._descendants[child.pid] = child
            try:
                if PARTS[name] in " ".join(child.cmdline()) and child.status() != psutil.STATUS_ZOMBIE:
                    return child
            except psutil.NoSuchProcess:
                continue
        return None

    def kill(self, name: str) -> None:
        """kill -9 of one part, by its pid."""
        process = wait_until(lambda: self.part(name), 20, f"part {name} runs")
        process.kill()
        process.wait(10)

    def kill_everything(self) -> None:
        """kill -9 of `iris up` and all its descendants at once."""
        assert self.process is not None
        top = psutil.Process(self.process.pid)
        everybody = [top, *top.children(recursive=True)]
        for process in everybody:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.process.wait(10)
        psutil.wait_procs(everybody, timeout=10)

    def stop(self, patience_s: float = 20.0, sig: signal.Signals = signal.SIGINT) -> float:
        """Ctrl-C, or another signal; fails if it takes longer or leaves a process. Returns the seconds it took."""
        assert self.process is not None
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        began = time.monotonic()
        self.process.send_signal(sig)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill_everything()
            raise AssertionError(f"iris up did not stop within {patience_s} s: {self.log()[-3000:]}") from None
        took = time.monotonic() - began
        left = [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        for process in left:
            process.kill()
        assert not left, f"left running: {left}"
        return took

    def check(self) -> subprocess.CompletedProcess[str]:
        """`iris check` on its folder."""
        return subprocess.run(
            [sys.executable, "-m", "workers.cli", "check"], env=self.environment, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip

    def log(self) -> str:
        """Everything it said so far."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        if self.process is not None and self.process.poll() is None:
            if kind is None:
                self.stop()
            else:
                self.kill_everything()
                sys.stderr.write(self.log()[-6000:])
