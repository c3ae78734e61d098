"""Iris as separate parts, as on several hosts: the test itself plays the one who deploys and restarts them."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import psutil

from tests.e2e.running_iris import RunningIris, wait_until

_KEY = "key-of-the-fault-tests-0123456789"
PARTS = ("node", "worker", "api")


class SeparateIris(RunningIris):
    """`iris node`, `iris worker` and `iris api` without `iris up`, against a Temporal server beside them."""

    def __init__(self, data_dir: Path, temporal_port: int, **settings: str) -> None:
        address = f"127.0.0.1:{temporal_port}"
        super().__init__(data_dir, **settings, TEMPORAL_ADDRESS=address, API_KEY=_KEY)
        self.temporal_port = temporal_port
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def key(self) -> str:
        """The key of the settings."""
        return _KEY

    def start(self, *, wait: bool = True) -> Self:
        """Start all parts."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        for name in PARTS:
            self.start_part(name)
        if wait:
            wait_until(lambda: self.health().get("status") == "ok", 60, f"health ok; log: {self.log()[-3000:]}")
        return self

    def start_part(self, name: str) -> subprocess.Popen[bytes]:
        """Start one part, in place of the one that was called so."""
        with self.log_path.open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "workers.cli", name], env=self.environment, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        return self.running[name]

    def end_part(self, name: str, sig: signal.Signals, patience_s: float = 20.0) -> float:
        """Signal a part and wait for its end; the seconds it took."""
        began = time.monotonic()
        process = self.running[name]
        process.send_signal(sig)
        process.wait(patience_s)
        return time.monotonic() - began

    def kill_everything(self) -> None:
        """kill -9 of all parts and their children."""
        everybody = [psutil.Process(p.pid) for p in self.running.values() if p.poll() is None]
        everybody += [child for process in everybody for child in process.children(recursive=True)]
        for process in everybody:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for part in self.running.values():
            part.wait(10)
        psutil.wait_procs(everybody, timeout=10)

    def stop(self, patience_s: float = 20.0, sig: signal.Signals = signal.SIGTERM) -> float:
        """SIGTERM to all parts; fails if it takes longer. Returns the seconds it took."""
        began = time.monotonic()
        for process in self.running.values():
            process.send_signal(sig)
        for name, process in self.running.items():
            try:
                process.wait(max(0.1, began + patience_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.kill_everything()
                raise AssertionError(f"iris {name} did not stop within {patience_s} s") from None
        return time.monotonic() - began

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill_everything()
            sys.stderr.write(self.log()[-6000:])
