from pathlib import Path

import pytest

from iris.adapters.pins import pending_dir, pin_segment, pinned_events, pinned_files, release_pins
from iris.base.errors import InputError
from iris.base.ids import CameraId, RunId
from iris.domain.segment import Segment

CAMERA = CameraId("0190a0a0-0000-7000-8000-000000000001")
EVENT = "0190a0a0-0000-7000-8000-00000000000e"


def segment(data_dir: Path, start_us: int) -> Segment:
    path = f"segments/{CAMERA}/seg_{start_us}.mp4"
    (data_dir / path).parent.mkdir(parents=True, exist_ok=True)
    (data_dir / path).write_bytes(b"footage")
    return Segment(1, CAMERA, RunId("r"), path, start_us, start_us + 2, 7, 1, 0, "0" * 64, "h", 1)


def test_pin_keeps_the_footage_when_the_segment_is_pruned(tmp_path: Path) -> None:
    kept = segment(tmp_path, 10)
    assert pin_segment(tmp_path, EVENT, kept)
    (tmp_path / kept.path).unlink()
    assert pinned_files(tmp_path, EVENT)["seg_10.mp4"].read_bytes() == b"footage"
    assert pin_segment(tmp_path, EVENT, kept)  # again: it is there


def test_pin_says_false_when_the_footage_is_gone_already(tmp_path: Path) -> None:
    gone = segment(tmp_path, 10)
    (tmp_path / gone.path).unlink()
    assert not pin_segment(tmp_path, EVENT, gone)


def test_release_removes_everything_of_the_event_and_nothing_else_when_called_twice(tmp_path: Path) -> None:
    other = EVENT.replace("e", "f")
    kept = segment(tmp_path, 10)
    pin_segment(tmp_path, EVENT, kept)
    pin_segment(tmp_path, other, kept)
    (pending_dir(tmp_path, EVENT) / "thumbnail.jpg").write_bytes(b"picture")
    assert release_pins(tmp_path, EVENT) == 2
    assert release_pins(tmp_path, EVENT) == 0
    assert pinned_events(tmp_path) == {other}
    assert (tmp_path / kept.path).exists()


def test_pins_refuse_an_event_id_that_is_a_path(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        release_pins(tmp_path, "../segments")
