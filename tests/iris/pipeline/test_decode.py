import threading
from dataclasses import replace
from fractions import Fraction

import pytest

from iris.base.errors import CameraStreamError
from iris.base.ids import RunId
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from iris.domain.segment import RunStart
from iris.pipeline.decode import DecodeStage, PacketQueue, PacketsDropped, TimedPacket
from tests.fakes.detection import FakeDecoder, FakeDecoderOpener

S = 1_000_000
VIDEO = CodecParams(MediaKind.VIDEO, "h264", Fraction(1, 90_000))
RUN = RunStart(RunId("one"), VIDEO, None, keyframe_interval_us=S)


def packet(*, key: bool, size: int = 100) -> EncodedPacket:
    return EncodedPacket(MediaKind.VIDEO, b"\x5a" * size, None, None, Fraction(1, 90_000), key)


def put(queue: PacketQueue, keys: str, *, size: int = 100) -> None:
    """One packet per letter, `K` for a keyframe."""
    for index, letter in enumerate(keys):
        queue.put(packet(key=letter == "K", size=size), index)


def shape(queue: PacketQueue) -> str:
    """What is queued: R run, D hole, K keyframe, p packet."""
    letters = {RunStart: "R", PacketsDropped: "D"}
    return "".join(
        ("K" if item.packet.is_keyframe else "p") if isinstance(item, TimedPacket) else letters[type(item)]
        for item in queue.take_all(0)
    )


@pytest.mark.parametrize(
    ("keys", "expected", "overflows", "dropped"),
    [
        ("Kppp", "Kppp", 0, 0),
        ("ppKp", "Kp", 0, 2),  # a run begins at a keyframe
        ("KpppK", "DK", 1, 4),  # full at a keyframe: it is the first of what follows
        ("KppppKp", "DKp", 1, 5),  # full between keyframes: the rest of that GOP goes too
        ("KpppppppKp", "DKp", 1, 8),  # one overflow is counted once
    ],
)
def test_queue_drops_to_the_next_keyframe_when_full(keys: str, expected: str, overflows: int, dropped: int) -> None:
    queue = PacketQueue(max_packets=4)
    put(queue, keys)
    assert shape(queue) == expected
    assert (queue.overflow_count, queue.dropped_count) == (overflows, dropped)


def test_queue_is_bounded_by_bytes_and_always_takes_one_packet() -> None:
    queue = PacketQueue(max_packets=99, max_bytes=250)
    put(queue, "Kpp")
    assert shape(queue) == "D"
    put(queue, "K", size=1_000)
    assert shape(queue) == "K"


def test_queue_keeps_the_newest_run_when_it_overflows() -> None:
    queue = PacketQueue(max_packets=2)
    queue.put_run(RUN)
    put(queue, "Kp")
    queue.put_run(replace(RUN, run_id=RunId("two")))
    put(queue, "KpKp")
    items = queue.take_all(0)
    assert isinstance(items[0], RunStart)
    assert items[0].run_id == "two"
    assert len(items) == 3


def test_queue_is_refilled_after_it_was_taken() -> None:
    queue = PacketQueue(max_packets=3)
    for _ in range(5):
        put(queue, "Kpp")
        assert shape(queue) == "Kpp"
    assert queue.overflow_count == 0


def test_putting_never_waits_when_nobody_takes() -> None:
    queue = PacketQueue(max_packets=10)
    putting = threading.Thread(target=put, args=(queue, "Kppp" * 5_000), daemon=True)
    putting.start()
    putting.join(10)
    assert not putting.is_alive()
    assert len(queue.take_all(0)) <= 11


def test_take_wakes_up_when_stirred() -> None:
    queue = PacketQueue()
    taken: list[int] = []
    taking = threading.Thread(target=lambda: taken.append(len(queue.take_all(60))), daemon=True)
    taking.start()
    queue.stir()
    taking.join(10)
    assert taken == [0]


def feed(stage: DecodeStage, keys: str, *, idle: bool) -> list[tuple[int, bool]]:
    return [
        (sight.picture.wall_us, sight.glance)
        for index, letter in enumerate(keys)
        for sight in stage.feed(TimedPacket(packet(key=letter == "K"), index * 100_000), idle=idle, due=True)
    ]


def test_stage_decodes_anew_with_each_run() -> None:
    opener = FakeDecoderOpener()
    stage = DecodeStage(opener)
    stage.run_started(RUN)
    feed(stage, "Kp", idle=False)
    opener.decoders[0].damaged_count = 3
    stage.run_started(RUN)
    feed(stage, "pKp", idle=False)  # what precedes the first keyframe of a run is not decodable
    assert [len(decoder.fed) for decoder in opener.decoders] == [2, 2]
    assert (stage.decoded_count, stage.damaged_count) == (4, 3)


def test_stage_glances_and_resumes() -> None:
    opener = FakeDecoderOpener()
    stage = DecodeStage(opener)
    stage.run_started(RUN)
    assert feed(stage, "KpppppppppKpp", idle=True) == [(0, True), (10 * 100_000, True)]
    assert stage.keyframes_only
    assert [sight.picture.wall_us // 100_000 for sight in stage.resume()] == list(range(13))
    assert not stage.keyframes_only


def test_stage_forgets_references_when_packets_were_dropped() -> None:
    opener = FakeDecoderOpener()
    stage = DecodeStage(opener)
    stage.run_started(RUN)
    feed(stage, "Kp", idle=False)
    stage.dropped()
    assert opener.decoders[0].flush_count == 1
    assert feed(stage, "pp", idle=False) == []


def test_stage_decodes_nothing_and_says_why_when_there_is_no_decoder() -> None:
    class NoDecoder:
        def open(self, video: CodecParams) -> FakeDecoder:
            raise CameraStreamError(f"no decoder for the video codec {video.codec!r}")

    stage = DecodeStage(NoDecoder())
    stage.run_started(RUN)
    assert feed(stage, "Kp", idle=False) == []
    assert stage.sentence == "no decoder for the video codec 'h264'"
