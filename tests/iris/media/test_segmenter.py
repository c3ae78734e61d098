from dataclasses import replace

from iris.domain.packet import EncodedPacket
from iris.media.segmenter import Segmenter, SegmentSums
from tests.builders.packets import packet_sequence, sound_sequence


def cuts(packets: list[EncodedPacket], segment_us: int = 2_000_000) -> list[int]:
    segmenter = Segmenter(segment_us)
    found = []
    for index, packet in enumerate(packets):
        if segmenter.begins_segment(packet):
            segmenter.begin(packet)
            found.append(index)
        segmenter.add(packet)
    return found


def test_segmenter_cuts_at_the_first_keyframe_when_a_segment_is_long_enough() -> None:
    assert cuts(packet_sequence(n=120, gop=12, fps=15)) == [0, 36, 72, 108]


def test_segmenter_waits_for_a_keyframe_when_they_come_ten_seconds_apart() -> None:
    assert cuts(packet_sequence(n=400, gop=150, fps=15)) == [0, 150, 300]


def test_segmenter_cuts_at_the_next_keyframe_when_the_run_has_ended() -> None:
    segmenter = Segmenter(2_000_000)
    packets = packet_sequence(n=24, gop=12)
    segmenter.begin(packets[0])
    assert not segmenter.begins_segment(packets[12])
    segmenter.end_run()
    assert segmenter.begins_segment(packets[12])
    assert not segmenter.begins_segment(packets[13])


def test_segmenter_never_cuts_at_sound() -> None:
    assert not Segmenter(0).begins_segment(sound_sequence(n=1)[0])


def test_segmenter_sums_up_to_the_end_of_the_last_picture_shown_when_they_are_reordered() -> None:
    segmenter = Segmenter(2_000_000)
    packets = packet_sequence(pts_order=[0, 3, 1, 2], gop=4)
    segmenter.begin(packets[0])
    for packet in [*packets, *sound_sequence(n=3)]:
        segmenter.add(packet)
    assert segmenter.sums() == SegmentSums(4, 3, 266_666, 266_666)


def test_segmenter_measures_the_longest_gop_when_they_differ() -> None:
    segmenter = Segmenter(60_000_000)
    packets = packet_sequence(n=30, gop=10)
    packets[10] = replace(packets[10], is_keyframe=False)
    segmenter.begin(packets[0])
    for packet in packets:
        segmenter.add(packet)
    assert segmenter.sums().max_gop_us == 20 * 6000 * 100 // 9
