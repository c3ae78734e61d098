import threading
import time
from dataclasses import replace

from iris.domain.segment import GapReason
from iris.media.timeline import PlacedPacket
from iris.pipeline.packet_buffer import EndRun, PacketBuffer
from tests.builders.packets import packet_sequence

KILO = b"x" * 1000


def placed(n: int, gop: int = 4) -> list[PlacedPacket]:
    return [PlacedPacket(replace(p, payload=KILO), i) for i, p in enumerate(packet_sequence(n=n, gop=gop))]


def numbers(items: list[object]) -> list[object]:
    return [item.wall_us if isinstance(item, PlacedPacket) else type(item).__name__ for item in items]


def test_buffer_gives_everything_in_order_when_it_fits() -> None:
    buffer = PacketBuffer(max_bytes=100_000)
    for item in placed(10):
        buffer.put(item)
    assert numbers(list(buffer.take_all())) == list(range(10))
    assert buffer.take_all() == []
    assert buffer.byte_count == 0


def test_buffer_drops_the_oldest_whole_gop_when_it_is_full() -> None:
    buffer = PacketBuffer(max_bytes=8_000)
    for item in placed(10):
        buffer.put(item)
    assert numbers(list(buffer.take_all())) == ["Hole", *range(4, 10)]
    assert buffer.dropped_packet_count == 4


def test_buffer_keeps_marks_when_it_drops() -> None:
    buffer = PacketBuffer(max_bytes=4_000)
    items = placed(12)
    for item in items[:4]:
        buffer.put(item)
    buffer.mark(EndRun(GapReason.STOPPED))
    for item in items[4:]:
        buffer.put(item)
    assert numbers(list(buffer.take_all())) == ["Hole", "EndRun", "Hole", 8, 9, 10, 11]


def test_buffer_skips_to_the_next_keyframe_when_one_gop_alone_is_too_large() -> None:
    buffer = PacketBuffer(max_bytes=3_000)
    for item in placed(10, gop=6):
        buffer.put(item)
    assert buffer.byte_count == 0
    assert numbers(list(buffer.take_all())) == ["Hole", "Hole"]


def test_buffer_never_cuts_a_gop_in_two_when_its_head_was_taken_already() -> None:
    buffer = PacketBuffer(max_bytes=3_000)
    items = placed(12, gop=6)
    for item in items[:3]:
        buffer.put(item)
    assert numbers(list(buffer.take_all())) == [0, 1, 2]
    for item in items[3:8]:
        buffer.put(item)
    # The rest of the first GOP (3, 4, 5) went as one, and the writer hears of it before the next keyframe.
    assert numbers(list(buffer.take_all())) == ["Hole", 6, 7]


def test_buffer_wakes_the_writer_for_a_keyframe_a_fragment_and_a_mark_only() -> None:
    frame_us = 100_000
    buffer = PacketBuffer(hand_over_us=400_000)
    woken = []
    for item in placed(13, gop=6):
        buffer.put(replace(item, wall_us=item.wall_us * frame_us))
        if is_due(buffer):
            woken.append(item.wall_us)
    # Keyframes are 0, 6 and 12; four pictures after the last waking are 0.4 s.
    assert woken == [0, 4, 6, 10, 12]
    buffer.mark(EndRun(GapReason.STOPPED))
    assert is_due(buffer)


def test_buffer_wakes_the_writer_when_the_clock_was_set_back() -> None:
    buffer = PacketBuffer(hand_over_us=400_000)
    first, second = placed(2)
    buffer.put(replace(first, wall_us=10_000_000))
    assert is_due(buffer)
    buffer.put(replace(second, wall_us=5_000_000))
    assert is_due(buffer)


def test_buffer_lets_the_writer_sleep_until_it_is_stirred() -> None:
    buffer = PacketBuffer(hand_over_us=400_000)
    waited = threading.Thread(target=buffer.wait, args=(30,))
    waited.start()
    buffer.stir()
    waited.join(5)
    assert not waited.is_alive()


def is_due(buffer: PacketBuffer) -> bool:
    """Whether a wait would end at once."""
    began = time.monotonic()
    buffer.wait(0.05)
    return time.monotonic() - began < 0.04
