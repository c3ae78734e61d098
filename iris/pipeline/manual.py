"""Manual recording: an event that a person opens and closes, whatever the detector sees.

It is kept like every event - row in the camera's own file, pins, outbox - so it needs neither Temporal nor the
database to begin, and a restart of the process goes on with it. It ends when asked to, or by itself at its `stops_us`.
Requests come from any thread and wait in a queue; everything else belongs to the drain thread.

Bound: requests are answered in order, a camera has one recording at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from iris.base.errors import IrisError, StorageError
from iris.base.timebase import seconds_to_us
from iris.domain.event import EndReason, OpenEvent
from iris.domain.recording import ManualAnswer
from iris.outbox.rows import CLOSED, OPENED, UPDATED
from iris.outbox.writer import EventOutbox
from iris.pipeline.event_message import MANUAL_LABEL, MessageComposer
from iris.pipeline.pin_keeper import PinKeeper
from iris.ports import Clock

# A stop right after the start leaves a clip all the same.
_LEAST_US: Final = 1_000_000
_TOUCH_INTERVAL_US: Final = 1_000_000
_LIFE_SIGN_INTERVAL_US: Final = 30_000_000


Answer = Callable[[ManualAnswer], None]


@dataclass(frozen=True, slots=True)
class ManualParts:
    """What a manual recorder works with; `notify` is called after each committed row."""

    outbox: EventOutbox
    pins: PinKeeper
    clock: Clock
    new_id: Callable[[], str]
    compose: MessageComposer
    notify: Callable[[], None]


class ManualRecorder:
    """The manual recording of one camera.

    Raises:
        StorageError: The camera's file cannot be read.
    """

    def __init__(self, parts: ManualParts, *, pre_seconds: float, most_seconds: float) -> None:
        self._parts = parts
        self._pre_us = seconds_to_us(pre_seconds)
        self._most_us = seconds_to_us(most_seconds)
        self._requests: deque[Callable[[], None]] = deque()
        self._event = parts.outbox.load_open_event(manual=True)
        self._touched_us = self._told_us = self._due_us = parts.clock.monotonic_us()
        if self._event is not None:
            left_us = self._event.stops_us - parts.clock.wall_us() if self._event.stops_us is not None else 0
            self._due_us += min(max(left_us, 0), self._event_length_us(self._event))

    @property
    def open_event(self) -> OpenEvent | None:
        """The recording that runs; any thread may look."""
        return self._event

    def start(self, answer: Answer, most_seconds: float | None = None) -> None:
        """Begin a recording unless one runs; `answer` is called on the drain thread once it is durable."""
        most_us = self._most_us if most_seconds is None else min(seconds_to_us(most_seconds), self._most_us)
        self._requests.append(lambda: self._answered(answer, lambda: self._start(most_us)))

    def stop(self, answer: Answer) -> None:
        """End the recording; `answer` is called on the drain thread once that is durable."""
        self._requests.append(lambda: self._answered(answer, self._stop))

    def close(self) -> None:
        """The camera is switched off: the recording ends with it. Call `step` after it."""
        self.stop(lambda _answer: None)

    def step(self) -> None:
        """Do what was asked for and what is due.

        Raises:
            StorageError: It could not be written and is tried again by the next call.
        """
        while self._requests:
            self._requests.popleft()()
        event = self._event
        if event is None:
            return
        now_us = self._parts.clock.monotonic_us()
        if event.seq == 0:  # the process ended between its first row and its pins
            self._open(event)
        if now_us >= self._due_us:
            self._end(event, EndReason.MAX_LENGTH)
        elif now_us - self._touched_us >= _TOUCH_INTERVAL_US:
            self._seen(event, now_us)

    def _answered(self, answer: Answer, action: Callable[[], ManualAnswer]) -> None:
        try:
            given = action()
        except IrisError as error:
            given = ManualAnswer(self._event, failure=str(error))
        answer(given)

    def _start(self, most_us: int) -> ManualAnswer:
        if self._event is not None:
            return ManualAnswer(self._event)
        clock = self._parts.clock
        now_us = clock.wall_us()
        event = OpenEvent(
            event_id=self._parts.new_id(),
            started_us=now_us,
            last_seen_us=now_us,
            window_start_us=now_us - self._pre_us,
            labels=(MANUAL_LABEL,),
            seq=0,
            stops_us=now_us + most_us,
        )
        self._touched_us = self._told_us = clock.monotonic_us()
        self._due_us = self._told_us + most_us
        self._open(event)
        return ManualAnswer(self._event, fresh=True)

    def _open(self, event: OpenEvent) -> None:
        """Event, pins, row - as for a presence: no pin without its event, no word without its pins."""
        parts = self._parts
        parts.outbox.begin(event)
        self._event = event
        with suppress(StorageError):  # pinned again by the drain's next look; the recording begins all the same
            parts.pins.pin_window(event.event_id, event.window_start_us, parts.clock.wall_us())
        self._append(OPENED, event)
        self._event = replace(event, seq=max(event.seq, 1))

    def _stop(self) -> ManualAnswer:
        event = self._event
        if event is None:
            return ManualAnswer(None)
        return ManualAnswer(self._end(event, EndReason.STOPPED), fresh=True)

    def _end(self, event: OpenEvent, reason: EndReason) -> OpenEvent:
        """Close it now, within what it may last; a wall clock that was set cannot make it longer or negative."""
        latest_us = event.stops_us if event.stops_us is not None else event.last_seen_us
        end_us = latest_us
        if reason is not EndReason.MAX_LENGTH:
            end_us = min(max(self._parts.clock.wall_us(), event.last_seen_us, event.started_us + _LEAST_US), latest_us)
        ended = replace(event, last_seen_us=end_us)
        self._append(CLOSED, ended, window_end_us=end_us, end_reason=reason.value)
        self._event = None
        return ended

    def _seen(self, event: OpenEvent, now_us: int) -> None:
        """Where the recording stands, for whoever has to end it if this process never comes back."""
        latest_us = event.stops_us if event.stops_us is not None else event.last_seen_us
        seen = replace(event, last_seen_us=min(max(self._parts.clock.wall_us(), event.last_seen_us), latest_us))
        if now_us - self._told_us >= _LIFE_SIGN_INTERVAL_US:
            self._append(UPDATED, seen)
            self._told_us = now_us
        else:
            self._parts.outbox.touch(seen.event_id, seen.last_seen_us)
        self._event, self._touched_us = seen, now_us

    def _append(
        self, kind: str, event: OpenEvent, *, window_end_us: int | None = None, end_reason: str | None = None
    ) -> None:
        message = self._parts.compose(kind, event, window_end_us=window_end_us, end_reason=end_reason)
        if self._parts.outbox.append(message) is not None:
            self._parts.notify()

    @staticmethod
    def _event_length_us(event: OpenEvent) -> int:
        return (event.stops_us or event.started_us) - event.started_us
