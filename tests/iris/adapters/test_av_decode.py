from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from iris.adapters.av_decode import AvDecoderOpener
from iris.base.errors import CameraStreamError
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from tests.assets import film
from tests.builders.film_packets import EPOCH_US, film_packets, grey_with_box, scene_packets

BOX = (100, 40, 140, 120)


def test_decoder_gives_each_picture_its_own_time_when_b_frames_reorder() -> None:
    video, packets = film_packets(film("one-by-one.mp4"))
    decoder = AvDecoderOpener().open(video)
    times = [picture.wall_us for item in packets[:100] for picture in decoder.decode(item.packet, item.wall_us)]
    assert times == [EPOCH_US + i * 100_000 for i in range(len(times))]
    assert len(times) >= 97
    assert decoder.damaged_count == 0


def test_decoder_needs_neither_pts_nor_dts_of_the_camera() -> None:
    video, packets = scene_packets(lambda _: grey_with_box(BOX), seconds=1)
    decoder = AvDecoderOpener().open(video)
    bare = [replace(item.packet, pts=None, dts=None) for item in packets]
    times = [p.wall_us for i, packet in enumerate(bare) for p in decoder.decode(packet, i * 1000)]
    assert times == [i * 1000 for i in range(10)]


def test_keyframe_alone_is_the_same_picture_at_once_when_the_stream_has_b_frames() -> None:
    video, packets = film_packets(film("one-by-one.mp4"))
    keyframes = [item for item in packets if item.packet.is_keyframe][:6]
    alone = AvDecoderOpener().open(video)
    everything = AvDecoderOpener().open(video)
    expected = {p.wall_us: p.frame().rgb for i in packets[:70] for p in everything.decode(i.packet, i.wall_us)}
    for item in keyframes:
        picture = alone.decode_keyframe(item.packet, item.wall_us)
        assert picture is not None
        assert picture.wall_us == item.wall_us
        assert np.array_equal(picture.frame().rgb, expected[item.wall_us])


def test_decoder_goes_on_with_the_gop_after_a_keyframe_alone() -> None:
    video, packets = film_packets(film("one-by-one.mp4"))
    decoder = AvDecoderOpener().open(video)
    decoder.decode_keyframe(packets[0].packet, packets[0].wall_us)
    times = [p.wall_us for item in packets[:30] for p in decoder.decode(item.packet, item.wall_us)]
    assert times == [EPOCH_US + i * 100_000 for i in range(len(times))]
    assert len(times) >= 27
    assert decoder.damaged_count == 0


def test_picture_converts_to_the_sizes_asked_for_with_the_right_colours() -> None:
    def draw(_: float) -> np.ndarray:
        rgb = grey_with_box(None)
        rgb[40:120, 100:140] = (220, 30, 40)
        return rgb

    video, packets = scene_packets(draw, seconds=0.2)
    picture = AvDecoderOpener().open(video).decode_keyframe(packets[0].packet, 7)
    assert picture is not None
    assert picture.size_px == (320, 180)
    assert picture.luma((160, 90)).shape == (90, 160)
    for rgb in (picture.frame().rgb, picture.scaled_rgb((160, 90)), picture.scaled_rgb((640, 360))):
        height, width = rgb.shape[:2]
        inside, outside = rgb[height * 80 // 180, width * 120 // 320], rgb[height // 10, width // 10]
        assert inside.tolist() == pytest.approx([220, 30, 40], abs=25)
        assert outside.tolist() == pytest.approx([90, 90, 90], abs=8)
    assert picture.frame().wall_us == 7


@pytest.mark.parametrize(("codec", "pix_fmt"), [("mjpeg", "yuvj422p"), ("libx264", "yuv444p"), ("libx264", "gray")])
def test_picture_has_brightness_and_colour_in_any_pixel_format(codec: str, pix_fmt: str) -> None:
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 322, 182, pix_fmt
    encoder.time_base = Fraction(1, 10)
    source = av.VideoFrame.from_ndarray(grey_with_box(BOX, (322, 182)), format="rgb24").reformat(format=pix_fmt)
    source.pts = 0
    payload = b"".join(bytes(packet) for packet in [*encoder.encode(source), *encoder.encode(None)])
    params = CodecParams(MediaKind.VIDEO, "mjpeg" if codec == "mjpeg" else "h264", Fraction(1, 10))
    packet = EncodedPacket(MediaKind.VIDEO, payload, 0, 0, Fraction(1, 10), is_keyframe=True)
    picture = AvDecoderOpener().open(params).decode_keyframe(packet, 7)
    assert picture is not None
    assert int(picture.luma((160, 90))[40, 60]) - int(picture.luma((160, 90))[5, 5]) > 80
    assert picture.scaled_rgb((160, 90))[40, 60].tolist() == pytest.approx([220] * 3, abs=25)
    assert picture.frame().rgb.shape == (182, 322, 3)


def test_decoder_counts_damage_and_sees_again_at_the_next_keyframe() -> None:
    video, packets = scene_packets(lambda _: grey_with_box(BOX), seconds=2, gop=10)
    decoder = AvDecoderOpener().open(video)
    broken = replace(packets[0].packet, payload=b"\x00\x00\x00\x10garbagegarbage!!")
    assert list(decoder.decode(broken, 0)) == []
    assert decoder.damaged_count == 1
    assert list(decoder.decode(replace(broken, payload=b""), 0)) == []  # an empty packet would end the stream
    assert sum(len(decoder.decode(item.packet, item.wall_us)) for item in packets[10:]) == 10


@pytest.mark.parametrize("codec", ["no-such-codec", "aac"])
def test_opener_says_so_when_there_is_no_decoder(codec: str) -> None:
    with pytest.raises(CameraStreamError, match=codec):
        AvDecoderOpener().open(CodecParams(MediaKind.VIDEO, codec, Fraction(1, 90_000)))
