from dataclasses import replace
from itertools import pairwise

import pytest

from iris.domain.packet import EncodedPacket
from iris.media.timeline import ArrivedPacket, DiscontinuityError, PlacedPacket, Timeline
from tests.builders.packets import packet_sequence, shifted, sound_sequence

WALL_OFFSET_US = 1_700_000_000_000_000
STEP = 6000  # ticks of one picture at 15 fps
# Decoding order of I P B B with one B frame of depth: display positions.
B_ORDER = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11]


def arrivals(packets: list[EncodedPacket], *, start_us: int = 50_000_000, step_us: int = 66_667) -> list[ArrivedPacket]:
    return [ArrivedPacket(packet, start_us + i * step_us) for i, packet in enumerate(packets)]


def placed(items: list[ArrivedPacket], *, hint: int | None = 0, opening: int = 8) -> list[PlacedPacket]:
    timeline = Timeline(items[:opening], hint, WALL_OFFSET_US)
    return [p for item in items if (p := timeline.place(item.packet, item.arrived_us)) is not None]


def stamps(result: list[PlacedPacket]) -> list[int]:
    return [item.packet.pts for item in result if item.packet.pts is not None]


def assert_muxable(result: list[PlacedPacket]) -> None:
    dts = [item.packet.dts for item in result if item.packet.dts is not None]
    assert len(dts) == len(result)
    assert all(after > before for before, after in pairwise(dts))
    assert all(d <= p for d, p in zip(dts, stamps(result), strict=True))


def test_timeline_counts_from_the_first_keyframe_when_the_camera_counts_from_anywhere() -> None:
    result = placed(arrivals(packet_sequence(n=20, start=123_456)))
    assert stamps(result) == [i * STEP for i in range(20)]
    assert [item.packet.dts for item in result] == stamps(result)


def test_timeline_goes_on_when_rtp_time_wraps() -> None:
    packets = packet_sequence(n=40, start=2**32 - 10 * STEP)
    wrapped = [replace(p, pts=(p.pts or 0) % 2**32) for p in packets]
    assert stamps(placed(arrivals(wrapped))) == [i * STEP for i in range(40)]


def test_timeline_wraps_with_reordered_pictures_when_they_straddle_the_wrap() -> None:
    packets = packet_sequence(pts_order=B_ORDER, start=2**32 - 6 * STEP)
    wrapped = [replace(p, pts=(p.pts or 0) % 2**32) for p in packets]
    result = placed(arrivals(wrapped), hint=2)
    assert stamps(result) == [i * STEP for i in B_ORDER]
    assert_muxable(result)


@pytest.mark.parametrize("hint", [None, 2])
def test_timeline_makes_stamps_that_a_muxer_takes_when_pictures_are_reordered(hint: int | None) -> None:
    result = placed(arrivals(packet_sequence(pts_order=B_ORDER)), hint=hint)
    assert stamps(result) == [i * STEP for i in B_ORDER]
    assert_muxable(result)


def test_timeline_finds_the_first_pts_when_rtsp_gives_none() -> None:
    packets = packet_sequence(pts_order=B_ORDER)
    packets[0] = replace(packets[0], pts=None)
    result = placed(arrivals(packets), hint=2)
    assert stamps(result) == [i * STEP for i in B_ORDER]


def test_timeline_fills_in_a_pts_when_one_is_missing_in_the_middle() -> None:
    packets = packet_sequence(n=20)
    packets[10] = replace(packets[10], pts=None)
    assert stamps(placed(arrivals(packets))) == [i * STEP for i in range(20)]


@pytest.mark.parametrize(
    ("ticks", "kind"), [(11 * 90_000, "forward"), (2 * 90_000, "forward"), (-2 * 90_000, "backward")]
)
def test_timeline_reports_a_discontinuity_when_stamps_jump(ticks: int, kind: str) -> None:
    packets = packet_sequence(n=20)
    with pytest.raises(DiscontinuityError) as raised:
        placed(arrivals([*packets[:12], *shifted(packets[12:], ticks)]))
    assert raised.value.kind == kind


def test_timeline_takes_a_pause_as_time_when_the_camera_was_silent_for_it() -> None:
    packets = packet_sequence(n=20)
    items = arrivals(packets[:12])
    late = [
        ArrivedPacket(p, items[-1].arrived_us + 3_000_000 + i * 66_667)
        for i, p in enumerate(shifted(packets[12:], 3 * 90_000))
    ]
    assert stamps(placed([*items, *late]))[12] == 12 * STEP + 3 * 90_000


