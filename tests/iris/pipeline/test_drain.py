"""The drain on real files: events, pictures, pins and rows, and what is left when it is cut off anywhere."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from structlog.testing import capture_logs

from iris.adapters.pending import PendingFiles
from iris.adapters.pins import pinned_events, release_pins
from iris.base.errors import DiskFullError, StorageError
from iris.base.stop import StopToken
from iris.domain.camera import CameraTuning, DetectorBackend
from iris.domain.segment import GapReason, Segment
from iris.domain.track import Track, TrackState
from iris.outbox.writer import EventOutbox
from tests.builders.drain_camera import SPEC, T0, DrainCamera, S
from tests.builders.events import uuid_of
from tests.fakes.picture import FakePicture

EVENT = uuid_of(1)


@pytest.fixture
def camera(tmp_path: Path) -> DrainCamera:
    return DrainCamera(tmp_path)


def test_event_is_opened_with_its_picture_and_the_segments_before_it_when_somebody_comes(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(10.2, person=True)

    [opened] = camera.messages
    assert (opened.kind, opened.event_id, opened.seq, opened.has_thumbnail) == ("opened", EVENT, 1, True)
    assert (opened.started_us, opened.window_start_us) == (T0 + 10 * S + S // 5, T0 + 8 * S + S // 5)
    assert camera.pinned_s(EVENT) == [8]
    assert camera.notified == 1
    picture = cv2.imread(str(camera.data_dir / "pending" / EVENT / "thumbnail.jpg"))
    assert picture is not None
    assert picture.shape == (360, 640, 3)


def test_event_keeps_every_segment_of_its_window_and_is_closed_once(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(20, person=True)
    camera.play(40)

    closed = camera.messages[-1]
    assert [message.kind for message in camera.messages].count("closed") == 1
    assert (closed.started_us - T0, closed.last_seen_us - T0) == (10.2 * S, 20 * S)
    assert ((closed.window_end_us or 0) - T0, closed.end_reason) == (23 * S, "left")
    # 24 was recorded while the event was held open; what lies beyond the window goes with its release.
    assert camera.pinned_s(EVENT)[:8] == [8, 10, 12, 14, 16, 18, 20, 22]
    assert [message.seq for message in camera.messages] == list(range(1, len(camera.messages) + 1))
    assert EventOutbox(camera.db, camera.clock).closed_windows() == []
    assert camera.drain.open_event is None


def test_segment_that_ends_after_the_close_is_still_pinned(tmp_path: Path) -> None:
    camera = DrainCamera(tmp_path, spec=replace(SPEC, post_seconds=10, trigger_cooldown=0))
    camera.play(10)
    camera.play(11, person=True)
    camera.play(23.8)
    assert camera.messages[-1].kind == "closed"
    late_window = [w.event_id for w in EventOutbox(camera.db, camera.clock).closed_windows()]

    camera.play(24)

    assert late_window == []  # its end, 21 s, was durable before it closed
    assert camera.pinned_s(EVENT)[-1] >= 20


def test_window_waits_for_its_last_segment_when_the_event_was_closed_by_command(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(12, person=True)
    camera.drain.close_open_event()
    camera.drain.step()
    assert camera.messages[-1].end_reason == "stopped"
    assert [w.event_id for w in EventOutbox(camera.db, camera.clock).closed_windows()] == [EVENT]

    camera.play(20)

    assert camera.pinned_s(EVENT) == [8, 10, 12, 14]  # the window ends at 15
    assert EventOutbox(camera.db, camera.clock).closed_windows() == []


def test_window_is_let_go_when_its_end_lies_in_a_gap(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(12, person=True)
    camera.lose_camera()
    camera.wait(30)

    assert camera.messages[-1].end_reason == "camera_lost"
    assert camera.messages[-1].last_seen_us == T0 + 12 * S
    assert EventOutbox(camera.db, camera.clock).closed_windows() == []


def test_event_ends_as_left_when_the_camera_was_back_before_its_end(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(12, person=True)
    camera.lose_camera(GapReason.STREAM_CHANGED)
    camera.clock.advance_s(1)
    camera.play(30)

    assert camera.messages[-1].end_reason == "left"


def test_pictures_still_in_the_decoder_do_not_bring_a_lost_camera_back(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(12, person=True)
    camera.drain.run_ended(T0 + 13 * S, GapReason.CAMERA_OFFLINE)
    camera.play(12.4, person=True)
    camera.wait(30)

    assert camera.messages[-1].end_reason == "camera_lost"


def test_rows_are_few_while_somebody_stays(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(110, person=True)

    kinds = [message.kind for message in camera.messages]
    assert kinds == ["opened", "updated", "updated", "updated"]  # a sign of life every 30 s
    assert camera.reader.open_events(SPEC.camera_id)


def test_last_seen_is_on_disk_within_about_a_second_while_somebody_stays(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(17.4, person=True)

    [kept] = camera.reader.open_events(SPEC.camera_id)
    assert T0 + 17.4 * S - kept.last_seen_us <= 1.2 * S


def test_new_label_is_told_after_three_seconds_at_most(tmp_path: Path) -> None:
    camera = DrainCamera(tmp_path, spec=replace(SPEC, trigger_classes=("person", "dog")))
    camera.play(10)
    camera.play(11, person=True)
    camera.play(14, person=True, labels=("person", "dog"))

    assert [(message.kind, message.labels) for message in camera.messages] == [
        ("opened", ("person",)),
        ("updated", ("person", "dog")),
    ]


def test_long_event_goes_on_in_the_next_one_without_a_hole(tmp_path: Path) -> None:
    camera = DrainCamera(tmp_path, tuning=CameraTuning(event_max_seconds=10))
    camera.play(10)
    camera.play(25, person=True)
    camera.play(40)

    rows = {(message.event_id, message.kind): message for message in camera.messages}
    first, second = rows[uuid_of(1), "closed"], rows[uuid_of(2), "closed"]
    assert (first.end_reason, second.continues) == ("max_length", first.event_id)
    assert first.window_end_us == second.window_start_us == second.started_us
    assert set(camera.pinned_s(uuid_of(1))) & set(camera.pinned_s(uuid_of(2))) == {20}  # the segment that both need


def test_motion_stands_in_for_a_missing_network_and_is_named(camera: DrainCamera) -> None:
    assert SPEC.detector_backend is DetectorBackend.ONNX
    camera.play(10)
    camera.play(11, person=True, labels=("motion",))

    assert [(message.labels, message.backend) for message in camera.messages] == [(("motion",), "motion")]


def test_restarted_camera_goes_on_with_its_event_when_the_person_is_seen_again(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(14, person=True)
    camera.kill()
    camera.clock.advance_s(3)
    camera.start()
    camera.play(20, person=True)
    camera.play(40)

    assert {message.event_id for message in camera.messages} == {EVENT}
    assert camera.messages[-1].last_seen_us == T0 + 20 * S


def test_restarted_camera_closes_its_event_at_last_seen_when_it_was_away_too_long(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(14, person=True)
    camera.kill()
    camera.clock.advance_s(60)
    camera.start()
    camera.drain.tick(camera.clock.wall_us())
    camera.drain.step()

    closed = camera.messages[-1]
    assert closed.kind == "closed"
    assert T0 + 14 * S - closed.last_seen_us <= 1.2 * S


def test_restarted_camera_pins_what_was_recorded_meanwhile(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(14, person=True)
    camera.drain.step()
    camera.record(14, 16)  # durable, but the process dies before its pin
    camera.kill()
    camera.start()
    camera.drain.step()

    assert camera.pinned_s(EVENT) == [8, 10, 12, 14]


def test_trouble_of_the_disk_is_said_once_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    class Refuses(PendingFiles):
        error: StorageError | None = None

        def pin(self, event_id: str, segment: Segment) -> bool:
            if self.error is not None:
                raise self.error
            return super().pin(event_id, segment)

    files = Refuses(tmp_path)
    camera = DrainCamera(tmp_path, wrap_files=lambda _: files)
    camera.play(10)
    camera.play(13.8, person=True)
    with capture_logs() as logs:
        for second, error in enumerate((DiskFullError("full"), DiskFullError("full"), StorageError("broken"), None)):
            files.error = error
            camera.record(14 + 2 * second, 16 + 2 * second)
            camera.drain._step_guarded()
        camera.drain._step_guarded()
    assert [(line["event"], line["log_level"]) for line in logs] == [
        ("drain_failed", "error"),
        ("drain_failed", "error"),
        ("drain goes on, nothing was lost", "warning"),
    ]


def test_pin_that_failed_is_made_by_the_next_step(tmp_path: Path) -> None:
    class FailsOnce(PendingFiles):
        failing = False

        def pin(self, event_id: str, segment: Segment) -> bool:
            if self.failing:
                self.failing = False
                raise StorageError("not now")
            return super().pin(event_id, segment)

    files = FailsOnce(tmp_path)
    camera = DrainCamera(tmp_path, wrap_files=lambda _: files)
    camera.play(10)
    camera.play(13.8, person=True)
    files.failing = True
    with pytest.raises(StorageError):
        camera.play(14, person=True)

    camera.drain.step()

    assert camera.pinned_s(EVENT) == [8, 10, 12]


def test_forgotten_event_leaves_no_row_and_no_file(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(12, person=True)
    camera.play(30)
    release_pins(camera.data_dir, EVENT)
    camera.drain.forget([EVENT])
    # The node drops its marks at this word: rows that a kill leaves behind would be delivered again.
    assert camera.forgotten == []
    camera.drain.step()

    assert camera.messages == []
    assert camera.forgotten == [EVENT]
    assert pinned_events(camera.data_dir) == set()


def test_open_event_is_never_forgotten(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(12, person=True)
    camera.drain.forget([EVENT])
    camera.drain.step()

    assert [message.kind for message in camera.messages] == ["opened"]
    assert camera.forgotten == []
    assert camera.pinned_s(EVENT) != []


def test_oldest_pins_go_with_a_gap_when_the_budget_is_spent(tmp_path: Path) -> None:
    camera = DrainCamera(tmp_path, tuning=CameraTuning(pin_budget_seconds=8))
    camera.play(10)
    camera.play(24, person=True)

    assert camera.pinned_s(EVENT) == [16, 18, 20, 22]
    gaps = camera.reader.gaps_between(SPEC.camera_id, T0, T0 + 60 * S)
    assert [(gap.start_us - T0, (gap.end_us or 0) - T0, gap.reason) for gap in gaps] == [
        (8 * S, 16 * S, GapReason.PIN_BUDGET)
    ]


def test_names_of_dropped_footage_are_forgotten_once_it_is_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iris.pipeline.pin_keeper._LOST_LOOK", 10)
    camera = DrainCamera(tmp_path, tuning=CameraTuning(pin_budget_seconds=8))
    camera.play(10)
    camera.play(60, person=True)
    lost = camera.drain._pins._lost
    assert len(lost) > 20, "the index still has them"
    with camera.db.transaction() as connection:
        connection.execute("DELETE FROM segments WHERE start_us < ?", (T0 + 30 * S,))
    camera.play(90, person=True)
    assert min(lost) > f"seg_{T0 + 30 * S - 1}"
    assert len(camera.pinned_s(EVENT)) == 4


def test_pins_stay_dropped_when_the_process_starts_again(tmp_path: Path) -> None:
    camera = DrainCamera(tmp_path, tuning=CameraTuning(pin_budget_seconds=8))
    camera.play(10)
    camera.play(24, person=True)
    camera.kill()
    camera.start()
    camera.drain.step()

    assert camera.pinned_s(EVENT) == [16, 18, 20, 22]


def test_oldest_pins_go_when_they_hold_too_much_of_the_disk(tmp_path: Path) -> None:
    class SmallDisk(PendingFiles):
        def disk_bytes(self) -> int:
            return 100_000

    camera = DrainCamera(
        tmp_path, tuning=CameraTuning(pin_budget_share=0.1), wrap_files=lambda files: SmallDisk(tmp_path)
    )
    camera.play(10)
    camera.play(90, person=True)

    # 0.1 of the disk are 10,000 bytes less the picture; a segment has 700. Measured once a minute.
    assert 0 < len(camera.pinned_s(EVENT)) * 700 < 10_000 + 60 / 2 * 700
    assert any(
        gap.reason is GapReason.PIN_BUDGET for gap in camera.reader.gaps_between(SPEC.camera_id, T0, T0 + 90 * S)
    )


def test_better_picture_replaces_the_first(camera: DrainCamera) -> None:
    camera.play(10)
    camera.play(10.2, person=True)
    path = camera.data_dir / "pending" / EVENT / "thumbnail.jpg"
    first = path.read_bytes()

    near = camera.clock.wall_us() + 2 * S
    camera.clock.advance_s(2)
    large = Track(0, TrackState.CONFIRMED, "person", 0.95, (300, 50, 900, 700), near - S, near, 9)
    camera.drain.observe([large], FakePicture(near, shade=200), near)
    camera.drain.step()

    assert path.read_bytes() != first
    image = cv2.imread(str(path))
    assert image is not None
    assert int(np.mean(image)) == pytest.approx(200, abs=2)


def test_event_is_accepted_without_a_picture_when_none_can_be_written(tmp_path: Path) -> None:
    class NoPictures(PendingFiles):
        def save_thumbnail(self, event_id: str, jpeg: bytes) -> None:
            raise StorageError("no")

    camera = DrainCamera(tmp_path, wrap_files=lambda files: NoPictures(tmp_path))
    camera.play(10)
    camera.play(12, person=True)

    assert [(message.kind, message.has_thumbnail) for message in camera.messages] == [("opened", False)]


def test_drain_thread_does_what_waits_and_ends_when_told(camera: DrainCamera) -> None:
    done = threading.Event()
    stop = StopToken()
    camera.play(10)
    camera.drain._parts = replace(camera.drain._parts, notify=done.set)
    thread = threading.Thread(target=camera.drain.run, args=(stop,))
    thread.start()
    try:
        camera.play(11, person=True, step=False)
        assert done.wait(10)
    finally:
        stop.stop()
        thread.join(10)
    assert not thread.is_alive()
    assert [message.kind for message in camera.messages] == ["opened"]
