"""Which packets to decode, and which pictures to look at. Pure: no decoder, no clock.

A still scene is not worth its decoding: while nothing happens only keyframes are decoded, one at a time, where
they come every second or oftener. The packets between them are kept (two GOPs), so that when a keyframe shows
somebody, the second before it can still be decoded and looked at: no wrong picture, and no late start.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from iris.domain.packet import EncodedPacket

# Cameras that are told "one second" send keyframes 1.00 to 1.07 s apart at 15 frames a second.
OFTEN_US = 1_100_000
# A jump of the wall time beyond this is another run or a stepped clock, not a late picture.
_JUMP_US = 10_000_000
_INTERVALS_KEPT = 4


class KeyframeCadence:
    """How often keyframes come.

    Args:
        known_us: The longest interval of earlier runs; None while not known.
    """

    def __init__(self, known_us: int | None = None) -> None:
        self._known_us = known_us
        self._intervals_us: deque[int] = deque(maxlen=_INTERVALS_KEPT)
        self._last_us: int | None = None
        self._now_us = 0

    def packet(self, *, is_keyframe: bool, wall_us: int) -> None:
        """Take note of one packet."""
        self._now_us = wall_us
        if not is_keyframe:
            return
        if self._last_us is not None and 0 < wall_us - self._last_us < _JUMP_US:
            self._intervals_us.append(wall_us - self._last_us)
        self._last_us = wall_us

    @property
    def often(self) -> bool:
        """Whether keyframes are known to come every second or oftener, and the next is not overdue."""
        if self._last_us is not None and self._now_us - self._last_us > OFTEN_US:
            return False
        if len(self._intervals_us) >= 2:
            return max(self._intervals_us) <= OFTEN_US
        return self._known_us is not None and max((*self._intervals_us, self._known_us)) <= OFTEN_US


@dataclass(frozen=True, slots=True)
class Step:
    """One packet to feed to the decoder; `alone` means as a keyframe by itself."""

    packet: EncodedPacket
    wall_us: int
    alone: bool = False


class DecodePlan:
    """What to decode of one run.

    Keeps at most the GOP before and the current one, and only while decoding keyframes alone; beyond
    `kept_max_bytes` the older goes, then both.

    Args:
        keyframe_interval_us: The longest interval of earlier runs; None while not known.
        kept_max_bytes: Bound of what is kept.
    """

    def __init__(self, keyframe_interval_us: int | None = None, *, kept_max_bytes: int = 4 * 1024 * 1024) -> None:
        self._cadence = KeyframeCadence(keyframe_interval_us)
        self._kept_max_bytes = kept_max_bytes
        self._keyframes_only = False
        self._wait_keyframe = True
        self._before: list[Step] = []
        self._current: list[Step] = []

    @property
    def keyframes_only(self) -> bool:
        """Whether packets between keyframes are left out now."""
        return self._keyframes_only

    def feed(self, packet: EncodedPacket, wall_us: int, *, idle: bool, due: bool) -> list[Step]:
        """Take the next packet of the run; what to decode now, in order.

        Args:
            packet: The packet.
            wall_us: Wall time of its PTS.
            idle: The scene is empty, so keyframes are enough.
            due: A picture taken at `wall_us` would be looked at.
        """
        self._cadence.packet(is_keyframe=packet.is_keyframe, wall_us=wall_us)
        step = Step(packet, wall_us)
        if packet.is_keyframe:
            self._wait_keyframe = False
            self._keyframes_only = idle and self._cadence.often
            if not self._keyframes_only:
                self._forget()
                return [step]
            self._before, self._current = self._current, [step]
            self._keep_bound()
            return [Step(packet, wall_us, alone=True)] if due else []
        if self._wait_keyframe:
            return []
        if not self._keyframes_only:
            return [step]
        self._current.append(step)
        self._keep_bound()
        if idle and self._cadence.often:
            return []
        return self._all_from(self._current)

    def resume(self) -> list[Step]:
        """Somebody is there: everything that is kept, from the keyframe before the last; then all packets."""
        return self._all_from(self._before + self._current)

    def dropped(self) -> None:
        """Packets were lost on the way here: nothing is decodable until the next keyframe."""
        self._forget()
        self._keyframes_only = False
        self._wait_keyframe = True

    def _all_from(self, steps: list[Step]) -> list[Step]:
        self._forget()
        self._keyframes_only = False
        # Nothing kept (it outgrew its bound): the decoder holds no reference, so it waits for a keyframe.
        self._wait_keyframe = not steps
        return steps

    def _forget(self) -> None:
        self._before, self._current = [], []

    def _keep_bound(self) -> None:
        def size(steps: list[Step]) -> int:
            return sum(len(step.packet.payload) for step in steps)

        if size(self._before) + size(self._current) > self._kept_max_bytes:
            self._before = []
        if size(self._current) > self._kept_max_bytes:
            self._current = []


class Sampler:
    """Chooses pictures at a rate from pictures that come at another rate, without drift.

    >>> sampler = Sampler()
    >>> [ms for ms in range(0, 1000, 80) if sampler.take(ms * 1000, 200_000)]
    [0, 240, 400, 640, 800]
    """

    def __init__(self) -> None:
        self._next_us: int | None = None

    def due(self, wall_us: int) -> bool:
        """Whether a picture taken at `wall_us` is to be looked at."""
        return self._next_us is None or wall_us >= self._next_us or wall_us < self._next_us - _JUMP_US

    def take(self, wall_us: int, interval_us: int) -> bool:
        """Whether to look at this picture; if so, the next is due an interval later."""
        if not self.due(wall_us):
            return False
        self.taken(wall_us, interval_us)
        return True

    def taken(self, wall_us: int, interval_us: int) -> None:
        """A picture was looked at. A late one does not shift the beat, unless by an interval or more."""
        beat_us = wall_us if self._next_us is None else self._next_us
        self._next_us = (beat_us if 0 <= wall_us - beat_us < interval_us else wall_us) + interval_us

    def hurry(self, wall_us: int) -> None:
        """From idle to active: whatever comes from `wall_us` on is due at once."""
        self._next_us = wall_us
