"""The time of one session's packets: unwrapped, gapless to mux, anchored once to wall time.

Pure: it is told when packets arrived and reads no clock. What it does:

- Unwraps 32-bit RTP time, fills in missing time stamps (the first packet of an RTSP stream has none).
- Makes every DTS itself from the order of the PTS: what libavformat guesses for RTSP with B frames is neither
  complete nor always below the PTS (measured).
- Puts media time zero at the first keyframe, for picture and sound alike.
- Anchors media time to the monotonic clock by the packet that was least late of the first moments (the first ones
  come in a burst), then follows the camera's clock drift by at most 500 ppm.
- Says `DiscontinuityError` where time jumps: the caller starts a new run. A jump of sound alone drops that sound.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from iris.base.timebase import US_PER_S, media_to_us, us_to_media
from iris.domain.packet import EncodedPacket, MediaKind

_WRAP = 1 << 32
# As retina does: a longer silence inside one session is a broken clock, not a slow camera.
MOST_FORWARD_US = 10 * US_PER_S
# No packet arrives before it was taken; more than this beyond the anchor's error is a jump of the camera's clock.
MOST_AHEAD_US = US_PER_S
MOST_BACKWARD_US = US_PER_S
MOST_AUDIO_APART_US = 5 * US_PER_S
SLEW_PER_S = 500  # microseconds per second: 500 ppm
DRIFT_WINDOW_US = 30 * US_PER_S
_USUAL_INTERVAL_US = 40_000


class DiscontinuityError(Exception):
    """Media time jumped; `kind` is `forward`, `backward` or `reorder`."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class ArrivedPacket:
    """A packet as it came, with the monotonic time of its arrival."""

    packet: EncodedPacket
    arrived_us: int


@dataclass(frozen=True, slots=True)
class PlacedPacket:
    """A packet with both time stamps, counted from the first keyframe, and the wall time of its PTS."""

    packet: EncodedPacket
    wall_us: int


