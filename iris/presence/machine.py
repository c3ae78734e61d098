"""From presences to events: when one opens, what extends it, when it closes.

Pure. Two clocks come in and are never compared with one another: the wall time of frames (when somebody was
seen) and a steady time of the process (how long nothing arrived). So frames may come late, and setting the wall
clock closes nothing.

The rule: presences at most `hold` apart are one event; anything further apart is two. Whether the next presence
is near enough is known only when its track is confirmed and its frame has arrived, so closing waits `settle`
longer than `hold`; the times written down do not depend on that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from iris.base.timebase import seconds_to_us
from iris.domain.camera import CameraSpec
from iris.domain.event import EndReason, OpenEvent
from iris.presence.trigger import Sighting

# Confirmation of somebody who enters an idle scene waits for the next keyframe (1 s), decoding takes the rest.
SETTLE_US = 1_500_000


@dataclass(frozen=True, slots=True)
class PresenceRules:
    """Times of one camera, in microseconds. `hold_us` is max(post, cooldown)."""

    pre_us: int
    post_us: int
    hold_us: int
    max_length_us: int
    settle_us: int = SETTLE_US

    @staticmethod
    def of(spec: CameraSpec, event_max_seconds: float) -> PresenceRules:
        """The rules of a camera."""
        post_us = seconds_to_us(spec.post_seconds)
        return PresenceRules(
            pre_us=seconds_to_us(spec.pre_seconds),
            post_us=post_us,
            hold_us=max(post_us, seconds_to_us(spec.trigger_cooldown)),
            max_length_us=seconds_to_us(event_max_seconds),
        )


@dataclass(frozen=True, slots=True)
class Opened:
    """An event began."""

    event: OpenEvent


@dataclass(frozen=True, slots=True)
class Closed:
    """The event is over; nothing changes its times any more."""

    event: OpenEvent
    window_end_us: int
    reason: EndReason


PresenceChange = Opened | Closed


class PresenceMachine:
    """State of one camera; not thread-safe.

    Args:
        rules: The times.
        new_id: Mints event ids.
        resumed: The event that was open when the process ended, to go on with.
        steady_us: Steady time now.
        quiet_us: How long ago, by the wall clock, `resumed` was last seen.
    """

    def __init__(
        self,
        rules: PresenceRules,
        new_id: Callable[[], str],
        *,
        resumed: OpenEvent | None = None,
        steady_us: int = 0,
        quiet_us: int = 0,
    ) -> None:
        self._rules = rules
        self._new_id = new_id
        self._event = resumed
        self._heard_steady_us = steady_us - max(0, quiet_us)
        # Until a frame comes, the camera is away: a person may have left unseen.
        self._away_since_us: int | None = 0 if resumed is not None else None  # steady time
        # Nothing before this belongs to a new event: it is in one that is closed.
        self._taken_until_us: int | None = None

    @property
    def open_event(self) -> OpenEvent | None:
        """The event that is open now."""
        return self._event

    def frame(self, sighting: Sighting | None, wall_us: int, steady_us: int) -> tuple[PresenceChange, ...]:
        """A frame was analysed.

        Args:
            sighting: What it shows that counts, if anything.
            wall_us: When it was taken.
            steady_us: Steady time now.
        """
        changes: list[PresenceChange] = [*self._close_if_clock_went_back(wall_us)]
        event = self._event
        if event is not None:
            quiet_since_us = event.last_seen_us + self._rules.hold_us
            came_us = sighting.first_us if sighting is not None else wall_us - self._rules.settle_us
            if came_us > quiet_since_us:
                changes.append(self._close(EndReason.LEFT))
            elif sighting is not None and wall_us - event.started_us >= self._rules.max_length_us:
                if sighting.seen_us - event.last_seen_us <= self._rules.post_us + self._rules.pre_us:
                    return self._continue(event, sighting, steady_us)
                # Nobody was in view when its time was over: their windows do not touch, nothing of it is filled up.
                changes.append(self._close(EndReason.MAX_LENGTH))
        if sighting is None:
            return tuple(changes)
        self._heard_steady_us = steady_us
        if self._event is None:
            changes.append(self._open(sighting))
        else:
            self._event = _extended(self._event, sighting)
        return tuple(changes)

    def tick(self, steady_us: int) -> tuple[PresenceChange, ...]:
        """Time passed, with frames or without."""
        wait_us = self._rules.hold_us + self._rules.settle_us
        if self._event is None or steady_us - self._heard_steady_us <= wait_us:
            return ()
        # A camera that went away when the hold time was over took nobody with it.
        lost = self._away_since_us is not None and self._away_since_us <= self._heard_steady_us + self._rules.hold_us
        return (self._close(EndReason.CAMERA_LOST if lost else EndReason.LEFT),)

    def camera_lost(self, steady_us: int = 0) -> None:
        """The session with the camera ended at `steady_us`; the hold time runs on without frames."""
        if self._away_since_us is None:
            self._away_since_us = steady_us

    def camera_back(self) -> None:
        """The camera records again, or a frame of it was looked at."""
        self._away_since_us = None

    def stop(self) -> tuple[PresenceChange, ...]:
        """The camera was disabled or deleted: close now."""
        return (self._close(EndReason.STOPPED),) if self._event is not None else ()

    def _close_if_clock_went_back(self, wall_us: int) -> tuple[PresenceChange, ...]:
        """After the wall clock was set back a window cannot hold both what was and what comes: close it."""
        limit_us = wall_us + self._rules.hold_us + self._rules.settle_us
        if self._event is not None and self._event.last_seen_us > limit_us:
            closed = self._close(EndReason.LEFT)
            self._taken_until_us = None
            return (closed,)
        if self._taken_until_us is not None and self._taken_until_us > limit_us:
            self._taken_until_us = None
        return ()

    def _open(self, sighting: Sighting) -> Opened:
        started_us = sighting.first_us
        if self._taken_until_us is not None and started_us <= self._taken_until_us:
            # The same track went on after its event was closed (hidden for longer than the hold time).
            started_us = max(sighting.seen_us, self._taken_until_us)
        self._event = OpenEvent(
            event_id=self._new_id(),
            started_us=started_us,
            last_seen_us=max(started_us, sighting.seen_us),
            window_start_us=started_us - self._rules.pre_us,
            labels=sighting.labels,
            seq=0,
        )
        return Opened(self._event)

    def _continue(self, event: OpenEvent, sighting: Sighting, steady_us: int) -> tuple[PresenceChange, ...]:
        """Close at the instant of this frame and begin the next event there; their windows meet in it."""
        instant_us = sighting.seen_us
        closed = Closed(event, instant_us, EndReason.MAX_LENGTH)
        self._event = OpenEvent(
            event_id=self._new_id(),
            started_us=instant_us,
            last_seen_us=instant_us,
            window_start_us=instant_us,
            labels=sighting.labels,
            seq=0,
            continues=event.event_id,
        )
        self._taken_until_us = instant_us
        self._heard_steady_us = steady_us
        return closed, Opened(self._event)

    def _close(self, reason: EndReason) -> Closed:
        event = self._event
        assert event is not None
        self._event = None
        self._taken_until_us = event.last_seen_us
        return Closed(event, event.last_seen_us + self._rules.post_us, reason)


def _extended(event: OpenEvent, sighting: Sighting) -> OpenEvent:
    return replace(
        event,
        last_seen_us=max(event.last_seen_us, sighting.seen_us),
        labels=tuple(dict.fromkeys((*event.labels, *sighting.labels))),
    )
