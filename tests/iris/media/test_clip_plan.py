"""The arithmetic of clips: what a plan covers and misses is the window, and each hole has its reason."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iris.base.ids import CameraId, RunId
from iris.domain.segment import Gap, GapReason, MissingRange, Segment
from iris.media.clip_plan import ClipPlan, Recorded, Span, plan_clip, wanted_packets

S = 1_000_000


def segment(
    number: int, start_us: int, end_us: int, *, run: str = "r", params: str = "p", packets: int = 30
) -> Segment:
    path = f"segments/c/seg_{start_us}.mp4"
    return Segment(
        number, CameraId("c"), RunId(run), path, start_us, end_us, 1000, packets, 0, "0" * 64, params, 1_000_000
    )


def run_of(count: int, *, start_s: int = 0, run: str = "r", params: str = "p", first: int = 0) -> list[Segment]:
    return [
        segment(first + i, (start_s + 2 * i) * S, (start_s + 2 * i + 2) * S, run=run, params=params)
        for i in range(count)
    ]


def numbers(plan: ClipPlan) -> list[list[list[int]]]:
    return [[[s.segment_id for s in chain.segments] for chain in group.chains] for group in plan.groups]


def test_plan_covers_all_when_one_run_holds_the_window() -> None:
    plan = plan_clip(Span(3 * S, 9 * S), Recorded(run_of(10)))
    assert numbers(plan) == [[[1, 2, 3, 4]]]
    assert plan.covered == (Span(3 * S, 9 * S),)
    assert plan.missing == ()
    assert plan.groups[0].covered_us == 6 * S


@pytest.mark.parametrize("bad", range(5))
@pytest.mark.parametrize("reason", [GapReason.CORRUPT_SEGMENT, GapReason.MISSING_SEGMENT])
def test_plan_keeps_the_good_segments_when_one_is_lost(bad: int, reason: GapReason) -> None:
    plan = plan_clip(Span(0, 10 * S), Recorded(run_of(5), lost={bad: reason}))
    assert plan.missing == (MissingRange(2 * bad * S, (2 * bad + 2) * S, reason),)
    assert [n for group in numbers(plan) for chain in group for n in chain] == [n for n in range(5) if n != bad]


def test_plan_begins_a_new_chain_when_a_short_segment_inside_a_run_is_lost() -> None:
    segments = [segment(0, 0, 2 * S), segment(1, 2 * S, 2 * S + 200_000, packets=3), segment(2, 2_200_000, 4 * S)]
    plan = plan_clip(Span(0, 4 * S), Recorded(segments, lost={1: GapReason.CORRUPT_SEGMENT}))
    assert numbers(plan) == [[[0], [2]]]
    assert plan.missing == (MissingRange(2 * S, 2_200_000, GapReason.CORRUPT_SEGMENT),)


def test_plan_takes_the_reason_of_the_gap_when_the_camera_was_away() -> None:
    segments = [*run_of(2), *run_of(2, start_s=10, run="r2", first=5)]
    gap = Gap(4 * S, 9_600_000, GapReason.CAMERA_OFFLINE)  # from its return to its first keyframe: no gap row
    plan = plan_clip(Span(0, 14 * S), Recorded(segments, [gap]))
    assert numbers(plan) == [[[0, 1], [5, 6]]]
    assert plan.missing == (MissingRange(4 * S, 10 * S, GapReason.CAMERA_OFFLINE),)


def test_plan_names_what_is_unknown_when_nothing_explains_a_long_hole() -> None:
    segments = [*run_of(2), *run_of(2, start_s=10, run="r2", first=5)]
    plan = plan_clip(Span(0, 14 * S), Recorded(segments, [Gap(4 * S, 6 * S, GapReason.CAMERA_STALLED)]))
    assert plan.missing == (
        MissingRange(4 * S, 6 * S, GapReason.CAMERA_STALLED),
        MissingRange(6 * S, 10 * S, GapReason.UNKNOWN),
    )


def test_plan_reaches_to_the_end_when_a_gap_still_lasts() -> None:
    plan = plan_clip(Span(0, 10 * S), Recorded(run_of(2), [Gap(4 * S, None, GapReason.CAMERA_OFFLINE)]))
    assert plan.missing == (MissingRange(4 * S, 10 * S, GapReason.CAMERA_OFFLINE),)


def test_plan_says_not_started_when_the_window_begins_before_the_first_recording() -> None:
    plan = plan_clip(Span(0, 10 * S), Recorded(run_of(3, start_s=4), first_us=4 * S))
    assert plan.missing == (MissingRange(0, 4 * S, GapReason.NOT_STARTED),)


def test_plan_says_pin_budget_when_a_dropped_segment_is_still_in_the_index() -> None:
    gap = Gap(0, 2 * S, GapReason.PIN_BUDGET)
    plan = plan_clip(Span(0, 6 * S), Recorded(run_of(3), [gap], lost={0: GapReason.MISSING_SEGMENT}))
    assert plan.missing == (MissingRange(0, 2 * S, GapReason.PIN_BUDGET),)


def test_plan_makes_one_file_for_each_parameter_set() -> None:
    segments = [
        *run_of(2),
        *run_of(2, start_s=4, run="r2", params="q", first=2),
        *run_of(2, start_s=8, run="r3", first=4),
    ]
    plan = plan_clip(Span(0, 12 * S), Recorded(segments))
    assert numbers(plan) == [[[0, 1], [4, 5]], [[2, 3]]]
    assert plan.missing == ()


def test_plan_keeps_runs_whole_when_a_stepped_clock_makes_them_overlap() -> None:
    segments = [*run_of(4), *run_of(4, start_s=3, run="r2", first=4)]
    plan = plan_clip(Span(0, 11 * S), Recorded(segments))
    assert numbers(plan) == [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    assert plan.covered == (Span(0, 11 * S),)


@pytest.mark.parametrize(("hole_us", "missing"), [(60_000, False), (70_000, True)])
def test_plan_calls_a_hole_missing_when_it_is_a_frame_long(hole_us: int, *, missing: bool) -> None:
    segments = [segment(0, 0, 2 * S), segment(1, 2 * S + hole_us, 4 * S, run="r2")]  # a frame is 66,666 us
    assert bool(plan_clip(Span(0, 4 * S), Recorded(segments)).missing) is missing
    assert bool(plan_clip(Span(0, 2 * S + hole_us), Recorded(segments[:1])).missing) is missing
    assert bool(plan_clip(Span(2 * S, 4 * S), Recorded(segments[1:])).missing) is missing


def test_plan_sees_no_hole_when_segments_of_one_run_do_not_quite_meet() -> None:
    segments = [segment(0, 0, 2 * S), segment(1, 2 * S + 250_000, 4 * S)]
    plan = plan_clip(Span(0, 4 * S), Recorded(segments))
    assert numbers(plan) == [[[0, 1]]]
    assert plan.missing == ()


def test_plan_is_all_missing_when_nothing_was_recorded() -> None:
    plan = plan_clip(Span(0, 10 * S), Recorded([], [Gap(-5, 10 * S, GapReason.CAMERA_AUTH)]))
    assert plan.groups == ()
    assert plan.missing == (MissingRange(0, 10 * S, GapReason.CAMERA_AUTH),)


def test_plan_refuses_an_empty_window() -> None:
    with pytest.raises(ValueError, match="empty"):
        plan_clip(Span(5, 5), Recorded([]))


@st.composite
def recordings(draw: st.DrawFn) -> Recorded:
    segments: list[Segment] = []
    at_us = draw(st.integers(-5 * S, 5 * S))
    for number in range(draw(st.integers(0, 12))):
        at_us += draw(st.sampled_from([0, 0, 0, 1, 30_000, 66_666, 250_000, 400_000, 3 * S, -S]))
        end_us = at_us + draw(st.integers(1, 3 * S))
        run, params = draw(st.sampled_from("ab")), draw(st.sampled_from("pq"))
        segments.append(segment(number, at_us, end_us, run=run, params=params, packets=draw(st.integers(1, 45))))
        at_us = end_us
    lost = draw(st.dictionaries(st.integers(0, 11), st.sampled_from([GapReason.CORRUPT_SEGMENT]), max_size=4))
    starts = draw(st.lists(st.integers(-5 * S, 30 * S), max_size=4))
    lengths = st.one_of(st.none(), st.integers(0, 8 * S))
    gaps = [
        Gap(start, None if (length := draw(lengths)) is None else start + length, GapReason.CAMERA_OFFLINE)
        for start in starts
    ]
    return Recorded(draw(st.permutations(segments)), gaps, lost, draw(st.one_of(st.none(), st.integers(-S, 9 * S))))


@given(recordings(), st.integers(-3 * S, 10 * S), st.integers(1, 20 * S))
def test_covered_and_missing_make_the_window_exactly(recorded: Recorded, start_us: int, length_us: int) -> None:
    window = Span(start_us, start_us + length_us)
    plan = plan_clip(window, recorded)
    parts = sorted([(s.start_us, s.end_us) for s in plan.covered] + [(r.start_us, r.end_us) for r in plan.missing])
    assert parts[0][0] == window.start_us
    assert parts[-1][1] == window.end_us
    assert all(before[1] == after[0] for before, after in pairwise(parts))
    assert all(start < end for start, end in parts)
    used = [s.segment_id for group in plan.groups for chain in group.chains for s in chain.segments]
    inside = {s.segment_id for s in recorded.segments if s.start_us < window.end_us and s.end_us > window.start_us}
    assert sorted(used) == sorted(inside - set(recorded.lost))


def reordered(order: list[int], mini_gop: int) -> list[int]:
    """Decoding order of pictures with B frames: the last of each mini-GOP first."""
    groups = [order[1 + i : 1 + i + mini_gop] for i in range(0, len(order) - 1, mini_gop)]
    return [order[0], *(n for group in groups for n in [group[-1], *group[:-1]])]


@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 45), st.integers(0, 45))
def test_wanted_packets_show_every_picture_without_a_hole(count: int, mini_gop: int, start: int, length: int) -> None:
    shown = [n for gop in range(0, count, 10) for n in reordered(list(range(gop, min(gop + 10, count))), mini_gop)]
    stamps = [(n, n % 10 == 0) for n in shown]
    kept = wanted_packets(stamps, Fraction(start), Fraction(start + length))
    pictures = sorted(stamps[i][0] for i in kept)
    assert kept == sorted(kept)
    assert pictures == list(range(pictures[0], pictures[-1] + 1))
    assert pictures[0] == min(start, count - 1) // 10 * 10
    assert set(range(start, min(start + length, count))) <= set(pictures)
    assert pictures[-1] < max(start + length, pictures[0] + 1) + mini_gop
