"""Finds the films and models that tests need; they are never part of the project.

`IRIS_TEST_ASSETS` names their folder (default: `shared` beside the checkout). Without one the test is skipped with
the line to run, and fails where `CI=true`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

_DEFAULT = Path(__file__).resolve().parents[2] / "shared"


def assets_dir() -> Path:
    """The folder that holds `media/` and `models/`."""
    return Path(os.environ.get("IRIS_TEST_ASSETS") or _DEFAULT)


def film(name: str) -> Path:
    """A film by its file name, such as `one-by-one.mp4`."""
    return _need(assets_dir() / "media" / name)


def model(name: str) -> Path:
    """A model by its file name, such as `yolov8n_static_640x384.onnx`."""
    return _need(assets_dir() / "models" / name)


def skip_or_fail(reason: str) -> NoReturn:
    """Something of the machine is missing: skip, but fail where `CI=true`."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing under CI=true: {reason}")
    pytest.skip(reason)


def _need(path: Path) -> Path:
    if not path.is_file():
        skip_or_fail(f"{path.name} is missing; run: export IRIS_TEST_ASSETS=<folder with media/ and models/>")
    return path
