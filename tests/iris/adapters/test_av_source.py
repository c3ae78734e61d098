import socket
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import av
import pytest

from iris.adapters.av_source import AvPacketSourceOpener, camera_error
from iris.adapters.clock import SystemClock
from iris.base.errors import (
    CameraAddressError,
    CameraAuthError,
    CameraError,
    CameraStalledError,
    CameraStreamError,
    CameraUnreachableError,
)
from iris.domain.packet import EncodedPacket, MediaKind
from tests.abuse.hostile import SlowLine
from tests.builders.packets import AAC_48K_STEREO
from workers.camera_sim.nal import read_mark
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim, SimOptions

SCENE = SceneSpec(width_px=160, height_px=96, loop_s=4)
SOUND = SceneSpec(width_px=160, height_px=96, loop_s=4, sound="aac")


@pytest.fixture
def opener() -> AvPacketSourceOpener:
    return AvPacketSourceOpener(SystemClock(), stall_timeout_s=2.0)


def take(packets: Iterator[EncodedPacket], count: int) -> list[EncodedPacket]:
    return [next(packets) for _ in range(count)]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("auth", ["digest", "basic"])
def test_source_gives_every_packet_of_the_first_gop(opener: AvPacketSourceOpener, codec: str, auth: str) -> None:
    scene = SceneSpec(width_px=160, height_px=96, loop_s=4, codec=codec)
    with CameraSim(scene, SimOptions(auth=auth, user="us/er", password="p@ss:w/rd?")) as camera:
        source = opener.open(camera.url)
        packets = take(source.packets(), 15)
        source.close()
    (video,) = source.streams
    assert (video.codec, video.width_px, video.height_px) == (codec, 160, 96)
    marks = [read_mark(p.payload) for p in packets]
    numbers = [mark.number for mark in marks if mark is not None]
    assert numbers == list(range(numbers[0], numbers[0] + 15))
    assert packets[0].is_keyframe


def test_source_gives_aac_as_it_is_with_its_time(opener: AvPacketSourceOpener) -> None:
    with CameraSim(SOUND) as camera:
        source = opener.open(camera.url)
        packets = take(source.packets(), 60)
        source.close()
    video, audio = source.streams
    assert (video.codec, audio.codec, audio.sample_rate_hz) == ("h264", "aac", 48_000)
    assert len(audio.extradata) >= len(AAC_48K_STEREO)
    heard = [p.pts for p in packets if p.kind is MediaKind.AUDIO and p.pts is not None]
    assert all(b - a in (1023, 1024, 1025) for a, b in pairwise(heard))


def test_source_turns_g711_into_aac_that_plays(opener: AvPacketSourceOpener) -> None:
    scene = SceneSpec(width_px=160, height_px=96, loop_s=4, sound="pcm_mulaw")
    with CameraSim(scene) as camera:
        source = opener.open(camera.url)
        packets = [p for p in take(source.packets(), 40) if p.kind is MediaKind.AUDIO]
        source.close()
    audio = source.streams[1]
    assert (audio.codec, audio.sample_rate_hz, audio.channel_count) == ("aac", 8000, 1)
    context = av.CodecContext.create("aac", "r")
    context.extradata = audio.extradata
    frames = [f for p in packets for f in context.decode(av.Packet(p.payload))]
    assert len(frames) >= len(packets) - 1 > 3
    heard = [p.pts for p in packets if p.pts is not None]
    assert [b - a for a, b in pairwise(heard)] == [1024] * (len(heard) - 1)


def test_source_says_new_parameters_before_the_first_packet_of_theirs(opener: AvPacketSourceOpener) -> None:
    with CameraSim(SCENE) as camera:
        source = opener.open(camera.url)
        packets = source.packets()
        before = source.streams
        take(packets, 12)
        camera.show(SceneSpec(width_px=320, height_px=192, loop_s=4))
        changed = next(packet for packet in packets if source.streams is not before)
        source.close()
    assert changed.is_keyframe
    assert (source.streams[0].width_px, source.streams[0].height_px) == (320, 192)


def test_source_refuses_an_address_that_is_no_rtsp(opener: AvPacketSourceOpener) -> None:
    for address in ("file:///etc/passwd", "http://camera/", "rtsp://camera/a b", "concat:rtsp://a|b"):
        with pytest.raises(CameraAddressError):
            opener.open(address)


def test_source_says_auth_when_the_password_is_wrong(opener: AvPacketSourceOpener) -> None:
    with CameraSim(SCENE) as camera, pytest.raises(CameraAuthError) as raised:
        opener.open(camera.url.replace("walk-in", "CANARYPASS"))
    assert "user name or password" in str(raised.value)
    assert_nothing_secret(raised.value)


def test_source_says_stream_when_the_path_is_unknown(opener: AvPacketSourceOpener) -> None:
    with CameraSim(SCENE) as camera, pytest.raises(CameraStreamError) as raised:
        opener.open(camera.url + "CANARYPASS")
    assert "404" in str(raised.value)
    assert_nothing_secret(raised.value)


