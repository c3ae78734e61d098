"""Harness of `gst_camera_server.py`: starts it, reads what it says, stops it."""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import quote

SYSTEM_PYTHON = Path("/usr/bin/python3")
_SERVER = Path(__file__).with_name("gst_camera_server.py")
_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 10.0


def gst_is_available() -> bool:
    """Whether the system's Python can run the server."""
    program = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    if not SYSTEM_PYTHON.exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", program], capture_output=True, check=False).returncode == 0


@dataclass(slots=True)
class _Heard:
    """What the server said: the wall time of each word."""

    port: int = 0
    wall_us: dict[str, list[int]] = field(default_factory=dict)


class GstCamera:
    """A film served once by gst-rtsp-server; a context manager."""

    def __init__(self, video: Path, *, password: str = "walk-in", sound: bool = False, auth: str = "digest") -> None:
        self._video = video
        self._password = password
        self._arguments = ["--auth", auth, *(["--sound"] if sound else [])]
        self._heard = _Heard()
        self._changed = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        command: list[str | Path] = [SYSTEM_PYTHON, _SERVER, self._video, *self._arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write(self._password + "\n")
        self._process.stdin.close()
        self._reader = threading.Thread(target=self._read, name="gst-camera", daemon=True)
        self._reader.start()
        if not self._wait_for("listening", 1, _START_TIMEOUT_S):
            self.stop()
            raise RuntimeError("gst-rtsp-server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and what it plays."""
        if self._process is None or self._reader is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_STOP_TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def url(self) -> str:
        """Address with user name and password."""
        return f"rtsp://viewer:{quote(self._password, safe='')}@127.0.0.1:{self._heard.port}/film"

    @property
    def playing_wall_us(self) -> list[int]:
        """When the film began to play, for each viewer; the first picture leaves at that moment."""
        with self._changed:
            return list(self._heard.wall_us.get("playing", []))

    def wait_for_play(self, timeout_s: float, count: int = 1) -> bool:
        """Wait until the film has begun for the `count`-th viewer."""
        return self._wait_for("playing", count, timeout_s)

    def wait_for_end(self, timeout_s: float) -> bool:
        """Wait until the film has run once and was taken off the server."""
        return self._wait_for("finished", 1, timeout_s)

    def _wait_for(self, word: str, count: int, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: len(self._heard.wall_us.get(word, [])) >= count, timeout_s)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            with self._changed:
                self._heard.port = message.get("port", self._heard.port)
                self._heard.wall_us.setdefault(message["event"], []).append(message["wall_us"])
                self._changed.notify_all()
