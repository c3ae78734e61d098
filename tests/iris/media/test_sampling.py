from fractions import Fraction

import pytest

from iris.domain.packet import EncodedPacket, MediaKind
from iris.media.sampling import DecodePlan, KeyframeCadence, Sampler

S = 1_000_000
FRAME_US = 100_000


def packet(*, key: bool, size: int = 100) -> EncodedPacket:
    return EncodedPacket(MediaKind.VIDEO, b"x" * size, None, None, Fraction(1, 90_000), key)


class Feeder:
    """Ten pictures a second, a keyframe every `gop`; writes down what the plan lets through."""

    def __init__(self, plan: DecodePlan, gop: int = 10) -> None:
        self.plan = plan
        self.gop = gop
        self.index = 0

    def feed(self, count: int, *, idle: bool, due: bool = True, size: int = 100) -> list[tuple[int, bool]]:
        """(index of the packet, alone) of each step."""
        steps = []
        for _ in range(count):
            key = self.index % self.gop == 0
            fed = self.plan.feed(packet(key=key, size=size), self.index * FRAME_US, idle=idle, due=due)
            steps += [(step.wall_us // FRAME_US, step.alone) for step in fed]
            self.index += 1
        return steps


@pytest.mark.parametrize(
    ("known_us", "keyframes_us", "often"),
    [
        (None, [0], False),  # nothing known yet
        (None, [0, S], False),  # one interval may be chance
        (None, [0, S, 2 * S], True),
        (None, [0, S, 3 * S], False),  # one of them was longer
        (S, [0], True),  # known from earlier runs
        (2 * S, [0, S], False),
        (2 * S, [0, S, 2 * S], True),  # the camera was set anew
        (S, [0, 4 * S], False),  # the same, the other way
        (None, [0, 1_066_666, 2_133_332], True),  # "one second" at 15 frames a second
    ],
)
def test_cadence_knows_whether_keyframes_come_every_second(
    known_us: int | None, keyframes_us: list[int], often: bool
) -> None:
    cadence = KeyframeCadence(known_us)
    for at in keyframes_us:
        cadence.packet(is_keyframe=True, wall_us=at)
    assert cadence.often is often


def test_cadence_ends_when_a_keyframe_is_overdue() -> None:
    cadence = KeyframeCadence(S)
    cadence.packet(is_keyframe=True, wall_us=0)
    cadence.packet(is_keyframe=False, wall_us=1_000_000)
    assert cadence.often
    cadence.packet(is_keyframe=False, wall_us=1_200_000)
    assert not cadence.often


def test_plan_decodes_everything_while_active() -> None:
    feeder = Feeder(DecodePlan(S))
    assert feeder.feed(25, idle=False) == [(i, False) for i in range(25)]


def test_plan_decodes_keyframes_alone_while_idle() -> None:
    feeder = Feeder(DecodePlan(S))
    assert feeder.feed(25, idle=True) == [(0, True), (10, True), (20, True)]
    assert feeder.plan.keyframes_only


def test_plan_turns_to_keyframes_at_a_keyframe_only() -> None:
    feeder = Feeder(DecodePlan(S))
    feeder.feed(5, idle=False)
    assert feeder.feed(10, idle=True) == [(5, False), (6, False), (7, False), (8, False), (9, False), (10, True)]


def test_plan_leaves_out_keyframes_that_nobody_would_look_at() -> None:
    feeder = Feeder(DecodePlan(S), gop=1)  # a camera that sends keyframes only
    assert feeder.feed(3, idle=True, due=False) == []
    assert feeder.feed(1, idle=True) == [(3, True)]


def test_plan_decodes_everything_when_keyframes_are_rare() -> None:
    feeder = Feeder(DecodePlan(2 * S), gop=20)
    assert feeder.feed(45, idle=True) == [(i, False) for i in range(45)]


def test_plan_resumes_with_the_gop_before_and_then_everything() -> None:
    feeder = Feeder(DecodePlan(S))
    feeder.feed(23, idle=True)
    resumed = [step.wall_us // FRAME_US for step in feeder.plan.resume()]
    assert resumed == list(range(10, 23))
    assert feeder.feed(3, idle=False) == [(23, False), (24, False), (25, False)]


def test_plan_goes_on_from_the_kept_keyframe_when_the_scene_is_not_idle_any_more() -> None:
    feeder = Feeder(DecodePlan(S))
    feeder.feed(13, idle=True)
    assert feeder.feed(2, idle=False) == [(10, False), (11, False), (12, False), (13, False), (14, False)]


def test_plan_goes_on_from_the_kept_keyframe_when_the_next_is_overdue() -> None:
    plan = DecodePlan(S)
    feeder = Feeder(plan, gop=30)
    assert feeder.feed(12, idle=True) == [(0, True)]
    assert feeder.feed(1, idle=True) == [(i, False) for i in range(13)]


def test_plan_waits_for_a_keyframe_when_packets_were_dropped() -> None:
    feeder = Feeder(DecodePlan(S))
    feeder.feed(3, idle=False)
    feeder.plan.dropped()
    assert feeder.feed(9, idle=False) == [(10, False), (11, False)]


def test_plan_begins_at_a_keyframe_when_the_run_begins_between_two() -> None:
    feeder = Feeder(DecodePlan(S))
    feeder.index = 4
    assert feeder.feed(8, idle=False) == [(10, False), (11, False)]


def test_plan_drops_the_older_gop_first_when_the_bound_is_reached() -> None:
    plan = DecodePlan(S, kept_max_bytes=1_500)
    Feeder(plan).feed(18, idle=True, size=100)
    assert [step.wall_us // FRAME_US for step in plan.resume()] == list(range(10, 18))


def test_plan_waits_for_a_keyframe_when_not_even_one_gop_could_be_kept() -> None:
    feeder = Feeder(DecodePlan(S, kept_max_bytes=450))
    feeder.feed(15, idle=True)
    assert feeder.plan.resume() == []
    assert feeder.feed(7, idle=False) == [(20, False), (21, False)]


@pytest.mark.parametrize("fps", [5, 10, 12.5, 15, 25, 30])
def test_sampler_keeps_its_rate_when_the_stream_has_another(fps: float) -> None:
    sampler = Sampler()
    taken = [at for at in (round(i * S / fps) for i in range(round(fps * 20))) if sampler.take(at, 200_000)]
    assert len(taken) == pytest.approx(100, abs=1)


def test_sampler_does_not_catch_up_after_a_hole() -> None:
    sampler = Sampler()
    sampler.take(0, 200_000)
    assert [at for at in range(5 * S, 6 * S, 100_000) if sampler.take(at, 200_000)] == list(
        range(5 * S, 6 * S, 200_000)
    )


def test_sampler_goes_on_when_the_clock_was_set_back() -> None:
    sampler = Sampler()
    sampler.take(100 * S, 200_000)
    assert sampler.take(10 * S, 200_000)
    assert not sampler.take(10 * S + 100_000, 200_000)
