"""Stopping a camera for good: by a look into the database, and proven by its lock."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from iris.adapters.process import hold_lock
from iris.base.errors import InputError, UnavailableError
from iris.base.ids import CameraId
from tests.builders.events import CAMERA_ID
from workers.camera_switch import NodeCameraSwitch
from workers.node_cameras import Look
from workers.supervisor import Applied


class FakeKeeper:
    """A keeper that looks as told."""

    def __init__(self) -> None:
        self.answers, self.looks, self.changes = True, 0, 0

    async def look(self, _read: object) -> Look:
        self.looks += 1
        return Look(Applied(), frozenset(), self.answers)

    def changed(self) -> None:
        self.changes += 1


def switch_of(keeper: FakeKeeper, data_dir: Path, running: set[CameraId]) -> NodeCameraSwitch:
    return NodeCameraSwitch(keeper, dict, running.__contains__, data_dir)  # type: ignore[arg-type]  # what it uses of a keeper


async def test_stop_returns_once_the_camera_is_neither_wanted_nor_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.camera_switch._LOCK_PATIENCE_S", 0.1)
    keeper, running = FakeKeeper(), {CameraId(CAMERA_ID)}
    switch = switch_of(keeper, tmp_path, running)
    keeper.answers = False
    with pytest.raises(UnavailableError, match="does not answer"):
        await asyncio.to_thread(switch.stop, CAMERA_ID)
    keeper.answers = True
    with pytest.raises(UnavailableError, match="still wants"):
        await asyncio.to_thread(switch.stop, CAMERA_ID)
    running.clear()
    lock = hold_lock(tmp_path / "node" / f"{CAMERA_ID}.lock", patience_s=0)
    with pytest.raises(UnavailableError, match="not ended"):
        await asyncio.to_thread(switch.stop, CAMERA_ID)
    os.close(lock)
    await asyncio.to_thread(switch.stop, CAMERA_ID)
    assert keeper.looks == 4


async def test_stop_refuses_what_is_no_id(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        await asyncio.to_thread(switch_of(FakeKeeper(), tmp_path, set()).stop, "../x")


async def test_resume_has_the_node_look_again(tmp_path: Path) -> None:
    keeper = FakeKeeper()
    await asyncio.to_thread(switch_of(keeper, tmp_path, set()).resume, CAMERA_ID)
    await asyncio.sleep(0)
    assert keeper.changes == 1
