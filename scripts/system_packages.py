"""Finds the system packages that only tests need: `python3 scripts/system_packages.py [--install]`.

With `--install` as root on Debian the missing ones are installed; otherwise the one line to run is printed. Never fails
the set-up: a test that misses its program is skipped and says so, and fails where CI=true. Standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Need:
    """One thing that tests use, and the Debian packages that bring it."""

    purpose: str
    packages: tuple[str, ...]
    is_there: Callable[[], bool]


def _gst_is_there() -> bool:
    program = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    python = Path("/usr/bin/python3")  # gi belongs to the system's Python, not to the environment's
    if not python.exists():
        return False
    if subprocess.run([python, "-c", program], check=False, capture_output=True).returncode != 0:
        return False
    plugins = list(Path("/usr/lib").glob("*/gstreamer-1.0/libgst*.so")) + list(
        Path("/usr/lib64").glob("gstreamer-1.0/libgst*.so")
    )
    return {"libgstisomp4.so", "libgstrtp.so", "libgstvideoparsersbad.so"} <= {plugin.name for plugin in plugins}


def _postgres_is_there() -> bool:
    return shutil.which("postgres") is not None or any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


NEEDS = (
    Need("PostgreSQL, the other database", ("postgresql",), _postgres_is_there),
    Need("a camera that nobody here wrote", (
        "gir1.2-gst-rtsp-server-1.0", "python3-gi", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good",
        "gstreamer1.0-plugins-bad",
    ), _gst_is_there),
    Need("an independent player and prober", ("ffmpeg",), lambda: shutil.which("ffprobe") is not None),
)  # fmt: skip


def missing_packages() -> list[str]:
    """Debian packages of everything that is not there."""
    return [package for need in NEEDS if not need.is_there() for package in need.packages]


def install_line(packages: list[str]) -> str:
    """The one line that a person runs."""
    return "apt-get update && apt-get install -y --no-install-recommends " + " ".join(packages)


def main() -> int:
    """Install what is missing where that is allowed, else say how."""
    missing = missing_packages()
    if not missing:
        return 0
    if "--install" in sys.argv[1:] and os.geteuid() == 0 and shutil.which("apt-get"):
        print("set-up: installing", " ".join(missing), file=sys.stderr, flush=True)
        settings = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        if (
            subprocess.run(
                install_line(missing), shell=True, check=False, env=settings, stdout=subprocess.DEVNULL
            ).returncode
            == 0
        ):
            return 0
    print("set-up: some tests will be skipped; to run them, as root:", file=sys.stderr)
    print(f"  {install_line(missing)}", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