def test_timeline_heals_a_small_step_back_when_no_picture_is_reordered() -> None:
    packets = packet_sequence(n=20)
    result = placed(arrivals([*packets[:12], *shifted(packets[12:], -3 * STEP)]))
    assert stamps(result) == [i * STEP for i in range(20)]
    assert_muxable(result)


def test_timeline_reports_reordering_when_the_parameters_kept_quiet_about_it() -> None:
    plain, reordered = packet_sequence(n=12), packet_sequence(pts_order=[12, 15, 13, 14])
    with pytest.raises(DiscontinuityError) as raised:
        placed(arrivals([*plain, *reordered]), hint=None)
    assert raised.value.kind == "reorder"


def test_timeline_anchors_to_the_least_late_packet_when_the_first_ones_come_in_a_burst() -> None:
    packets = packet_sequence(n=30)
    burst = [ArrivedPacket(p, 50_000_000) for p in packets[:15]]
    rest = [ArrivedPacket(p, 50_000_000 + (i + 1) * 66_667) for i, p in enumerate(packets[15:])]
    result = placed([*burst, *rest], opening=20)
    # Picture 14 is the newest of the burst: it was taken when it came, picture 0 fourteen intervals before.
    expected_us = WALL_OFFSET_US + 50_000_000 - 14 * 66_667
    assert abs(result[0].wall_us - expected_us) < 100
    assert abs(result[29].wall_us - result[0].wall_us - 29 * 66_667) < 100


def test_timeline_takes_what_the_source_held_back_off_the_wall_time() -> None:
    items = arrivals(packet_sequence(n=10))
    held = Timeline(items, 0, WALL_OFFSET_US, held_back_count=1).place(items[0].packet, items[0].arrived_us)
    prompt = Timeline(items, 0, WALL_OFFSET_US).place(items[0].packet, items[0].arrived_us)
    assert held is not None
    assert prompt is not None
    assert abs(prompt.wall_us - held.wall_us - 66_666) <= 1


def test_timeline_follows_a_drifting_camera_clock_by_500_ppm_when_it_runs_wrong() -> None:
    drift = 1.002  # the camera's clock is 2000 ppm slow
    packets = packet_sequence(n=15 * 120, gop=15)
    items = [ArrivedPacket(p, 50_000_000 + round(i * 66_666.7 * drift)) for i, p in enumerate(packets)]
    result = placed(items)
    media_us = 120 * 1_000_000
    slewed_us = result[-1].wall_us - result[0].wall_us - media_us + 66_667
    # The least late packet of the first 30 s is its first one; from 60 s on it slews by 500 ppm: 30 ms.
    assert 27_000 < slewed_us < 31_000
    steps = [b.wall_us - a.wall_us for a, b in pairwise(result)]
    assert max(steps) <= 66_667 + 35  # 500 ppm of 67 ms is 33 us


def test_timeline_does_not_slew_when_packets_are_merely_late_now_and_then() -> None:
    packets = packet_sequence(n=15 * 100, gop=15)
    items = [
        ArrivedPacket(p, 50_000_000 + round(i * 66_666.7) + (400_000 if 600 < i % 900 < 640 else i * 7919 % 13_000))
        for i, p in enumerate(packets)
    ]
    result = placed(items)
    assert abs(result[-1].wall_us - result[0].wall_us - 1499 * 1_000_000 // 15) < 1_000


def test_timeline_keeps_sound_in_time_with_pictures_when_it_starts_earlier() -> None:
    video, audio = packet_sequence(n=20, start=90_000), sound_sequence(n=80, start=40_000)
    items = [ArrivedPacket(p, 50_000_000 + i * 66_667) for i, p in enumerate(video)]
    timeline = Timeline(items[:8], 0, WALL_OFFSET_US)
    for item in items:
        timeline.place(item.packet, item.arrived_us)
    heard = [p for a in audio if (p := timeline.place(a, 52_000_000)) is not None]
    # Sound before the first picture (48,000 ticks) is dropped; the rest counts from it.
    assert heard[0].packet.pts == 40_000 + 8 * 1024 - 48_000
    assert timeline.audio_dropped_count == 8


def test_timeline_drops_sound_alone_when_its_stamps_jump() -> None:
    video, audio = packet_sequence(n=20), sound_sequence(n=10)
    items = arrivals(video)
    timeline = Timeline(items[:8], 0, WALL_OFFSET_US)
    for item in items:
        timeline.place(item.packet, item.arrived_us)
    far = replace(audio[0], pts=48_000 * 3600)
    first, gone, back = (timeline.place(a, 51_000_000) for a in (audio[0], far, audio[1]))
    assert gone is None
    assert first is not None
    assert back is not None
    assert back.packet.pts == 1024
