"""Writes web/api/openapi.json, the description that clients are generated from: `python -m scripts.export_openapi`."""

from __future__ import annotations

from pathlib import Path

import orjson

from web.api.app import build_routes
from workers.version import VERSION

TARGET = Path(__file__).resolve().parents[1] / "web" / "api" / "openapi.json"


def render() -> bytes:
    """The description as the file holds it."""
    return orjson.dumps(build_routes(VERSION).openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


if __name__ == "__main__":
    TARGET.write_bytes(render())
