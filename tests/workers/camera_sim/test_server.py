"""The camera over real RTSP, watched by FFmpeg."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import islice, pairwise

import av
import pytest

from tests.tree import ROOT
from tests.workers.camera_sim.viewer import Seen, look, pictures, watching
from workers.camera_sim.encode import encode_scene
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import RTP_START_BEFORE_WRAP, CameraSim, SimOptions

# Half a second from keyframe to keyframe: sessions begin soon.
FILM = encode_scene(SceneSpec(loop_s=4, keyframe_interval_s=0.5))
LIMIT_S = 10.0


@pytest.fixture
def camera() -> Iterator[CameraSim]:
    with CameraSim(FILM) as running:
        yield running


def _numbers(seen: list[Seen]) -> list[int]:
    return [item.mark.number for item in seen]


def _is_whole(seen: list[Seen]) -> bool:
    """No picture is missing, and time stamps go on by one picture each."""
    first = _numbers(seen)[0]
    ticks = [item.ticks for item in seen if item.ticks is not None]
    steps = {after - before for before, after in pairwise(ticks)}
    return _numbers(seen) == list(range(first, first + len(seen))) and steps == {9_000}


@pytest.mark.parametrize("auth", ["basic", "digest", "none"])
def test_viewer_gets_every_picture_in_time(auth: str) -> None:
    with CameraSim(FILM, SimOptions(auth=auth, password="p:w @/")) as camera:
        seen = look(camera.url, 15)
    assert _is_whole(seen)
    assert seen[0].is_keyframe
    sent_us = [item.mark.sent_wall_us for item in seen]
    assert 1.2e6 < sent_us[-1] - sent_us[0] < 1.8e6  # 14 pictures at 10 a second


@pytest.mark.parametrize("auth", ["basic", "digest"])
def test_wrong_password_is_refused(auth: str) -> None:
    with (
        CameraSim(FILM, SimOptions(auth=auth)) as camera,
        pytest.raises(av.HTTPUnauthorizedError),
        watching(camera.url.replace("walk-in", "other")),
    ):
        pass


def test_two_viewers_see_the_same_moment(camera: CameraSim) -> None:
    first, second = look(camera.url, 5), look(camera.url, 5)
    ahead = second[0].mark.number - first[0].mark.number
    passed_us = second[0].mark.sent_wall_us - first[0].mark.sent_wall_us
    assert abs(passed_us - ahead * 100_000) < 50_000


def test_scene_goes_on_behind_the_loop(camera: CameraSim) -> None:
    seen = look(camera.url, 50)  # one loop has 40
    assert _is_whole(seen)


def test_sound_arrives_in_sync() -> None:
    with (
        CameraSim(SceneSpec(loop_s=4, keyframe_interval_s=0.5, sound="aac")) as camera,
        watching(camera.url) as container,
    ):
        first: dict[str, float] = {}
        for packet in container.demux():
            if packet.pts is not None:
                first.setdefault(packet.stream.type, float(packet.pts * packet.time_base))
            if len(first) == 2:
                break
    assert abs(first["audio"] - first["video"]) < 0.15  # the first picture has no time stamp in FFmpeg


def test_other_sound_than_aac_is_offered() -> None:
    with (
        CameraSim(SceneSpec(loop_s=4, keyframe_interval_s=0.5, sound="pcm_mulaw")) as camera,
        watching(camera.url) as session,
    ):
        assert [stream.codec_context.name for stream in session.streams] == ["h264", "pcm_mulaw"]


def test_time_stamps_wrap_without_a_jump() -> None:
    with CameraSim(FILM, SimOptions(rtp_start=RTP_START_BEFORE_WRAP)) as camera:
        assert _is_whole(look(camera.url, 20))


def test_stalled_camera_goes_on_with_the_present_from_a_keyframe(camera: CameraSim) -> None:
    with watching(camera.url) as container:
        stream = pictures(container)
        before = [next(stream) for _ in range(8)]
        camera.stall()
        timer = threading.Timer(1.0, camera.resume)
        timer.start()
        after = [item for item in islice(stream, 20) if item.mark.number > before[-1].mark.number]
        timer.join()
    gap = next(i for i, (a, b) in enumerate(pairwise(after)) if b.mark.number > a.mark.number + 1)
    resumed, stalled = after[gap + 1], after[gap]
    assert resumed.is_keyframe
    passed_us = resumed.mark.sent_wall_us - stalled.mark.sent_wall_us
    assert abs(passed_us - (resumed.mark.number - stalled.mark.number) * 100_000) < 50_000


def test_frozen_camera_answers_nothing(camera: CameraSim) -> None:
    camera.stall(frozen=True)
    began = time.monotonic()
    with pytest.raises(av.FFmpegError), av.open(camera.url, options={"rtsp_transport": "tcp"}, timeout=(1.0, 1.0)):
        pass
    assert time.monotonic() - began >= 0.9


@pytest.mark.parametrize("reset", [False, True])
def test_dropped_viewer_may_come_again(camera: CameraSim, reset: bool) -> None:
    with watching(camera.url) as container:
        stream = pictures(container)
        next(stream)
        camera.drop(reset=reset)
        with contextlib.suppress(av.FFmpegError):  # a reset may be told as an error or as an end
            list(stream)
    assert _is_whole(look(camera.url, 5))


def test_camera_that_went_away_refuses_and_returns_on_its_port(camera: CameraSim) -> None:
    camera.vanish()
    with pytest.raises(av.FFmpegError), watching(camera.url):
        pass
    camera.come_back()
    assert _is_whole(look(camera.url, 5))


def test_go_away_ends_by_itself(camera: CameraSim) -> None:
    camera.go_away(0.3)
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        try:
            assert _is_whole(look(camera.url, 5))
            return
        except av.FFmpegError:
            continue
    pytest.fail("the camera did not return")


@pytest.mark.parametrize("seconds", [3600, -5])
def test_time_stamps_jump(camera: CameraSim, seconds: int) -> None:
    with watching(camera.url) as container:
        stream = pictures(container)
        before = [next(stream) for _ in range(8)]
        camera.jump(seconds)
        seen = before + list(islice(stream, 12))
    assert _numbers(seen) == list(range(seen[0].mark.number, seen[0].mark.number + 20))
    ticks = [item.ticks for item in seen if item.ticks is not None]
    steps = {after - before for before, after in pairwise(ticks)}
    assert steps == {9_000, 9_000 + seconds * 90_000}


def test_lost_packets_leave_a_hole(camera: CameraSim) -> None:
    with watching(camera.url) as container:
        stream = pictures(container)
        next(stream)
        camera.faults.packets_to_lose = 8
        numbers = _numbers(list(islice(stream, 20)))
    assert numbers != list(range(numbers[0], numbers[0] + 20))
    assert numbers == sorted(numbers)


def test_new_size_comes_in_band_without_a_break(camera: CameraSim) -> None:
    with watching(camera.url) as container:
        decoded = ((frame.width, frame.height) for packet in container.demux(video=0) for frame in packet.decode())
        assert next(decoded) == (640, 360)
        camera.show(SceneSpec(width_px=320, height_px=240, loop_s=4))
        assert (320, 240) in islice(decoded, 60)


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, av.HTTPUnauthorizedError), (404, av.HTTPNotFoundError), (503, av.HTTPServerError)],
)
def test_description_is_refused_with_the_status_asked_for(
    camera: CameraSim, status: int, error: type[av.FFmpegError]
) -> None:
    camera.faults.answer_status = status
    with pytest.raises(error), watching(camera.url):
        pass


def test_redirect_leads_a_viewer_that_follows_to_the_other_camera(camera: CameraSim) -> None:
    with CameraSim(FILM, SimOptions(auth="none")) as other:
        camera.faults.redirect_to = other.bare_url
        assert _is_whole(look(camera.url, 5))  # FFmpeg alone follows; Iris must not
        assert [request.method for request in other.requests][-1] in ("PLAY", "TEARDOWN")


def test_camera_without_pictures_offers_sound_alone() -> None:
    with CameraSim(SceneSpec(loop_s=4, sound="aac")) as camera:
        camera.faults.without_video = True
        with watching(camera.url) as container:
            assert [stream.type for stream in container.streams] == ["audio"]


def test_unknown_codec_has_no_name(camera: CameraSim) -> None:
    camera.faults.unknown_codec = True
    with watching(camera.url) as container:
        assert [stream.codec_context for stream in container.streams] == [None]


def test_film_plays_once_from_its_start_and_is_gone() -> None:
    with CameraSim(encode_scene(SceneSpec(loop_s=2)), SimOptions(once=True)) as camera:
        with watching(camera.url) as container:
            assert _numbers(list(pictures(container))) == list(range(20))
        assert camera.finished.wait(LIMIT_S)
        with pytest.raises(av.HTTPNotFoundError), watching(camera.url):
            pass


def test_stop_leaves_no_thread() -> None:
    before = threading.active_count()
    with CameraSim(FILM) as camera, watching(camera.url) as container:
        next(pictures(container))
    assert threading.active_count() == before


def test_command_says_where_it_is_and_ends_when_told() -> None:
    command = [sys.executable, "-m", "workers.camera_sim", "--every", "4", "--walk-at", "1", "--walk", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"rtsp://viewer:[\w-]{12}@127\.0\.0\.1:\d+/stream", url)
        assert _is_whole(look(url, 5))
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0
    finally:
        process.kill()
        process.communicate()


def test_command_refuses_a_wrong_option_in_one_sentence() -> None:
    command = [sys.executable, "-m", "workers.camera_sim", "--size", "large"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "iris camera-sim: 'large' is no size such as 640x360\n")