def test_source_says_unreachable_when_the_answer_only_drips(opener: AvPacketSourceOpener) -> None:
    with CameraSim(SCENE) as camera, SlowLine(camera.port) as line:
        line.bytes_per_s = 20
        with pytest.raises(CameraUnreachableError, match="does not answer"):
            opener.open(camera.url.replace(f":{camera.port}/", f":{line.port}/"))


def test_source_says_unreachable_when_it_is_redirected_for_ever(opener: AvPacketSourceOpener) -> None:
    with CameraSim(SCENE, SimOptions(auth="none")) as camera:
        camera.faults.redirect_to = camera.bare_url
        with pytest.raises(CameraUnreachableError, match="does not answer"):
            opener.open(camera.url)


def test_source_says_what_to_do_when_the_address_has_no_password(opener: AvPacketSourceOpener) -> None:
    with CameraSim(SCENE) as camera, pytest.raises(CameraAuthError, match="add them to the address"):
        opener.open(camera.bare_url)


@pytest.mark.parametrize(
    ("status", "kind", "says"),
    [
        (403, CameraAuthError, "user name or password"),
        (453, CameraStreamError, "too many viewers"),
        (500, CameraUnreachableError, "a fault of its own"),
        (503, CameraUnreachableError, "a fault of its own"),
    ],
)
def test_source_says_what_the_camera_answers_when_it_refuses(
    opener: AvPacketSourceOpener, status: int, kind: type[CameraError], says: str
) -> None:
    with CameraSim(SCENE) as camera:
        camera.faults.answer_status = status
        with pytest.raises(kind, match=says):
            opener.open(camera.url)


def test_source_says_unreachable_when_nobody_listens(opener: AvPacketSourceOpener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(CameraUnreachableError) as raised:
        opener.open(f"rtsp://u:CANARYPASS@127.0.0.1:{port}/stream")
    assert "refused" in str(raised.value)
    assert_nothing_secret(raised.value)


def test_source_says_unreachable_when_the_name_is_unknown(opener: AvPacketSourceOpener) -> None:
    with pytest.raises(CameraUnreachableError) as raised:
        opener.open("rtsp://u:CANARYPASS@camera.invalid/stream")
    assert_nothing_secret(raised.value)


def test_source_says_unreachable_when_what_listens_never_answers(opener: AvPacketSourceOpener) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(CameraUnreachableError) as raised:
        opener.open(f"rtsp://u:CANARYPASS@127.0.0.1:{server.getsockname()[1]}/stream")
    assert "does not answer" in str(raised.value)
    assert_nothing_secret(raised.value)


@pytest.mark.parametrize("frozen", [False, True])
def test_source_says_stalled_when_the_camera_sends_nothing(opener: AvPacketSourceOpener, *, frozen: bool) -> None:
    with CameraSim(SCENE) as camera:
        source = opener.open(camera.url)
        packets = source.packets()
        take(packets, 5)
        camera.stall(frozen=frozen)
        began = time.monotonic()
        with pytest.raises(CameraStalledError):
            take(packets, 50)
        assert time.monotonic() - began < 3.0
        camera.resume()


@pytest.mark.parametrize("reset", [False, True])
def test_source_says_unreachable_when_the_camera_ends_the_session(opener: AvPacketSourceOpener, *, reset: bool) -> None:
    with CameraSim(SCENE) as camera:
        packets = opener.open(camera.url).packets()
        take(packets, 5)
        camera.drop(reset=reset)
        with pytest.raises(CameraUnreachableError):
            take(packets, 50)


def test_close_wakes_the_thread_that_waits_for_a_silent_camera() -> None:
    with CameraSim(SCENE) as camera:
        source = AvPacketSourceOpener(SystemClock(), stall_timeout_s=60).open(camera.url)
        packets = source.packets()
        take(packets, 5)
        camera.stall()
        ended: list[object] = []
        reader = threading.Thread(target=lambda: ended.append(list(packets)))
        reader.start()
        source.close()
        reader.join(5)
        assert not reader.is_alive()
        assert len(ended) == 1  # it ended without an error
        camera.resume()


def test_close_twice_and_without_reading_is_harmless(opener: AvPacketSourceOpener) -> None:
    with CameraSim(SCENE) as camera:
        source = opener.open(camera.url)
        source.close()
        source.close()
        assert list(source.packets()) == []


def test_every_error_of_the_library_becomes_one_of_ours() -> None:
    kinds = {kind for kind in vars(av.error).values() if isinstance(kind, type) and issubclass(kind, av.FFmpegError)}
    assert len(kinds) > 40
    for kind in kinds:
        for opening in (True, False):
            error = kind(1, "text", "rtsp://u:CANARYPASS@camera/")
            ours = camera_error(error, opening=opening)
            assert isinstance(ours, CameraError)
            assert_nothing_secret(ours)


def assert_nothing_secret(error: CameraError) -> None:
    assert "CANARYPASS" not in f"{error} {error!r} {error.__cause__}"
    assert error.__suppress_context__ or error.__context__ is None
