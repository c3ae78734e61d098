"""Manual recording on a drain with real files: durable before it is answered, one at a time, over in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from iris.base.errors import DiskFullError
from iris.contracts.events import EventMessage
from iris.domain.camera import CameraTuning
from iris.domain.event import OpenEvent
from iris.domain.recording import ManualAnswer
from iris.outbox.writer import EventOutbox
from tests.builders.drain_camera import SPEC, T0, DrainCamera, S


@pytest.fixture
def camera(tmp_path: Path) -> DrainCamera:
    camera = DrainCamera(tmp_path)
    camera.play(10)
    return camera


def start(camera: DrainCamera, seconds: float | None = None) -> ManualAnswer:
    answers: list[ManualAnswer] = []
    camera.drain.start_recording(answers.append, seconds)
    camera.drain.step()
    [answer] = answers
    return answer


def stop(camera: DrainCamera) -> ManualAnswer:
    answers: list[ManualAnswer] = []
    camera.drain.stop_recording(answers.append)
    camera.drain.step()
    [answer] = answers
    return answer


def recording(answer: ManualAnswer) -> OpenEvent:
    assert answer.event is not None
    return answer.event


def test_recording_is_accepted_with_its_preroll_pinned_when_it_is_answered(camera: DrainCamera) -> None:
    answer = start(camera)

    [opened] = camera.messages
    assert (opened.kind, opened.labels, opened.seq, opened.backend) == ("opened", ("manual",), 1, "manual")
    assert (opened.started_us, opened.window_start_us) == (T0 + 10 * S, T0 + 8 * S)
    assert answer.fresh
    assert recording(answer).event_id == opened.event_id
    assert camera.pinned_s(opened.event_id) == [8]
    assert camera.drain.manual_event is not None


def test_second_start_answers_with_the_running_one(camera: DrainCamera) -> None:
    first = start(camera)
    camera.play(12)
    second = start(camera)

    assert not second.fresh
    assert recording(second).event_id == recording(first).event_id
    assert [message.kind for message in camera.messages] == ["opened"]


def test_stop_closes_it_where_it_was_stopped(camera: DrainCamera) -> None:
    event_id = recording(start(camera)).event_id
    camera.play(16)
    answer = stop(camera)
    camera.play(20)

    closed = camera.messages[-1]
    assert (closed.kind, closed.end_reason, closed.window_end_us) == ("closed", "stopped", T0 + 16 * S)
    assert answer.fresh
    assert recording(answer).last_seen_us == T0 + 16 * S
    assert camera.pinned_s(event_id) == [8, 10, 12, 14]
    assert camera.drain.manual_event is None


def test_stop_without_a_recording_finds_nothing(camera: DrainCamera) -> None:
    assert stop(camera) == ManualAnswer(None)
    assert camera.messages == []


def test_stop_at_once_leaves_a_second_of_window(camera: DrainCamera) -> None:
    start(camera)
    stop(camera)

    assert camera.messages[-1].window_end_us == T0 + 11 * S


def test_recording_ends_by_itself_when_its_longest_time_is_over(camera: DrainCamera) -> None:
    start(camera, 6)
    camera.play(30)

    closed = camera.messages[-1]
    assert (closed.kind, closed.end_reason, closed.window_end_us) == ("closed", "max_length", T0 + 16 * S)


def test_asked_length_never_exceeds_the_setting(tmp_path: Path) -> None:
    camera = DrainCamera(tmp_path, tuning=CameraTuning(manual_max_seconds=4))
    camera.play(10)
    start(camera, 3600)
    camera.play(20)

    assert camera.messages[-1].window_end_us == T0 + 14 * S


def test_recording_goes_on_after_the_process_was_killed(camera: DrainCamera) -> None:
    event_id = recording(start(camera, 20)).event_id
    camera.play(14)
    camera.kill()
    camera.clock.advance_us(4 * S)
    camera.start()

    assert camera.drain.manual_event is not None
    assert camera.drain.manual_event.event_id == event_id
    assert not start(camera).fresh
    camera.play(60)
    kinds = [message.kind for message in camera.messages]
    assert (kinds[0], kinds[-1], kinds.count("closed")) == ("opened", "closed", 1)
    assert camera.messages[-1].window_end_us == T0 + 30 * S


def test_recording_is_over_at_its_time_when_the_process_was_away_for_longer(camera: DrainCamera) -> None:
    start(camera, 20)
    camera.kill()
    camera.clock.advance_us(3600 * S)
    camera.start()
    camera.drain.step()

    closed = camera.messages[-1]
    assert (closed.kind, closed.end_reason, closed.window_end_us) == ("closed", "max_length", T0 + 30 * S)


def test_recording_lasts_no_longer_when_the_wall_clock_is_set_back(camera: DrainCamera) -> None:
    start(camera, 20)
    camera.play(14)
    camera.clock.step_wall_us(-7200 * S)
    stop(camera)

    closed = camera.messages[-1]
    assert closed.started_us <= closed.last_seen_us <= (closed.window_end_us or 0) <= T0 + 30 * S


def test_presence_and_recording_are_two_events_when_both_are_open(camera: DrainCamera) -> None:
    manual = recording(start(camera)).event_id
    camera.play(16, person=True)
    presence = camera.drain.open_event
    assert presence is not None
    stop(camera)
    camera.play(40)

    ends = {message.event_id: message for message in camera.messages if message.kind == "closed"}
    assert set(ends) == {manual, presence.event_id}
    assert ends[manual].window_end_us == T0 + 16 * S
    assert ends[presence.event_id].end_reason == "left"


def test_switching_the_camera_off_ends_the_recording(camera: DrainCamera) -> None:
    start(camera)
    camera.play(14)
    camera.drain.close_open_event()
    camera.drain.step()

    assert (camera.messages[-1].kind, camera.messages[-1].end_reason) == ("closed", "stopped")


def test_running_recording_is_never_forgotten(camera: DrainCamera) -> None:
    event_id = recording(start(camera)).event_id
    camera.drain.forget([event_id])
    camera.drain.step()

    assert camera.messages
    assert camera.pinned_s(event_id) == [8]


class FullOnce(EventOutbox):
    """The disk is full when the first row of an event is to be stored."""

    full = True

    def append(self, message: EventMessage, continued_by: OpenEvent | None = None) -> EventMessage | None:
        if self.full:
            raise DiskFullError("the disk is full")
        return super().append(message, continued_by)


def test_recording_begins_as_soon_as_the_disk_takes_it_when_it_was_full(tmp_path: Path) -> None:
    outboxes: list[FullOnce] = []

    def full(outbox: EventOutbox) -> EventOutbox:
        outboxes.append(FullOnce(outbox._db, outbox._clock))
        return outboxes[-1]

    camera = DrainCamera(tmp_path, spec=SPEC, wrap_outbox=full)
    camera.play(10, step=False)
    answers: list[ManualAnswer] = []
    camera.drain.start_recording(answers.append)
    with pytest.raises(DiskFullError):
        camera.drain.step()
    assert answers[0].failure == "the disk is full"
    outboxes[-1].full = False
    camera.drain.step()

    assert [message.kind for message in camera.messages] == ["opened"]
