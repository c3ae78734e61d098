"""What a camera shows and where in it the present moment is.

A live camera goes on whether anybody watches or not: every viewer gets the same picture at the same moment. A film
that plays once starts with each viewer instead. All times are microseconds of the monotonic clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from workers.camera_sim.film import AccessUnit, Film


@dataclass(frozen=True, slots=True)
class Showing:
    """A film on air since `epoch_us`; its first picture has the running number `first_number`."""

    film: Film
    epoch_us: int
    first_number: int = 0
    once: bool = False

    def number_at(self, now_us: int) -> int:
        """Running number of the first picture that has not been sent at `now_us`."""
        film = self.film
        loops, rest_us = divmod(max(0, now_us - self.epoch_us), film.duration_us)
        sent = sum(1 for unit in film.units if film.streams[unit.stream_index].is_video and unit.send_us < rest_us)
        return self.first_number + loops * film.picture_count + sent


@dataclass(frozen=True, slots=True)
class Due:
    """One access unit with its moment: when to send it, its media time on the camera's clock, its running number."""

    unit: AccessUnit
    due_us: int
    media_us: int
    loop_start_us: int
    number: int


def schedule(showing: Showing, now_us: int, *, from_keyframe: bool = True) -> Iterator[Due]:
    """Access units from `now_us` on; ends only for a film that plays once.

    Args:
        showing: What is on air.
        now_us: Nothing that was due earlier is given.
        from_keyframe: Skip what comes before the next keyframe.
    """
    film = showing.film
    loop, position_us = divmod(max(0, now_us - showing.epoch_us), film.duration_us)
    index = bisect_left(film.units, position_us, key=lambda unit: unit.send_us)
    waiting = from_keyframe
    while loop == 0 or not showing.once:
        loop_start_us = showing.epoch_us + loop * film.duration_us
        for unit in film.units[index:]:
            stream = film.streams[unit.stream_index]
            if waiting and not (stream.is_video and unit.is_keyframe):
                continue
            waiting = False
            yield Due(
                unit=unit,
                due_us=loop_start_us + unit.send_us,
                media_us=loop_start_us + unit.rtp_ticks * 1_000_000 // stream.clock_hz,
                loop_start_us=loop_start_us,
                number=showing.first_number + loop * film.picture_count + unit.number,
            )
        loop, index = loop + 1, 0
