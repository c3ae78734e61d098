"""An event after the wall clock was set back is kept and assembled like any other, though older footage ends later."""

from __future__ import annotations

from pathlib import Path

import pytest

from iris.base.ids import RunId
from iris.contracts.events import AssembleClip
from iris.domain.camera import CameraTuning
from iris.domain.segment import GapReason
from iris.outbox.segments import RunRow
from iris.pipeline.clip_workshop import NodeClipWorkshop, NodeHooks
from tests.builders.drain_camera import SPEC, T0, DrainCamera, S
from tests.builders.events import uuid_of

EVENT = uuid_of(1)


def set_back(camera: DrainCamera) -> None:
    """Two hours, between two sessions with the camera."""
    camera.lose_camera(GapReason.STREAM_CHANGED)
    camera.clock.step_wall_us(-7200 * S)
    camera.index.close_gap(camera.clock.wall_us())
    camera.index.begin_run(RunRow(RunId("after"), camera.clock.wall_us(), "params", "h264", 1280, 720, ""))


@pytest.fixture
def camera(tmp_path: Path) -> DrainCamera:
    made = DrainCamera(tmp_path)
    made.play(20)
    set_back(made)
    return made


def test_post_roll_is_pinned_when_the_clock_was_set_back_before_the_event(camera: DrainCamera) -> None:
    began_s = camera.now_s
    camera.play(began_s + 10)
    camera.play(began_s + 14.6, person=True)
    camera.drain.close_open_event()  # before its post-roll is recorded
    camera.play(began_s + 30)

    (event_id,) = {message.event_id for message in camera.messages}
    closed = camera.messages[-1]
    assert closed.window_end_us is not None
    wanted = [s for s in range(0, 30, 2) if closed.window_start_us - 2 * S < T0 + round((began_s + s) * S)]
    wanted = [s for s in wanted if T0 + round((began_s + s) * S) < closed.window_end_us]
    # Footage from before the step, of a later wall time, may be kept along; nothing of the window may be missing.
    assert set(wanted) <= {round(s - began_s) for s in camera.pinned_s(event_id)}


def test_clip_waits_for_its_last_segment_when_the_clock_was_set_back_before_the_event(camera: DrainCamera) -> None:
    hooks = NodeHooks(is_running=lambda _c: True, post_us=lambda _c: 0, mark_terminal=lambda _c, _e: None)
    workshop = NodeClipWorkshop(camera.data_dir, camera.reader, camera.reader, camera.clock, hooks)
    began_us = camera.clock.wall_us()
    camera.play(camera.now_s + 10)
    request = AssembleClip(EVENT, SPEC.camera_id, began_us + 2 * S, began_us + 11 * S)
    assert not workshop.settled(request)
    camera.play(camera.now_s + 2)
    assert workshop.settled(request)


def test_newest_footage_is_kept_within_the_budget_when_the_clock_was_set_back(tmp_path: Path) -> None:
    camera = DrainCamera(tmp_path, tuning=CameraTuning(pin_budget_seconds=8))
    camera.play(10)
    camera.play(14, person=True)
    camera.play(20)
    set_back(camera)
    began_s = camera.now_s
    camera.play(began_s + 4)
    camera.play(began_s + 12, person=True)

    newest = camera.messages[-1].event_id
    assert [round(s - began_s) for s in camera.pinned_s(newest)] == [4, 6, 8, 10]