class Timeline:
    """Places the packets of one session, from its first keyframe to a jump or the end. One thread."""

    def __init__(
        self,
        opening: Sequence[ArrivedPacket],
        reorder_hint: int | None,
        wall_minus_monotonic_us: int,
        held_back_count: int = 0,
    ) -> None:
        """Begin with the packets of the first moments.

        Args:
            opening: Packets in order of arrival; the first one is a video keyframe. `place` is then called for
                these, too.
            reorder_hint: From the parameter sets, None where they do not say.
            wall_minus_monotonic_us: Wall time minus monotonic time, now.
            held_back_count: Pictures that a source keeps before it gives one out.
        """
        video = [item for item in opening if item.packet.kind is MediaKind.VIDEO]
        self._base = video[0].packet.time_base
        self._wall_offset_us = wall_minus_monotonic_us
        stamps = _unwrapped([item.packet for item in video])
        self._interval = _interval(stamps, video[0].packet)
        self._video = _Unwrapper(_first_pts(stamps, self._interval))
        self._audio: _Unwrapper | None = None
        sound = [item.packet for item in opening if item.packet.kind is MediaKind.AUDIO]
        self._first_audio = _first_pts(_unwrapped(sound), sound[0].duration) if sound else None
        self._origin = self._video.last
        self._may_shift = reorder_hint == 0
        self._highest = self._origin
        self._begun = False
        self._dts = _DecodeOrder(max(reorder_hint or 0, _reordering(stamps)), self._interval)
        self._last_audio_dts: int | None = None
        # Monotonic time of media time zero.
        prompt = _prompt(video, stamps) if self._dts.depth else video
        self._late_us = held_back_count * media_to_us(self._interval, self._base)
        self._anchor_us = min(item.arrived_us - self._media_us_of(item.packet) for item in prompt) - self._late_us
        self._drift = _Drift(self._anchor_us, opening[-1].arrived_us)
        self.audio_dropped_count = 0

    def place(self, packet: EncodedPacket, arrived_us: int) -> PlacedPacket | None:
        """Time stamps of the next packet; None for sound that fits nowhere.

        Raises:
            DiscontinuityError: Time jumped; this timeline is over.
        """
        if packet.kind is MediaKind.AUDIO:
            return self._place_audio(packet)
        pts = self._video.next(packet.pts, self._interval)
        highest = self._highest
        pts = self._checked(pts, arrived_us)
        prompt = packet.is_keyframe or self._dts.depth == 0 or pts < highest
        pts -= self._origin
        dts = self._dts.next(pts)
        media_us = media_to_us(pts, self._base)
        if prompt:
            self._drift.follow(arrived_us, arrived_us - self._late_us - media_us)
        # Not `replace`, which takes twice as long; this runs for every packet.
        made = EncodedPacket(
            packet.kind,
            packet.payload,
            pts,
            dts,
            packet.time_base,
            packet.is_keyframe,
            packet.duration or self._interval,
        )
        return PlacedPacket(made, self._wall(media_us))

    def restart_decode_order(self, reorder_hint: int | None) -> None:
        """New parameters from the next keyframe on: media time goes on, the order of decoding begins anew."""
        self._may_shift = reorder_hint == 0
        self._dts = _DecodeOrder(reorder_hint if reorder_hint is not None else self._dts.depth, self._interval)

    def step_wall(self, wall_minus_monotonic_us: int) -> None:
        """The wall clock was set: from now on packets get its new time."""
        self._wall_offset_us = wall_minus_monotonic_us

    @property
    def reorder_count(self) -> int:
        """How many pictures wait for one that is shown before them."""
        return self._dts.depth

    def _wall(self, media_us: int) -> int:
        return self._anchor_us + media_us + self._drift.slew_us + self._wall_offset_us

    def _media_us_of(self, packet: EncodedPacket) -> int:
        pts = self._origin if packet.pts is None else packet.pts
        return media_to_us(_wrapped_difference(pts, self._origin), self._base)

    def _checked(self, pts: int, arrived_us: int) -> int:
        """The PTS, unwrapped and shifted where a small step back is healed."""
        ahead = pts - self._highest
        if ahead > 0:
            expected_us = self._anchor_us + self._drift.slew_us + media_to_us(pts - self._origin, self._base)
            most_us = MOST_AHEAD_US + self._dts.depth * media_to_us(self._interval, self._base)
            if media_to_us(ahead, self._base) > MOST_FORWARD_US or expected_us - arrived_us > most_us:
                raise DiscontinuityError("forward")
            self._highest = pts
            return pts
        if media_to_us(-ahead, self._base) > MOST_BACKWARD_US:
            raise DiscontinuityError("backward")
        if (self._may_shift or ahead == 0) and self._begun:
            # No picture is reordered here, so libavformat shifted the stream when the camera's first clock report
            # came, or the camera stamped two pictures alike: go on one interval later, sound included.
            healed = self._highest + self._interval
            self._origin += pts - healed
            self._highest = pts
        self._begun = True
        return pts

    def _place_audio(self, packet: EncodedPacket) -> PlacedPacket | None:
        if self._audio is None:
            first = self._first_audio if packet.pts is None else packet.pts
            self._audio = _Unwrapper(first or 0)
        pts = self._audio.next(packet.pts, packet.duration or 1024)
        pts -= us_to_media(media_to_us(self._origin, self._base), packet.time_base)
        media_us = media_to_us(pts, packet.time_base)
        apart_us = media_us - media_to_us(self._highest - self._origin, self._base)
        overlaps = self._last_audio_dts is not None and pts <= self._last_audio_dts
        if pts < 0 or overlaps or abs(apart_us) > MOST_AUDIO_APART_US:
            self.audio_dropped_count += 1
            return None
        self._last_audio_dts = pts
        return PlacedPacket(replace(packet, pts=pts, dts=pts), self._wall(media_us))


class _Unwrapper:
    """Follows one stream's time stamps across the 32-bit wrap of RTP and fills in missing ones."""

    def __init__(self, first: int) -> None:
        self.last = first
        self._raw = first
        self._fresh = True

    def next(self, raw: int | None, interval: int) -> int:
        if raw is None:
            raw = self._raw if self._fresh else self._raw + interval
        self.last += _wrapped_difference(raw, self._raw)
        self._raw = raw
        self._fresh = False
        return self.last


