"""The drain when it is killed, or the disk fails, at any step: what is left is whole, and the next start finishes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from iris.adapters.media_files import unlink_durably
from iris.adapters.pending import PendingFiles
from iris.adapters.pins import pinned_events
from iris.base.errors import StorageError
from iris.base.stop import StopToken
from iris.domain.camera import CameraTuning
from iris.domain.segment import Segment
from iris.outbox.writer import EventOutbox
from tests.builders.drain_camera import SPEC, T0, DrainCamera, S
from tests.builders.events import uuid_of

EVENT = uuid_of(1)


@pytest.fixture
def camera(tmp_path: Path) -> DrainCamera:
    return DrainCamera(tmp_path)


class KilledError(Exception):
    """Stands for the end of the process in the middle of a step."""


class Bomb:
    """Goes off at the n-th call of a method that writes, before or after it has worked."""

    def __init__(self, at: int, *, after: bool, error: type[Exception]) -> None:
        self.left = at
        self._after, self._error = after, error

    def arm(self, target: Any, names: tuple[str, ...]) -> Any:
        for name in names:
            setattr(target, name, self._around(getattr(target, name)))
        return target

    def _around(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self._after:
                raise self._error("cut off before a step")
            result = method(*args, **kwargs)
            if self.left == 0:
                raise self._error("cut off after a step")
            return result

        return call


FILE_STEPS = ("pin", "unpin", "release", "save_thumbnail")
OUTBOX_STEPS = ("begin", "append", "touch", "drop_window", "forget", "record_dropped")


def _story(camera: DrainCamera) -> None:
    """Two events, one going on from the other, then nobody; whatever was handed over is finished."""
    camera.play(4)
    camera.play(15, person=True)
    camera.play(26)


def _assert_whole(camera: DrainCamera) -> None:
    """What holds whenever the process may die."""
    outbox = EventOutbox(camera.db, camera.clock)
    kept = outbox.load_open_event()
    rows = camera.messages
    known = set(outbox.event_ids())
    assert pinned_events(camera.data_dir) <= known  # no pin without its event
    for event_id in known:
        mine = [message for message in rows if message.event_id == event_id]
        assert [message.seq for message in mine] == list(range(1, len(mine) + 1))
        is_open = kept is not None and kept.event_id == event_id
        if is_open:
            assert kept is not None
            assert kept.seq == len(mine)
            assert [message for message in mine if message.kind == "closed"] == []
        else:
            assert [message.kind for message in mine].count("closed") == 1
            assert mine[-1].kind == "closed"
        if mine:
            assert mine[0].kind == "opened"
            assert mine[0].has_thumbnail
            recorded = camera.reader.segments_between(SPEC.camera_id, mine[0].window_start_us, mine[0].started_us)
            durable_then = {(s.start_us - T0) / S for s in recorded if s.end_us <= mine[0].started_us}
            assert durable_then <= set(camera.pinned_s(event_id))


def _armed(data_dir: Path, bomb: Bomb) -> DrainCamera:
    return DrainCamera(
        data_dir,
        tuning=CameraTuning(event_max_seconds=8),
        looks_per_s=1,
        wrap_files=lambda files: bomb.arm(files, FILE_STEPS),
        wrap_outbox=lambda outbox: bomb.arm(outbox, OUTBOX_STEPS),
    )


def _step_count(tmp_path: Path) -> int:
    bomb = Bomb(10**9, after=False, error=KilledError)
    _story(_armed(tmp_path, bomb))
    return 10**9 - bomb.left


@pytest.mark.parametrize("after", [False, True])
def test_killed_at_any_step_state_is_whole_and_the_next_start_finishes(tmp_path: Path, after: bool) -> None:
    count = _step_count(tmp_path / "counted")
    assert count > 20
    for at in range(1, count + 1):
        bomb = Bomb(at, after=after, error=KilledError)
        camera = _armed(tmp_path / str(at), bomb)
        with pytest.raises(KilledError):
            _story(camera)
        died_s = camera.now_s
        _assert_whole(camera)
        camera.kill()

        bomb.left = 0  # it has gone off; the next process is whole
        camera.start()
        camera.play(max(15.0, died_s), person=True)
        camera.play(max(15.0, died_s) + 12)

        _assert_whole(camera)
        assert camera.drain.open_event is None
        assert EventOutbox(camera.db, camera.clock).closed_windows() == []
        continued = {message.continues for message in camera.messages}
        assert all(m.event_id in continued for m in camera.messages if m.end_reason == "max_length")
        covered = [(m.window_start_us, m.window_end_us or 0) for m in camera.messages if m.kind == "closed"]
        for second in range(6, 15):
            assert any(start <= T0 + second * S <= end for start, end in covered), (at, second)
        camera.kill()


@pytest.mark.parametrize("after", [False, True])
def test_failing_disk_at_any_step_loses_and_doubles_nothing(tmp_path: Path, after: bool) -> None:
    whole = DrainCamera(tmp_path / "whole", tuning=CameraTuning(event_max_seconds=8), looks_per_s=1)
    _story(whole)
    expected = [(m.event_id, m.started_us, m.last_seen_us, m.window_end_us) for m in whole.messages if m.window_end_us]
    for at in range(1, _step_count(tmp_path / "counted") + 1):
        camera = _armed(tmp_path / str(at), Bomb(at, after=after, error=StorageError))
        for until_s, person in ((4.0, False), (15.0, True), (26.0, False)):
            while camera.now_s < until_s:
                with suppress(StorageError):
                    camera.play(until_s, person=person)
        camera.drain.step()

        closed = [
            (m.event_id, m.started_us, m.last_seen_us, m.window_end_us) for m in camera.messages if m.window_end_us
        ]
        assert closed == expected
        for message in (message for message in camera.messages if message.kind == "closed"):
            seqs = [m.seq for m in camera.messages if m.event_id == message.event_id]
            assert seqs == list(range(1, len(seqs) + 1))
            needed = camera.reader.segments_between(SPEC.camera_id, message.window_start_us, message.window_end_us or 0)
            assert {(s.start_us - T0) / S for s in needed} <= set(camera.pinned_s(message.event_id)), at
        camera.kill()


def test_segment_gone_before_its_pin_is_said_once_and_stops_nothing(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(11, person=True)
    gone = camera.record(9, 9.5)
    unlink_durably(camera.data_dir / gone.path)
    camera.play(16, person=True)

    assert camera.pinned_s(EVENT) == [8, 10, 12, 14]


def test_drain_thread_goes_on_when_something_unforeseen_fails(tmp_path: Path) -> None:
    class FailsOnce(PendingFiles):
        failed = threading.Event()

        def pin(self, event_id: str, segment: Segment) -> bool:
            if not self.failed.is_set():
                self.failed.set()
                raise ValueError("a bug")
            return super().pin(event_id, segment)

    files = FailsOnce(tmp_path)
    camera = DrainCamera(tmp_path, wrap_files=lambda _: files)
    opened, stop = threading.Event(), StopToken()
    camera.drain._parts = replace(camera.drain._parts, notify=opened.set)
    camera.play(10)
    camera.play(11, person=True, step=False)
    thread = threading.Thread(target=camera.drain.run, args=(stop,))
    thread.start()
    try:
        assert opened.wait(10)
    finally:
        stop.stop()
        thread.join(10)
    assert files.failed.is_set()
    assert camera.pinned_s(EVENT) == [8]
