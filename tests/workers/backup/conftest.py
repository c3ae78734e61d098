"""A stopped system to back up, built once a session and copied for each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from iris.adapters.vault import open_vault
from iris.store.cameras import CameraDraft
from tests.workers.backup.place import OPEN
from tests.workers.test_check_command import CAMERA, Copy, Place


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped system with a ready, a partial and an open event, and its camera; built once."""
    data_dir = tmp_path_factory.mktemp("template") / "data"
    place = Place(data_dir)
    draft = CameraDraft(
        name="Gate", rtsp_url_sealed=open_vault(data_dir).seal("rtsp://u:CANARY@192.0.2.1/", CAMERA),
        rtsp_url_masked="rtsp://***@192.0.2.1/", detect_url_sealed=None, detect_url_masked=None, enabled=True,
        recording_mode="track", trigger_classes=("person",), detect_conf=0.5, detect_fps=5, pre_seconds=1,
        post_seconds=1, trigger_cooldown=2, detector_backend=None,
    )  # fmt: skip
    with place.store.writing() as work:
        if not any(row.camera_id == CAMERA for row in work.cameras.all()):
            work.cameras.add(CAMERA, draft, 1)
    place.store.close()
    return data_dir


@pytest.fixture
def place(template: Path, tmp_path: Path) -> Iterator[Copy]:
    shutil.copytree(template, tmp_path / "data", symlinks=True)
    pinned = tmp_path / "data" / "pending" / OPEN
    for pin in pinned.glob("seg_*.mp4"):  # copying made two files of one
        pin.unlink()
        os.link(tmp_path / "data" / "segments" / CAMERA / pin.name, pin)
    copy = Copy(tmp_path / "data")
    yield copy
    copy.store.close()