class _DecodeOrder:
    """Makes DTS: strictly rising, never above the PTS, `depth` pictures behind."""

    def __init__(self, depth: int, interval: int) -> None:
        self.depth = depth
        self._interval = interval
        self._waiting: list[int] = []
        self._count = 0
        self._first = 0
        self._last: int | None = None

    def next(self, pts: int) -> int:
        if self._count == 0:
            self._first = pts
        heapq.heappush(self._waiting, pts)
        if self._count < self.depth:
            dts = self._first - (self.depth - self._count) * self._interval
        else:
            dts = heapq.heappop(self._waiting)
        self._count += 1
        if self._last is not None and dts <= self._last:
            dts = self._last + 1
        if dts > pts:
            raise DiscontinuityError("reorder")
        self._last = dts
        return dts


class _Drift:
    """Slews the anchor after the least late packet of the last half to whole minute."""

    def __init__(self, anchor_us: int, now_us: int) -> None:
        self.slew_us = 0
        self._anchor_us = anchor_us
        self._previous: int | None = None
        self._current: int | None = None
        self._until_us = now_us + DRIFT_WINDOW_US
        self._last_us = now_us

    def follow(self, now_us: int, zero_us: int) -> None:
        """`zero_us` is when media time zero was, judged by a packet that arrived now."""
        self._current = zero_us if self._current is None else min(self._current, zero_us)
        if now_us >= self._until_us:
            self._previous, self._current, self._until_us = self._current, None, now_us + DRIFT_WINDOW_US
        passed_us = max(0, now_us - self._last_us)
        self._last_us = max(self._last_us, now_us)
        if self._previous is None:
            return
        least = self._previous if self._current is None else min(self._previous, self._current)
        wanted = least - self._anchor_us - self.slew_us
        most = passed_us * SLEW_PER_S // US_PER_S
        self.slew_us += max(-most, min(most, wanted))


def _wrapped_difference(raw: int, before: int) -> int:
    """Distance of two stamps, the short way round where both are of 32 bits.

    >>> _wrapped_difference(5, 2**32 - 5)
    10
    """
    distance = raw - before
    if abs(distance) > _WRAP // 2 and 0 <= raw < _WRAP and 0 <= before < _WRAP:
        return distance - _WRAP if distance > 0 else distance + _WRAP
    return distance


def _unwrapped(packets: Sequence[EncodedPacket]) -> list[int | None]:
    """PTS of a few packets without a wrap between them."""
    first = next((packet.pts for packet in packets if packet.pts is not None), 0)
    return [None if p.pts is None else first + _wrapped_difference(p.pts, first) for p in packets]


def _interval(stamps: Sequence[int | None], first: EncodedPacket) -> int:
    """Ticks from picture to picture: the median distance in the opening, else what the packet says, else 40 ms."""
    shown = sorted({stamp for stamp in stamps if stamp is not None})
    steps = sorted(b - a for a, b in pairwise(shown))
    if steps:
        return max(1, steps[len(steps) // 2])
    return first.duration or max(1, us_to_media(_USUAL_INTERVAL_US, first.time_base))


def _first_pts(stamps: Sequence[int | None], interval: int) -> int:
    """PTS of the first packet: its own, else one interval before the earliest of the next ones."""
    if stamps[0] is not None:
        return stamps[0]
    known = [stamp for stamp in stamps if stamp is not None]
    return min(known) - interval if known else 0


def _prompt(video: Sequence[ArrivedPacket], stamps: Sequence[int | None]) -> list[ArrivedPacket]:
    """Packets that tell when they were taken: a server that plays a film sends a P frame before its time comes."""
    prompt: list[ArrivedPacket] = []
    highest: int | None = None
    for item, stamp in zip(video, stamps, strict=True):
        if item.packet.is_keyframe or (stamp is not None and highest is not None and stamp < highest):
            prompt.append(item)
        if stamp is not None:
            highest = stamp if highest is None else max(highest, stamp)
    return prompt


def _reordering(stamps: Sequence[int | None]) -> int:
    """Most packets of the opening that came before one that is shown earlier."""
    known = [stamp for stamp in stamps if stamp is not None]
    return max((sum(before > stamp for before in known[:index]) for index, stamp in enumerate(known)), default=0)
