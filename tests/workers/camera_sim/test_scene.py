"""The generated scene: its numbers can be read back, its motion is where it says, its times are exact."""

from __future__ import annotations

from collections.abc import Iterator

import av
import cv2
import numpy as np
import pytest
from av.packet import Packet

from iris.domain.frame import UInt8Array
from iris.vision.motion import GATE_SIZE_PX, MotionGate
from tests.assets import film as asset
from workers.camera_sim.encode import encode_scene
from workers.camera_sim.film import Film, read_film
from workers.camera_sim.scene import SceneSpec, read_barcode
from workers.camera_sim.stage import Showing, schedule

SHORT = SceneSpec(loop_s=6, walk_at_s=3, walk_s=2)


def _lumas(film: Film, codec: str = "h264") -> Iterator[UInt8Array]:
    context = av.CodecContext.create(codec, "r")
    units = [unit for unit in film.units if film.streams[unit.stream_index].is_video]
    packets = [Packet(b"".join(b"\x00\x00\x00\x01" + part for part in unit.parts)) for unit in units]
    for packet in [*packets, None]:
        for frame in context.decode(packet):  # type: ignore[attr-defined]  # a video context, made by name
            yield np.asarray(frame.to_ndarray(format="gray"), np.uint8)


@pytest.mark.parametrize(
    "spec",
    [
        SHORT,
        SceneSpec(loop_s=3, b_frame_count=2),
        SceneSpec(loop_s=3, codec="hevc"),
        SceneSpec(loop_s=3, noise_luma=3, bit_rate_bps=1_000_000),
    ],
)
def test_every_picture_carries_its_number_when_decoded(spec: SceneSpec) -> None:
    assert [read_barcode(luma) for luma in _lumas(encode_scene(spec), spec.codec)] == list(range(spec.picture_count))


def test_nothing_moves_until_somebody_walks_in() -> None:
    gate = MotionGate()
    small = [cv2.resize(luma, GATE_SIZE_PX, interpolation=cv2.INTER_AREA) for luma in _lumas(encode_scene(SHORT))]
    moving = [gate.moving(np.asarray(luma, np.uint8), number * 100_000) for number, luma in enumerate(small)]
    assert moving[1:30] == [False] * 29  # the first picture counts as motion
    assert moving[30:50] == [True] * 20


def test_keyframes_come_as_often_as_asked() -> None:
    film = encode_scene(SceneSpec(loop_s=6, keyframe_interval_s=2))
    assert [unit.number for unit in film.units if unit.is_keyframe] == [0, 20, 40]


def test_pictures_are_sent_in_decoding_order_and_shown_in_their_own() -> None:
    film = encode_scene(SceneSpec(loop_s=2, b_frame_count=2))
    assert sorted(unit.number for unit in film.units) == list(range(20))
    assert [unit.number for unit in film.units] != list(range(20))
    assert {unit.rtp_ticks for unit in film.units} == {number * 9_000 for number in range(20)}
    assert [unit.send_us for unit in film.units] == [number * 100_000 for number in range(20)]


def test_sound_lasts_as_long_as_the_pictures() -> None:
    film = encode_scene(SceneSpec(loop_s=2, sound="aac"))
    sounds = [unit for unit in film.units if unit.stream_index == 1]
    assert film.streams[1].config != b""
    assert [unit.rtp_ticks for unit in sounds] == [1024 * n for n in range(len(sounds))]
    assert len(sounds) == 94  # 2 s of 1024 samples at 48 kHz


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"width_px": 100}, "at least"),
        ({"codec": "av1"}, "h264 or hevc"),
        ({"fps": 0}, "1 to 120"),
        ({"sound": "mp3"}, "sound"),
    ],
)
def test_impossible_scene_is_refused(change: dict[str, int | str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SceneSpec(**change)  # type: ignore[arg-type]  # a table of wrong values


@pytest.mark.assets
def test_film_keeps_its_pictures_and_its_length() -> None:
    film = read_film(asset("one-by-one.mp4"))
    assert (film.picture_count, film.duration_us) == (1394, 139_400_000)


@pytest.mark.assets
def test_film_keeps_its_sound_in_sync() -> None:
    film = read_film(asset("cars-with-sound.mp4"))
    sounds = [unit for unit in film.units if unit.stream_index == 1]
    assert film.streams[1].config == b"\x11\x90"
    assert [unit.rtp_ticks for unit in sounds[:3]] == [0, 1024, 2048]


def test_schedule_starts_at_the_next_keyframe_and_goes_round() -> None:
    showing = Showing(encode_scene(SceneSpec(loop_s=2)), epoch_us=1_000_000, first_number=100)
    due = schedule(showing, now_us=1_050_000)
    numbers = [(item.number, item.due_us) for item, _ in zip(due, range(12), strict=False)]
    assert numbers[0] == (110, 2_000_000)
    assert numbers[10] == (120, 3_000_000)  # the next loop


def test_schedule_ends_when_a_film_plays_once() -> None:
    showing = Showing(encode_scene(SceneSpec(loop_s=2)), epoch_us=0, once=True)
    assert [item.number for item in schedule(showing, now_us=0)] == list(range(20))
