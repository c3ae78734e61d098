import pytest

from iris.media.parameter_sets import (
    PictureFormat,
    has_picture_parameters,
    in_band_parameter_sets,
    picture_format,
)
from tests.builders.packets import encoded_stream


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize("size", [(160, 96), (176, 144), (200, 120)])
def test_picture_format_says_size_and_reordering_when_there_are_b_frames(codec: str, size: tuple[int, int]) -> None:
    _, packets = encoded_stream(codec=codec, n=4, gop=4, b_frames=2, size=size)
    sets = in_band_parameter_sets(codec, packets[0].payload)
    form = picture_format(codec, sets)
    assert form is not None
    assert (form.width_px, form.height_px) == size
    assert form.reorder_count in (1, 2)


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_picture_format_says_no_reordering_when_there_are_no_b_frames(codec: str) -> None:
    params, _ = encoded_stream(codec=codec, n=4, gop=4)
    assert picture_format(codec, params.extradata) == PictureFormat(160, 96, 0)


def test_in_band_parameter_sets_are_empty_when_the_packet_has_only_a_slice() -> None:
    _, packets = encoded_stream(n=4, gop=4)
    assert in_band_parameter_sets("h264", packets[1].payload) == b""


def test_in_band_parameter_sets_are_equal_when_start_codes_differ_in_length() -> None:
    params, packets = encoded_stream(n=4, gop=4)
    short = packets[0].payload.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01")
    assert in_band_parameter_sets("h264", short) == params.extradata


def test_has_picture_parameters_is_false_when_only_one_kind_is_there() -> None:
    params, _ = encoded_stream(n=4, gop=4)
    only_sps = params.extradata[: params.extradata.index(b"\x00\x00\x01", 4)]
    assert has_picture_parameters("h264", params.extradata)
    assert not has_picture_parameters("h264", only_sps)


def test_picture_format_is_none_when_the_set_is_cut_off() -> None:
    assert picture_format("h264", b"\x00\x00\x00\x01\x67\x42") is None
    assert picture_format("h264", b"") is None


def test_picture_format_reads_a_baseline_camera_when_it_has_no_usability_information() -> None:
    # 640x480, profile 66, order type 2; built by hand from H.264 7.3.2.1.
    bits = "010000101100000000011110110110100" + ue(39) + ue(29) + "1" + "1" + "0" + "0" + "1"
    data = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    assert picture_format("h264", b"\x00\x00\x01\x67" + data) == PictureFormat(640, 480, 0)


def ue(value: int) -> str:
    """Exp-Golomb code of a number."""
    code = f"{value + 1:b}"
    return "0" * (len(code) - 1) + code
