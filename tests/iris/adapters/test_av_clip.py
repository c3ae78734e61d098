"""Clips as files: what is copied, what an independent decoder says of it, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from iris.adapters.av_clip import ClipSource, MuxedClip, SourceChain, UnusableSegmentError, check_segment, mux_clip
from iris.adapters.av_clip_check import keyframe_jpeg, verify_clip
from iris.base.errors import DiskFullError, StorageError
from iris.domain.segment import GapReason, Segment
from iris.media.clip_plan import Span
from tests.assets import film, skip_or_fail
from tests.builders.recorded_camera import Packet, RecordedCamera, make_film, read_packets

T = 1_700_000_000_000_000
S = 1_000_000
FRAME_US = 66_667


def quiet(step: str, done: int, total: int) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module", params=[(0, False), (0, True), (2, False), (2, True)], ids=str)
def any_film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    b_frames, sound = request.param
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4", b_frames=b_frames, sound=sound)


@pytest.fixture(scope="module")
def sound_film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("film") / "film.mp4", b_frames=2, sound=True)


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[RecordedCamera]:
    camera = RecordedCamera(tmp_path / "data")
    yield camera
    camera.close()


def chain(camera: RecordedCamera, segments: list[Segment], start_us: int, end_us: int) -> SourceChain:
    return SourceChain(tuple(ClipSource(s, camera.path(s)) for s in segments), Span(start_us, end_us))


def assert_plays(clip: Path, frame_count: int) -> None:
    """Every frame decodes, here and in a decoder of another build, and each is shown later than the one before."""
    ffmpeg = shutil.which("ffmpeg") or skip_or_fail("ffmpeg is missing; run: apt-get install ffmpeg")
    done = subprocess.run(
        [ffmpeg, "-v", "error", "-i", clip, "-f", "null", "-"], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    with av.open(str(clip)) as container:
        shown = [frame.pts or 0 for frame in container.decode(video=0)]
    assert len(shown) == frame_count
    assert shown == sorted(set(shown))
    assert shown[0] == 0


def offsets_us(clip: list[Packet], source: list[Packet], kind: str) -> list[int]:
    """By how much each packet of the clip is shown earlier than the same packet of the film."""
    when = {packet.payload: packet.shown_us for packet in source if packet.kind == kind}
    return [when[packet.payload] - packet.shown_us for packet in clip if packet.kind == kind]


@pytest.mark.parametrize(("start_s", "end_s"), [(0.0, 12.0), (3.5, 8.3), (2.0, 4.0), (5.9, 6.05)])
def test_mux_copies_the_window_in_sync_when_footage_is_whole(
    camera: RecordedCamera, any_film: Path, tmp_path: Path, start_s: float, end_s: float
) -> None:
    start_us, end_us = T + round(start_s * S), T + round(end_s * S)
    segments = [s for s in camera.record(any_film, T) if s.start_us < end_us and s.end_us > start_us]
    clip = tmp_path / "clip.mp4"
    muxed = mux_clip([chain(camera, segments, start_us, end_us)], clip, quiet)
    verify_clip(clip, muxed, quiet)
    assert_plays(clip, muxed.video_packet_count)
    assert muxed.start_us == T + int(start_s) * S  # a keyframe every second
    assert end_us - 1 <= muxed.end_us < end_us + 4 * FRAME_US
    assert abs(muxed.duration_us - (muxed.end_us - muxed.start_us)) < 2
    assert muxed.video_codec == "h264"
    source, copied = read_packets(any_film), read_packets(clip)
    assert set(offsets_us(copied, source, "video")) == {int(start_s) * S}
    assert all(abs(us - int(start_s) * S) < 2_000 for us in offsets_us(copied, source, "audio"))
    assert sum(packet.kind == "audio" for packet in copied) == muxed.audio_packet_count
    if any(packet.kind == "audio" for packet in source):
        assert muxed.audio_packet_count == pytest.approx(muxed.duration_us * 48 / 1_024_000, abs=8)


def test_mux_closes_the_hole_in_sync_when_a_segment_is_left_out(
    camera: RecordedCamera, sound_film: Path, tmp_path: Path
) -> None:
    segments = camera.record(sound_film, T)
    clip = tmp_path / "clip.mp4"
    chains = [
        chain(camera, segments[:2], T + 1_500_000, T + 4 * S),
        chain(camera, segments[3:5], T + 6 * S, T + 9_500_000),
    ]
    muxed = mux_clip(chains, clip, quiet)
    verify_clip(clip, muxed, quiet)
    assert_plays(clip, muxed.video_packet_count)
    assert muxed.duration_us == pytest.approx(6_500_000, abs=3 * FRAME_US)
    source, copied = read_packets(sound_film), read_packets(clip)
    for kind in ("video", "audio"):
        assert {round(us / 50_000) for us in offsets_us(copied, source, kind)} == {20, 60}


def test_mux_keeps_real_footage_in_sync_when_a_camera_has_sound(camera: RecordedCamera, tmp_path: Path) -> None:
    cars = film("cars-with-sound.mp4")
    segments = camera.record(cars, T)
    clip = tmp_path / "clip.mp4"
    muxed = mux_clip([chain(camera, segments[1:4], T + 7 * S, T + 16 * S)], clip, quiet)
    verify_clip(clip, muxed, quiet)
    assert_plays(clip, muxed.video_packet_count)
    source, copied = read_packets(cars), read_packets(clip)
    assert set(offsets_us(copied, source, "video")) == {4_800_000}
    # The film's sound repeats itself every 0.6 s, so each packet is held against the nearest of its equals.
    when: dict[bytes, list[int]] = {}
    for packet in source:
        when.setdefault(packet.payload, []).append(packet.shown_us - 4_800_000)
    late = [min(abs(us - p.shown_us) for us in when[p.payload]) for p in copied if p.kind == "audio"]
    assert len(late) == muxed.audio_packet_count > 500
    assert max(late) < 5_000


def test_mux_plays_a_run_without_sound_next_to_one_with(
    camera: RecordedCamera, sound_film: Path, tmp_path: Path
) -> None:
    silent = make_film(tmp_path / "silent.mp4", b_frames=2, seconds=4)
    first = camera.record(silent, T)
    second = camera.record(sound_film, T + 60 * S, run="run-2")
    clip = tmp_path / "clip.mp4"
    chains = [chain(camera, first, T, T + 4 * S), chain(camera, second[:2], T + 60 * S, T + 64 * S)]
    muxed = mux_clip(chains, clip, quiet)
    verify_clip(clip, muxed, quiet)
    assert_plays(clip, muxed.video_packet_count)
    sound = [packet.shown_us for packet in read_packets(clip) if packet.kind == "audio"]
    assert min(sound) == pytest.approx(4 * S, abs=30_000)


def test_mux_moves_on_when_wall_time_of_a_segment_was_set_back(
    camera: RecordedCamera, sound_film: Path, tmp_path: Path
) -> None:
    segments = camera.record(sound_film, T)
    segments[1] = replace(segments[1], start_us=segments[1].start_us - 100_000)
    clip = tmp_path / "clip.mp4"
    muxed = mux_clip([chain(camera, segments[:3], T, T + 6 * S)], clip, quiet)
    verify_clip(clip, muxed, quiet)
    assert muxed.video_packet_count == 90
    with av.open(str(clip)) as container:
        shown = [frame.pts for frame in container.decode(video=0)]
    assert len(shown) == 90
    assert len(set(shown)) == 90


def test_mux_keeps_the_distances_of_pictures_when_wall_time_was_slewed(
    camera: RecordedCamera, sound_film: Path, tmp_path: Path
) -> None:
    segments = camera.record(sound_film, T)
    # 500 ppm: each segment of 2 s begins 1 ms earlier than its media time says.
    slewed = [replace(s, start_us=s.start_us - number * 1000) for number, s in enumerate(segments)]
    clip = tmp_path / "clip.mp4"
    mux_clip([chain(camera, slewed, T, T + 12 * S)], clip, quiet)
    shown = sorted(packet.shown_us for packet in read_packets(clip) if packet.kind == "video")
    steps = {later - earlier for earlier, later in pairwise(shown)}
    assert max(steps) - min(steps) <= 12, "pictures are a fifteenth of a second apart, to a tick"


def test_clip_carries_its_time_and_nothing_of_the_camera(
    camera: RecordedCamera, any_film: Path, tmp_path: Path
) -> None:
    segments = camera.record(any_film, T)
    clip = tmp_path / "clip.mp4"
    mux_clip([chain(camera, segments, T, T + 12 * S)], clip, quiet)
    with av.open(str(clip)) as container:
        assert container.metadata["creation_time"] == "2023-11-14T22:13:20.000000Z"
        allowed = {"major_brand", "minor_version", "compatible_brands", "creation_time", "encoder"}
        assert set(container.metadata) <= allowed
        assert clip.read_bytes().index(b"moov") < clip.read_bytes().index(b"mdat")  # plays while it is downloaded


def test_mux_gives_the_same_bytes_when_it_runs_twice(camera: RecordedCamera, sound_film: Path, tmp_path: Path) -> None:
    chains = [chain(camera, camera.record(sound_film, T), T, T + 12 * S)]
    mux_clip(chains, tmp_path / "a", quiet)
    mux_clip(chains, tmp_path / "b", quiet)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_mux_says_so_when_the_disk_is_full(camera: RecordedCamera, sound_film: Path, tmp_path: Path) -> None:
    target = tmp_path / "clip.mp4.part"
    target.symlink_to("/dev/full")
    with pytest.raises(DiskFullError):
        mux_clip([chain(camera, camera.record(sound_film, T), T, T + 12 * S)], target, quiet)
    assert not target.is_symlink()
    links = [str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    assert "/dev/full" not in links


def test_mux_leaves_nothing_behind_when_its_caller_gives_up(
    camera: RecordedCamera, sound_film: Path, tmp_path: Path
) -> None:
    def cancelled(step: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mux_clip([chain(camera, camera.record(sound_film, T), T, T + 12 * S)], tmp_path / "clip", cancelled)
    assert not (tmp_path / "clip").exists()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, GapReason.MISSING_SEGMENT),
        (lambda data: b"", GapReason.CORRUPT_SEGMENT),
        (lambda data: data[: len(data) // 2], GapReason.CORRUPT_SEGMENT),
        (lambda data: data[:900] + b"\xa5" * 200 + data[1_100:], GapReason.CORRUPT_SEGMENT),
    ],
    ids=["missing", "empty", "cut off", "overwritten"],
)
def test_check_refuses_a_segment_that_is_not_as_recorded(
    camera: RecordedCamera, sound_film: Path, data: Callable[[bytes], bytes] | None, reason: GapReason
) -> None:
    segment = camera.record(sound_film, T)[0]
    path = camera.path(segment)
    check_segment(ClipSource(segment, path))
    original = path.read_bytes()
    path.unlink()
    if data is not None:
        path.write_bytes(data(original))
    with pytest.raises(UnusableSegmentError) as raised:
        check_segment(ClipSource(segment, path))
    assert (raised.value.segment_id, raised.value.reason) == (segment.segment_id, reason)


@pytest.mark.parametrize("change", [{"video_packet_count": 31}, {"audio_packet_count": 1}])
def test_mux_refuses_a_segment_that_holds_other_packets_than_recorded(
    camera: RecordedCamera, sound_film: Path, tmp_path: Path, change: dict[str, int]
) -> None:
    segments = camera.record(sound_film, T)
    segments[2] = replace(segments[2], **change)  # type: ignore[arg-type]  # both are int fields
    with pytest.raises(UnusableSegmentError) as raised:
        mux_clip([chain(camera, segments, T, T + 12 * S)], tmp_path / "clip", quiet)
    assert raised.value.segment_id == segments[2].segment_id
    assert not (tmp_path / "clip").exists()


def test_mux_refuses_a_segment_that_is_no_media_file(camera: RecordedCamera, sound_film: Path, tmp_path: Path) -> None:
    segments = camera.record(sound_film, T)
    camera.path(segments[1]).write_bytes(b"#EXTM3U\n/etc/passwd\n" * 50)
    with pytest.raises(UnusableSegmentError):
        mux_clip([chain(camera, segments, T, T + 12 * S)], tmp_path / "clip", quiet)


def _clip(camera: RecordedCamera, film_path: Path, path: Path) -> MuxedClip:
    return mux_clip([chain(camera, camera.record(film_path, T), T, T + 12 * S)], path, quiet)


@pytest.mark.parametrize("change", [{"video_packet_count": 181}, {"audio_packet_count": 0}, {"duration_us": 11 * S}])
def test_verify_refuses_a_clip_that_holds_something_else(
    camera: RecordedCamera, sound_film: Path, tmp_path: Path, change: dict[str, int]
) -> None:
    muxed = _clip(camera, sound_film, tmp_path / "clip")
    with pytest.raises(StorageError):
        verify_clip(tmp_path / "clip", replace(muxed, **change), quiet)  # type: ignore[arg-type]  # int fields


@pytest.mark.parametrize("cut", ["all", "tail", "most"])
def test_verify_refuses_a_clip_that_is_cut_off(
    camera: RecordedCamera, sound_film: Path, tmp_path: Path, cut: str
) -> None:
    muxed = _clip(camera, sound_film, tmp_path / "clip")
    data = (tmp_path / "clip").read_bytes()
    (tmp_path / "clip").write_bytes({"all": b"", "tail": data[:-2_000], "most": data[:12_000]}[cut])
    with pytest.raises((StorageError, UnusableSegmentError)):
        verify_clip(tmp_path / "clip", muxed, quiet)


def garbled(path: Path, number: int) -> None:
    """Overwrite a keyframe of a file but for its length."""
    with av.open(str(path)) as container:
        keyframes = [bytes(p) for p in container.demux(video=0) if p.size and p.is_keyframe]
    keyframe = keyframes[number]
    data = path.read_bytes()
    assert data.count(keyframe) == 1
    path.write_bytes(data.replace(keyframe, keyframe[:4] + b"\xff" * (len(keyframe) - 4)))


def test_mux_refuses_a_segment_whose_first_keyframe_is_damaged(
    camera: RecordedCamera, any_film: Path, tmp_path: Path
) -> None:
    segments = camera.record(any_film, T)
    garbled(camera.path(segments[2]), 0)
    with pytest.raises(UnusableSegmentError) as raised:
        mux_clip([chain(camera, segments, T, T + 12 * S)], tmp_path / "clip", quiet)
    assert raised.value.segment_id == segments[2].segment_id


@pytest.mark.parametrize("number", [0, 5, 11])
def test_verify_refuses_a_clip_when_a_keyframe_is_damaged(
    camera: RecordedCamera, any_film: Path, tmp_path: Path, number: int
) -> None:
    muxed = _clip(camera, any_film, tmp_path / "clip")
    verify_clip(tmp_path / "clip", muxed, quiet)
    garbled(tmp_path / "clip", number)
    with pytest.raises((StorageError, UnusableSegmentError)):
        verify_clip(tmp_path / "clip", muxed, quiet)


def test_verify_names_the_segment_when_a_decoder_refuses_its_pictures(
    camera: RecordedCamera, any_film: Path, tmp_path: Path
) -> None:
    muxed = _clip(camera, any_film, tmp_path / "clip")
    with av.open(str(tmp_path / "clip")) as container:
        last = [bytes(p) for p in container.demux(video=0) if p.size][-1]
    data = (tmp_path / "clip").read_bytes()
    (tmp_path / "clip").write_bytes(data.replace(last, last[:4] + b"\x00" * (len(last) - 4)))
    with pytest.raises(UnusableSegmentError) as raised:
        verify_clip(tmp_path / "clip", muxed, quiet)
    assert raised.value.segment_id == camera.segments[-1].segment_id


def grey(jpeg: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return picture


def test_picture_is_a_keyframe_of_the_wanted_time(any_film: Path) -> None:
    early, late = keyframe_jpeg(any_film, 0), keyframe_jpeg(any_film, 3_500_000)
    assert early is not None
    assert late is not None
    assert grey(early).shape == (120, 160)
    bits = grey(late)[40, 8::16] > 128
    assert sum(1 << i for i, bit in enumerate(bits) if bit) == 60  # the keyframe at 4 s
    assert keyframe_jpeg(any_film, 60 * S) is None
