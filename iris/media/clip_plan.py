"""Plans a clip: which segments of a window go into which file, what they cover, and what is missing and why.

Pure. Owns the arithmetic only; nothing here looks at a file. What a plan covers plus what it misses is the window
exactly, to the microsecond.

Two kinds of holes are none: between segments of one run up to `RUN_BORDER_US`, where the index lost nothing (a run is
unbroken by definition; what is left is rounding and jitter of the last frame's duration), and anywhere else a hole
shorter than one frame of its neighbour. Cost: linear in segments and gaps.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from iris.domain.segment import Gap, GapReason, MissingRange, Segment

# Segments of one run follow each other without a hole; a camera's jitter and a guessed duration of the last frame
# stay below this.
RUN_BORDER_US = 300_000
# A frame is at most this long when a hole is measured against it, else a camera with one frame a minute could hide one.
_LONGEST_FRAME_US = 300_000
# Time without a known reason beside time with one, such as from a camera's return to its first keyframe, shares it.
_SLIVER_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open span of wall time in microseconds."""

    start_us: int
    end_us: int

    @property
    def length_us(self) -> int:
        """Its duration."""
        return self.end_us - self.start_us


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is known about a camera's footage around a window.

    Attributes:
        segments: Segments of the index that overlap the window, in any order.
        gaps: Gaps of the index that overlap the window.
        lost: Segments by id that the index has and the disk has not, or not as recorded.
        first_us: When the camera recorded for the first time ever; None where that is not known.
    """

    segments: Sequence[Segment]
    gaps: Sequence[Gap] = ()
    lost: Mapping[int, GapReason] = field(default_factory=dict)
    first_us: int | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """Segments of one run that follow one another without a hole; `span` is what they cover of the window."""

    segments: tuple[Segment, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class ClipGroup:
    """One file of the clip: chains of one parameter set in the order of recording, the holes between them closed up."""

    params_hash: str
    chains: tuple[Chain, ...]

    @property
    def covered_us(self) -> int:
        """How long the file has to be, give or take a GOP."""
        return sum(chain.span.length_us for chain in self.chains)


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """All files of a clip; `covered` and `missing` make the window."""

    groups: tuple[ClipGroup, ...]
    covered: tuple[Span, ...]
    missing: tuple[MissingRange, ...]


def plan_clip(window: Span, recorded: Recorded) -> ClipPlan:
    """Plan the clip of a window.

    Args:
        window: What the clip should show; longer than nothing.
        recorded: What there is.

    Raises:
        ValueError: The window is empty.
    """
    if window.length_us <= 0:
        raise ValueError(f"the window is empty: {window}")
    inside = [s for s in recorded.segments if s.start_us < window.end_us and s.end_us > window.start_us]
    lost = [s for s in inside if s.segment_id in recorded.lost]
    chains = _chains(window, [s for s in inside if s.segment_id not in recorded.lost], lost)
    groups: dict[str, list[Chain]] = {}
    for chain in chains:
        groups.setdefault(chain.segments[0].params_hash, []).append(chain)
    covered = _covered(window, chains)
    holes = _holes(window, covered)
    return ClipPlan(
        groups=tuple(ClipGroup(params_hash, tuple(members)) for params_hash, members in groups.items()),
        covered=tuple(covered),
        missing=tuple(part for hole in holes for part in _explained(hole, lost, recorded)),
    )


def wanted_packets(stamps: Sequence[tuple[int, bool]], start: Fraction | None, end: Fraction | None) -> list[int]:
    """Which video packets of a segment to copy so that every picture from `start` to `end` can be shown.

    Begins at the last keyframe shown at or before `start` (else at the first one), leaves out what is shown before
    that keyframe (it would need the GOP before), and stops once all shown before `end` are in. With B frames a later
    picture comes first in decoding order; all that are shown before it then follow, so that no hole is left.

    Args:
        stamps: (presentation time, is keyframe) of each packet in decoding order; at least one is a keyframe.
        start: First presentation time wanted; None copies from the beginning, whatever it is.
        end: First presentation time no longer wanted; None copies to the end.

    Returns:
        Indices in decoding order, never empty.

    >>> wanted_packets([(0, True), (3, False), (1, False), (2, False), (4, True)], Fraction(1), Fraction(2))
    [0, 1, 2, 3]
    >>> wanted_packets([(0, True), (1, False), (4, True), (2, False), (3, False), (5, False)], Fraction(4), None)
    [2, 5]
    """
    first, shown_from = 0, None
    if start is not None:
        keys = [i for i, (_, is_keyframe) in enumerate(stamps) if is_keyframe]
        first = max((i for i in keys if stamps[i][0] <= start), default=keys[0])
        shown_from = stamps[first][0]
    wanted = [i for i in range(first, len(stamps)) if shown_from is None or stamps[i][0] >= shown_from]
    if end is None:
        return wanted
    count, limit = 1, end
    while (needed := max((n + 1 for n, i in enumerate(wanted) if stamps[i][0] < limit), default=1)) > count:
        count = needed
        limit = Fraction(max(stamps[i][0] for i in wanted[:count]))
    return wanted[:count]


def _chains(window: Span, good: list[Segment], lost: list[Segment]) -> list[Chain]:
    # A run plays as a whole even where a stepped clock made two runs overlap, so runs are ordered by their start.
    run_start: dict[str, int] = {}
    for segment in good:
        run_start[segment.run_id] = min(run_start.get(segment.run_id, segment.start_us), segment.start_us)
    good = sorted(good, key=lambda s: (run_start[s.run_id], s.run_id, s.start_us, s.segment_id))
    lost_starts = {run: sorted(s.start_us for s in lost if s.run_id == run) for run in run_start}
    chains: list[list[Segment]] = []
    for segment in good:
        if chains and _continues(chains[-1][-1], segment, lost_starts[segment.run_id]):
            chains[-1].append(segment)
        else:
            chains.append([segment])
    return [Chain(tuple(members), _clipped(window, members)) for members in chains]


def _continues(before: Segment, after: Segment, lost_starts: list[int]) -> bool:
    if (before.run_id, before.params_hash) != (after.run_id, after.params_hash):
        return False
    if after.start_us - before.end_us > RUN_BORDER_US:
        return False
    return bisect_left(lost_starts, before.start_us) == bisect_left(lost_starts, after.start_us)


def _clipped(window: Span, members: list[Segment]) -> Span:
    end_us = max(segment.end_us for segment in members)
    return Span(max(window.start_us, members[0].start_us), min(window.end_us, end_us))


def _covered(window: Span, chains: list[Chain]) -> list[Span]:
    """Union of what the chains cover, with holes below one frame closed."""
    covered: list[Span] = []
    frame_us = 0
    for chain in sorted(chains, key=lambda chain: chain.span.start_us):
        start_us, end_us = chain.span.start_us, chain.span.end_us
        until_us = covered[-1].end_us if covered else window.start_us
        if start_us - until_us < max(frame_us, _frame_us(chain.segments[0]), 1):
            start_us = covered.pop().start_us if covered else window.start_us
            end_us = max(end_us, until_us)
        covered.append(Span(start_us, end_us))
        frame_us = _frame_us(chain.segments[-1])
    if covered and window.end_us - covered[-1].end_us < frame_us:
        covered.append(Span(covered.pop().start_us, window.end_us))
    return covered


def _frame_us(segment: Segment) -> int:
    return min((segment.end_us - segment.start_us) // max(segment.video_packet_count, 1), _LONGEST_FRAME_US)


def _holes(window: Span, covered: list[Span]) -> list[Span]:
    edges = [window.start_us, *(edge for span in covered for edge in (span.start_us, span.end_us)), window.end_us]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [Span(start_us, end_us) for start_us, end_us in pairs if end_us > start_us]


def _explained(hole: Span, lost: list[Segment], recorded: Recorded) -> list[MissingRange]:
    """The hole in pieces, each with its reason: a gap of the index, a lost segment, before the first recording."""
    known = [
        MissingRange(gap.start_us, hole.end_us if gap.end_us is None else gap.end_us, gap.reason)
        for gap in recorded.gaps
    ]
    # After the gaps: what was dropped beyond the pin budget is in the index as well.
    known += [MissingRange(s.start_us, s.end_us, recorded.lost[s.segment_id]) for s in lost]
    if recorded.first_us is not None:
        known.append(MissingRange(hole.start_us, recorded.first_us, GapReason.NOT_STARTED))
    known = [r for r in known if r.start_us < r.end_us and r.start_us < hole.end_us and r.end_us > hole.start_us]
    edges = {hole.start_us, hole.end_us}
    for r in known:
        edges.update(edge for edge in (r.start_us, r.end_us) if hole.start_us < edge < hole.end_us)
    cuts = sorted(edges)
    pieces = [MissingRange(a, b, _reason_at(a, known)) for a, b in pairwise(cuts)]
    return _merged(_slivers_named(_merged(pieces)))


def _reason_at(time_us: int, known: list[MissingRange]) -> GapReason:
    return next((r.reason for r in known if r.start_us <= time_us < r.end_us), GapReason.UNKNOWN)


def _slivers_named(pieces: list[MissingRange]) -> list[MissingRange]:
    named: list[MissingRange] = []
    for i, piece in enumerate(pieces):
        beside = [*pieces[max(i - 1, 0) : i], *pieces[i + 1 : i + 2]]
        if piece.reason is GapReason.UNKNOWN and beside and piece.end_us - piece.start_us < _SLIVER_US:
            named.append(MissingRange(piece.start_us, piece.end_us, beside[0].reason))
        else:
            named.append(piece)
    return named


def _merged(pieces: list[MissingRange]) -> list[MissingRange]:
    merged: list[MissingRange] = []
    for piece in pieces:
        if merged and merged[-1].reason is piece.reason:
            merged.append(MissingRange(merged.pop().start_us, piece.end_us, piece.reason))
        else:
            merged.append(piece)
    return merged
