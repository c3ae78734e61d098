"""What the films show, and how a clip is judged by a player that nobody here wrote."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

# Presences in `one-by-one.mp4`, seconds from its start; true to about half a second.
ONE_BY_ONE = ((6.5, 19.5), (22.5, 44.5), (50.5, 69.5), (74.5, 86.5), (92.5, 119.5), (123.5, 135.5))
ONE_BY_ONE_LENGTH_S = 139.4
ONE_BY_ONE_GOP_S = 1.0


def seconds(text: str) -> float:
    """Seconds since 1970 of a time on the wire."""
    return datetime.fromisoformat(text).timestamp()


def decode_errors(clip: Path) -> str:
    """What ffmpeg says while it decodes all of the clip; empty when it is whole."""
    result = subprocess.run(
        ["ffmpeg", "-v", "error", "-xerror", "-i", str(clip), "-f", "null", "-"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return result.stderr.strip() + ("" if result.returncode == 0 else f" (exit {result.returncode})")


def probe(clip: Path) -> dict[str, Any]:
    """Format and media streams as ffprobe sees them, with frames counted by decoding."""
    result = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_format", "-show_streams", "-of", "json", str(clip)],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def video_stream(probed: dict[str, Any]) -> dict[str, Any]:
    """The video stream of what `probe` found."""
    stream: dict[str, Any] = next(s for s in probed["streams"] if s["codec_type"] == "video")
    return stream
