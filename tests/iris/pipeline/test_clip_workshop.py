"""The clip workshop over real segments and a real camera file: whole, damaged, interrupted, repeated."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from iris.adapters.pins import pending_dir, pin_segment, release_pins
from iris.base.errors import DiskFullError, InputError, StorageError
from iris.contracts.events import AssembleClip, ClipResult, TimeRange
from iris.domain.segment import Gap, GapReason, Segment
from tests.builders.clip_place import EVENT, Place, S, T, quiet
from tests.builders.recorded_camera import RecordedCamera, make_film, read_packets


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4", b_frames=2, sound=True)


@pytest.fixture(scope="module")
def wide_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "wide.mp4", size_px=(320, 180), seconds=4)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    camera = RecordedCamera(tmp_path / "data")
    yield Place(camera)
    camera.close()


def assert_partition(result: ClipResult, request: AssembleClip) -> None:
    parts = sorted((r.start_us, r.end_us) for r in (*result.covered, *result.missing))
    assert parts[0][0] == request.window_start_us
    assert parts[-1][1] == request.window_end_us
    assert all(before[1] == after[0] for before, after in pairwise(parts))


def assert_published(place: Place, result: ClipResult) -> None:
    """Each file is as the result says, plays to its end, and no other file lies beside it."""
    for file in result.files:
        path = place.path(file.path)
        data = path.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file.size_bytes, file.sha256)
        with av.open(str(path)) as container:
            assert sum(1 for _ in container.decode(video=0)) == file.video_packet_count
            assert (container.streams.video[0].width, container.streams.video[0].height) == (
                file.width_px,
                file.height_px,
            )
    assert place.clips() == sorted(Path(file.path).name for file in result.files)


def test_assemble_is_ready_when_the_window_is_whole(place: Place, film: Path) -> None:
    place.camera.record(film, T)
    result = place.assemble(3.5, 8.25)
    assert result.state == "ready"
    assert result.covered == (TimeRange(T + 3_500_000, T + 8_250_000),)
    assert result.missing == ()
    assert result.files[0].path == f"recordings/{place.camera.camera_id}/{EVENT}.mp4"
    assert result.summary == "5.3 s in 1 file, complete"
    assert_published(place, result)


def lose(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_at_a_fragment(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: data.rindex(b"moof") - 4])


def overwrite(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:2_000] + b"\xa5" * 500 + data[2_500:])


def make_foreign(path: Path) -> None:
    shutil.copy(next(other for other in sorted(path.parent.glob("seg_*")) if other != path), path)


@pytest.mark.parametrize("positions", [(0,), (2,), (5,), (0, 5), (2, 3), (1, 2, 4)], ids=str)
@pytest.mark.parametrize("damage", [lose, empty, cut_off, cut_at_a_fragment, overwrite, make_foreign])
def test_assemble_is_partial_with_exact_ranges_when_segments_are_damaged(
    place: Place, film: Path, damage: Callable[[Path], None], positions: tuple[int, ...]
) -> None:
    segments = place.camera.record(film, T)
    for position in positions:
        damage(place.camera.path(segments[position]))
    result = place.assemble(0, 12)
    reason = GapReason.MISSING_SEGMENT if damage is lose else GapReason.CORRUPT_SEGMENT
    lost = [TimeRange(segments[i].start_us, segments[i].end_us, reason.value) for i in positions]
    joined: list[TimeRange] = []
    for r in lost:
        if joined and joined[-1].end_us == r.start_us:
            joined[-1] = replace(joined[-1], end_us=r.end_us)
        else:
            joined.append(r)
    assert result.state == "partial"
    assert result.missing == tuple(joined)
    assert_partition(result, place.request(0, 12))
    assert_published(place, result)
    good = [s for i, s in enumerate(segments) if i not in positions]
    assert result.files[0].video_packet_count == sum(s.video_packet_count for s in good)
    assert result.files[0].duration_us == pytest.approx(sum(s.end_us - s.start_us for s in good), abs=300_000)


def test_assemble_leaves_a_segment_out_when_its_first_keyframe_never_was_one(place: Place, film: Path) -> None:
    segments = place.camera.record(film, T)
    path = place.camera.path(segments[3])
    with av.open(str(path)) as container:
        keyframe = next(bytes(p) for p in container.demux(video=0) if p.is_keyframe)
    path.write_bytes(path.read_bytes().replace(keyframe, keyframe[:4] + b"\xff" * (len(keyframe) - 4)))
    with place.camera._db.transaction() as connection:  # as if the camera had sent it so
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        connection.execute("UPDATE segments SET sha256 = ? WHERE segment_id = ?", (sha256, segments[3].segment_id))
    result = place.assemble(0, 12)
    assert result.missing == (TimeRange(T + 6 * S, T + 8 * S, "corrupt_segment"),)
    assert_published(place, result)


def test_assemble_makes_two_files_when_the_resolution_changes(place: Place, film: Path, wide_film: Path) -> None:
    place.camera.record(film, T)
    place.camera.record(wide_film, T + 12_500_000, run="run-2", params="wide")
    place.camera.add_gap(Gap(T + 12 * S, T + 12_500_000, GapReason.STREAM_CHANGED))
    result = place.assemble(9, 16)
    assert result.state == "partial"
    assert result.missing == (TimeRange(T + 12 * S, T + 12_500_000, "stream_changed"),)
    assert [Path(file.path).name for file in result.files] == [f"{EVENT}.mp4", f"{EVENT}.1.mp4"]
    assert [file.width_px for file in result.files] == [160, 320]
    assert_published(place, result)


def test_assemble_closes_the_gap_when_the_camera_was_away(place: Place, film: Path) -> None:
    place.camera.record(film, T)
    place.camera.record(film, T + 20 * S, run="run-2")
    place.camera.add_gap(Gap(T + 12 * S, T + 20 * S, GapReason.CAMERA_OFFLINE))
    result = place.assemble(10, 23)
    assert result.missing == (TimeRange(T + 12 * S, T + 20 * S, "camera_offline"),)
    assert result.summary.endswith("missing: camera_offline 8.0 s")
    assert result.files[0].duration_us == pytest.approx(5 * S, abs=300_000)
    assert_published(place, result)


def test_assemble_says_not_started_when_the_window_reaches_before_the_first_recording(place: Place, film: Path) -> None:
    place.camera.record(film, T)
    result = place.assemble(-3, 5)
    assert result.missing == (TimeRange(T - 3 * S, T, "not_started"),)


def test_assemble_fails_with_a_reason_when_there_is_no_footage(place: Place) -> None:
    place.camera.add_gap(Gap(T - S, None, GapReason.CAMERA_AUTH))
    result = place.assemble(0, 10)
    assert result.state == "failed"
    assert result.failure == "Nothing of the window was recorded: camera_auth 10.0 s."
    assert_partition(result, place.request(0, 10))
    assert place.clips() == []


def test_assemble_fails_when_the_window_is_empty(place: Place) -> None:
    assert place.assemble(3, 3).state == "failed"


@pytest.mark.parametrize("field_name", ["event_id", "camera_id"])
def test_assemble_refuses_an_id_that_is_a_path(place: Place, field_name: str) -> None:
    request = place.request(0, 1)
    ids = {"event_id": request.event_id, "camera_id": request.camera_id, field_name: "../../etc"}
    request = replace(request, event_id=ids["event_id"], camera_id=ids["camera_id"])
    with pytest.raises(InputError):
        place.workshop.assemble(request, quiet)


def test_assemble_takes_the_pins_when_the_ring_is_pruned(place: Place, film: Path) -> None:
    segments = place.camera.record(film, T)
    for segment in segments:
        assert pin_segment(place.camera.data_dir, EVENT, segment)
        place.camera.path(segment).unlink()
    assert place.assemble(0, 12).state == "ready"


def test_assemble_takes_the_ring_when_a_pin_is_damaged(place: Place, film: Path) -> None:
    segment = place.camera.record(film, T)[1]
    folder = pending_dir(place.camera.data_dir, EVENT)
    folder.mkdir(parents=True)
    (folder / Path(segment.path).name).write_bytes(b"x")
    assert place.assemble(0, 12).state == "ready"


def test_assemble_gives_the_same_when_it_runs_twice(place: Place, film: Path) -> None:
    place.camera.record(film, T)
    assert place.assemble(1, 11) == place.assemble(1, 11)
    assert place.clips() == [f"{EVENT}.mp4"]


def test_assemble_removes_what_an_earlier_attempt_left(place: Place, film: Path) -> None:
    place.camera.record(film, T)
    folder = place.path(f"recordings/{place.camera.camera_id}")
    folder.mkdir(parents=True)
    other = "01890000-0000-7000-8000-0000000000e2.mp4"
    for name in (f"{EVENT}.mp4", f"{EVENT}.1.mp4", f"{EVENT}.mp4.part", f"{EVENT}.1.mp4.part", other):
        (folder / name).write_bytes(b"half a clip")
    result = place.assemble(0, 12)
    assert result.state == "ready"
    assert place.clips() == [f"{EVENT}.mp4", other]


def test_assemble_refuses_a_second_attempt_while_one_runs(place: Place, film: Path) -> None:
    place.camera.record(film, T)
    entered, leave = threading.Event(), threading.Event()

    def waiting(step: str, done: int, total: int) -> None:
        entered.set()
        assert leave.wait(20)

    results: list[ClipResult] = []
    first = threading.Thread(
        target=lambda: results.append(place.workshop.assemble(place.request(0, 12), waiting)), daemon=True
    )
    first.start()
    assert entered.wait(20)
    with pytest.raises(StorageError, match="earlier attempt"):
        place.assemble(0, 12)
    leave.set()
    first.join(20)
    assert results[0].state == "ready"


class Fault:
    """Fails the n-th call of the system calls that publish, like a disk that is full or a process that dies."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, error: Callable[[], BaseException]) -> None:
        self.calls = 0
        for name in ("fsync", "replace", "mkdir", "unlink"):
            real = getattr(os, name)
            monkeypatch.setattr(os, name, self._failing(real, at, error))

    def _failing(self, real: Any, at: int, error: Callable[[], BaseException]) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == at:
                raise error()
            return real(*args, **kwargs)

        return call


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (lambda: OSError(errno.ENOSPC, "no space"), DiskFullError),
        (lambda: OSError(errno.EIO, "i/o error"), StorageError),
        (KeyboardInterrupt, KeyboardInterrupt),
    ],
    ids=["disk full", "i/o error", "stopped"],
)
def test_assemble_ends_the_same_when_it_was_stopped_at_any_system_call(
    place: Place,
    film: Path,
    wide_film: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Callable[[], BaseException],
    expected: type[BaseException],
) -> None:
    place.camera.record(film, T)
    place.camera.record(wide_film, T + 12 * S, run="run-2", params="wide")
    place.path(f"recordings/{place.camera.camera_id}").mkdir(parents=True)
    (place.path(f"recordings/{place.camera.camera_id}") / f"{EVENT}.2.mp4").write_bytes(b"of an earlier attempt")
    for at in range(1, 60):
        release_pins(place.camera.data_dir, EVENT)  # the receipt: each turn makes the clip anew
        with monkeypatch.context() as patched:
            fault = Fault(patched, at, error)
            try:
                place.assemble(9, 16)
            except expected:
                pass
            else:
                if fault.calls < at:
                    break
        assert [name for name in place.clips() if name.endswith(".part")] == []
        result = place.assemble(9, 16)
        assert result.state == "ready"
        assert_published(place, result)
    assert at > 10  # two files and the receipt: fsync, rename and fsync of the folder each, and the surplus


@pytest.mark.parametrize("stop_at", range(1, 20, 2))
def test_assemble_leaves_nothing_when_it_is_cancelled(place: Place, film: Path, stop_at: int) -> None:
    place.camera.record(film, T)
    calls = 0

    def cancelled(step: str, done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        if calls == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.workshop.assemble(place.request(0, 12), cancelled)
    assert place.clips() == []
    assert place.assemble(0, 12).state == "ready"


def test_clip_holds_each_packet_of_its_segments_once(place: Place, film: Path) -> None:
    segments: list[Segment] = place.camera.record(film, T)
    result = place.assemble(0, 12)
    copied = [p.payload for p in read_packets(place.path(result.files[0].path)) if p.kind == "video"]
    recorded = [p.payload for s in segments for p in read_packets(place.camera.path(s)) if p.kind == "video"]
    assert copied == recorded
