"""From what was seen to what is kept: events of one camera, their best shots, pins and outbox rows.

The detect loop calls `observe` and `tick`, the writer's thread `segment_published` and `run_ended`; both return at
once. They move the presence machine and leave what is to be done; the drain thread does it, in this order for a
new event: event kept, best shot, pins, row `opened` (P0) - so that no pin is without its event and no notification
without its picture. Every step may be cut off and done again.

Bound: what waits is an event's beginning and end, which are never dropped (one pair per hold time at most); of
extensions only the newest, of pictures the newest of each of the last `_MAX_SHOTS` events (the oldest goes).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from iris.adapters.pending import PendingFiles
from iris.base.errors import StorageError
from iris.base.log import get_logger
from iris.base.stop import StopToken
from iris.camera_ports import Picture
from iris.contracts.events import EventMessage
from iris.domain.camera import CameraSpec, CameraTuning
from iris.domain.event import OpenEvent
from iris.domain.frame import UInt8Array
from iris.domain.segment import GapReason, Segment
from iris.domain.track import Track
from iris.outbox.rows import CLOSED, OPENED, UPDATED
from iris.outbox.writer import EventOutbox
from iris.pipeline.event_message import MessageComposer
from iris.pipeline.manual import Answer, ManualParts, ManualRecorder
from iris.pipeline.pin_keeper import PinKeeper
from iris.pipeline.trouble import Trouble
from iris.ports import Clock, IdSource, SegmentIndexReader
from iris.presence.best_shot import is_better_shot, shot_score, thumbnail_size_px
from iris.presence.machine import Closed, Opened, PresenceChange, PresenceMachine, PresenceRules
from iris.presence.trigger import Sighting, sighting_of, trigger_labels

_TOUCH_INTERVAL_US = 1_000_000
# News a person would look at (another label, the first picture), and a sign of life.
_UPDATE_INTERVAL_US, _LIFE_SIGN_INTERVAL_US = 3_000_000, 30_000_000
_SHOT_INTERVAL_US = 1_000_000
_MAX_SHOTS = 4
_RETRY_S = 1.0
_WAIT_S = 0.5


@dataclass(frozen=True, slots=True)
class DrainParts:
    """What the drain works with; what it calls must return at once.

    `notify` is called after each committed row, `forgotten` with the events whose rows are gone for good.
    """

    outbox: EventOutbox
    index: SegmentIndexReader
    files: PendingFiles
    clock: Clock
    ids: IdSource
    encode_jpeg: Callable[[UInt8Array], bytes]
    notify: Callable[[], None]
    forgotten: Callable[[Sequence[str]], None] = lambda _event_ids: None


@dataclass(slots=True)
class _Announced:
    """What the open event's newest row said, to tell whether another is due."""

    event_id: str
    labels: tuple[str, ...]
    last_seen_us: int
    has_thumbnail: bool
    at_us: int  # monotonic
    touched_last_seen_us: int
    touched_at_us: int  # monotonic


@dataclass(slots=True)
class _Waiting:
    """What the drain thread has to do; under the lock."""

    changes: deque[PresenceChange] = field(default_factory=deque)
    shots: dict[str, UInt8Array] = field(default_factory=dict)
    forget: set[str] = field(default_factory=set)
    pins: bool = True


class Drain:
    """Implements `PresenceObserver` and `SegmentListener`; one per camera process.

    Goes on with the event that was open when the process ended. `run` is the thread; `step` does all that waits.

    Raises:
        StorageError: The camera's file cannot be read.
    """

    def __init__(self, spec: CameraSpec, tuning: CameraTuning, node_id: str, parts: DrainParts) -> None:
        self._spec, self._parts = spec, parts
        self._compose = MessageComposer(spec, node_id, parts.files)
        self._labels = trigger_labels(spec.detector_backend, spec.trigger_classes)
        self._wake = threading.Condition()
        self._waiting = _Waiting()
        self._away_since_us: int | None = None
        self._best: tuple[str, float, int] | None = None  # event, score, when taken
        self._announced: _Announced | None = None
        log = get_logger(camera_id=spec.camera_id)
        self._trouble, self._shot_trouble = Trouble(log), Trouble(log)
        resumed = parts.outbox.load_open_event()
        self._machine = PresenceMachine(
            PresenceRules.of(spec, tuning.event_max_seconds),
            parts.ids.new_id,
            resumed=resumed,
            steady_us=parts.clock.monotonic_us(),
            quiet_us=parts.clock.wall_us() - resumed.last_seen_us if resumed is not None else 0,
        )
        # The event that is on disk as open now; the machine may be ahead of it.
        self._kept = resumed
        if resumed is not None:
            self._away_since_us = resumed.last_seen_us
            if resumed.seq == 0:
                self._waiting.changes.append(Opened(resumed))
            else:
                self._note_announced(self._compose(UPDATED, resumed))
        self._pins = PinKeeper(
            spec.camera_id, tuning, outbox=parts.outbox, index=parts.index, files=parts.files, clock=parts.clock
        )
        self._manual = ManualRecorder(
            ManualParts(parts.outbox, self._pins, parts.clock, parts.ids.new_id, self._compose, parts.notify),
            pre_seconds=spec.pre_seconds, most_seconds=tuning.manual_max_seconds,
        )  # fmt: skip

    @property
    def open_event(self) -> OpenEvent | None:
        """The event that is open now, as the detect loop knows it."""
        with self._wake:
            return self._machine.open_event

    @property
    def accepted_count(self) -> int:
        """Events that this process accepted (P0)."""
        return self._parts.outbox.accepted_count

    @property
    def manual_event(self) -> OpenEvent | None:
        """The manual recording that runs."""
        return self._manual.open_event

    def start_recording(self, answer: Answer, most_seconds: float | None = None) -> None:
        """Begin a manual recording; see `ManualRecorder.start`."""
        self._manual.start(answer, most_seconds)
        self._hurry()

    def stop_recording(self, answer: Answer) -> None:
        """End the manual recording; see `ManualRecorder.stop`."""
        self._manual.stop(answer)
        self._hurry()

    def observe(self, tracks: Sequence[Track], picture: Picture, now_us: int) -> None:  # noqa: ARG002 - of the port
        """Tracks after one analysed picture."""
        sighting = sighting_of(tracks, self._labels, picture.wall_us)
        with self._wake:
            self._camera_seen(picture.wall_us)
            self._take(self._machine.frame(sighting, picture.wall_us, self._parts.clock.monotonic_us()))
            event = self._machine.open_event
            if sighting is not None and event is not None:
                self._consider_shot(event.event_id, sighting, picture)

    def tick(self, now_us: int) -> None:  # noqa: ARG002 - quiet time runs on the monotonic clock
        """Time passed without a frame."""
        with self._wake:
            self._take(self._machine.tick(self._parts.clock.monotonic_us()))

    def segment_published(self, segment: Segment) -> None:
        """The segment is durable and in the index."""
        with self._wake:
            self._camera_seen(segment.start_us)
            self._waiting.pins = True
            self._wake.notify_all()

    def run_ended(self, end_us: int, reason: GapReason) -> None:  # noqa: ARG002 - every reason means no frames
        """No further segment of this run will come."""
        with self._wake:
            self._away_since_us = end_us
            self._machine.camera_lost(self._parts.clock.monotonic_us())
            self._waiting.pins = True
            self._wake.notify_all()

    def close_open_event(self) -> None:
        """The camera was disabled or deleted: what is open ends now. Call `step`, or let `run` end, after it."""
        self._manual.close()
        with self._wake:
            self._take(self._machine.stop())

    def forget(self, event_ids: Collection[str]) -> None:
        """These events are terminal everywhere: their rows and the rest of their pins may go."""
        with self._wake:
            self._waiting.forget.update(event_ids)
            self._wake.notify_all()

    def run(self, stop: StopToken) -> None:
        """The drain thread: until `stop`, then once more for what still waits."""
        while not stop.stopped:
            if not self._step_guarded():
                stop.wait(_RETRY_S)
                continue
            with self._wake:
                if not (self._waiting.changes or self._waiting.pins):
                    self._wake.wait(_WAIT_S)
        self._step_guarded()

    def _step_guarded(self) -> bool:
        """The boundary of the thread: whatever fails is said and done again, events are never left lying."""
        try:
            self.step()
        except StorageError as error:
            self._trouble.met("drain_failed", error.code, error=error)
        except Exception:  # noqa: BLE001 - said with its trace; events must outlive a mistake
            self._trouble.met("drain_failed_unexpectedly", "unexpected", exc_info=True)
        else:
            self._trouble.over("drain goes on, nothing was lost")
            return True
        return False

    def step(self) -> None:
        """Do all that waits; what fails is done again by the next call.

        Raises:
            StorageError: Something could not be written; it still waits.
        """
        failure: StorageError | None = None
        for part in (self._write_changes, self._write_news, self._step_manual, self._sync_pins, self._forget_waiting):
            try:
                part()
            except StorageError as error:  # a full disk for rows is no reason not to pin
                failure = failure or error
        if failure is not None:
            raise failure

    # What follows up to the next such line runs under the lock, on the callers' threads.

    def _take(self, changes: Sequence[PresenceChange]) -> None:
        self._waiting.changes.extend(changes)
        if changes:
            self._wake.notify_all()

    def _camera_seen(self, wall_us: int) -> None:
        """Something of the camera from `wall_us` came; pictures still in the decoder when a run ended do not count."""
        if self._away_since_us is not None and wall_us >= self._away_since_us:
            self._away_since_us = None
            self._machine.camera_back()

    def _consider_shot(self, event_id: str, sighting: Sighting, picture: Picture) -> None:
        best = self._best if self._best is not None and self._best[0] == event_id else None
        if best is not None and sighting.seen_us - best[2] < _SHOT_INTERVAL_US:
            return
        score = shot_score(sighting, picture.size_px)
        if not is_better_shot(score, best[1] if best is not None else None):
            return
        shots = self._waiting.shots
        shots.pop(event_id, None)
        shots[event_id] = picture.scaled_rgb(thumbnail_size_px(picture.size_px)).copy()
        while len(shots) > _MAX_SHOTS:
            del shots[next(iter(shots))]
        self._best = (event_id, score, sighting.seen_us)

    # What follows runs on the drain thread.

    def _write_changes(self) -> None:
        while True:
            with self._wake:
                changes = self._waiting.changes
                if not changes:
                    return
                change, following = changes[0], changes[1] if len(changes) > 1 else None
            if isinstance(change, Opened):
                self._write_opened(change.event)
            else:
                continued_by = following.event if isinstance(following, Opened) else None
                if continued_by is not None and continued_by.continues != change.event.event_id:
                    continued_by = None
                self._write_closed(change, continued_by)
            with self._wake:
                changes.popleft()

    def _write_opened(self, event: OpenEvent) -> None:
        outbox = self._parts.outbox
        outbox.begin(event)
        self._kept = event
        self._write_shot(event)
        try:
            self._pins.pin_window(event.event_id, event.window_start_us, self._parts.clock.wall_us())
        except StorageError as error:  # an event without all its pins is better than no event; they are tried again
            get_logger(camera_id=self._spec.camera_id).error("event_opens_without_pins", error=error)
            with self._wake:
                self._waiting.pins = True
        message = self._compose(OPENED, event)
        if outbox.append(message) is not None:
            self._parts.notify()
        self._note_announced(message)

    def _write_closed(self, closed: Closed, continued_by: OpenEvent | None) -> None:
        self._write_shot(closed.event)
        message = self._compose(CLOSED, closed.event, window_end_us=closed.window_end_us, end_reason=closed.reason)
        stored = self._parts.outbox.append(message, continued_by)
        self._kept = continued_by
        self._announced = None
        with self._wake:
            self._waiting.pins = True
        if stored is not None:
            self._parts.notify()

    def _write_news(self) -> None:
        """Of the open event: last seen about every second, the better picture, a row where there is news."""
        with self._wake:
            event = self._machine.open_event
            ahead = bool(self._waiting.changes)
        said = self._announced
        if ahead or event is None or said is None or said.event_id != event.event_id:
            return
        self._write_shot(event)
        now_us = self._parts.clock.monotonic_us()
        message = self._compose(UPDATED, event)
        news = message.labels != said.labels or message.has_thumbnail != said.has_thumbnail
        alive = message.last_seen_us > said.last_seen_us
        waited_us = now_us - said.at_us
        if (news and waited_us >= _UPDATE_INTERVAL_US) or (alive and waited_us >= _LIFE_SIGN_INTERVAL_US):
            if self._parts.outbox.append(message) is not None:
                self._parts.notify()
            self._note_announced(message)
        elif event.last_seen_us > said.touched_last_seen_us and now_us - said.touched_at_us >= _TOUCH_INTERVAL_US:
            self._parts.outbox.touch(event.event_id, event.last_seen_us)
            said.touched_last_seen_us, said.touched_at_us = event.last_seen_us, now_us

    def _write_shot(self, event: OpenEvent) -> None:
        """Publish the picture that waits for this event, if any; one that cannot be written gives way to the next."""
        with self._wake:
            rgb = self._waiting.shots.pop(event.event_id, None)
        if rgb is None:
            return
        try:
            self._parts.files.save_thumbnail(event.event_id, self._parts.encode_jpeg(rgb))
        except StorageError as error:
            self._shot_trouble.met("thumbnail_failed", error.code, event_id=event.event_id, error=error)
            with self._wake:
                self._best = None
        else:
            self._shot_trouble.over("thumbnails are written again")

    def _step_manual(self) -> None:
        before = self._manual.open_event
        self._manual.step()
        if self._manual.open_event is not before:
            with self._wake:
                self._waiting.pins = True

    def _hurry(self) -> None:
        """Somebody waits for an answer."""
        with self._wake:
            self._waiting.pins = True
            self._wake.notify_all()

    def _sync_pins(self) -> None:
        with self._wake:
            due, self._waiting.pins = self._waiting.pins, False
        if not due:
            return
        try:
            self._pins.sync([event for event in (self._kept, self._manual.open_event) if event is not None])
        except StorageError:
            with self._wake:
                self._waiting.pins = True
            raise

    def _forget_waiting(self) -> None:
        with self._wake:
            busy = {change.event.event_id for change in self._waiting.changes}
            kept = {event.event_id for event in (self._kept, self._manual.open_event) if event is not None}
            event_ids = self._waiting.forget - busy - kept
        if not event_ids:
            return
        for event_id in sorted(event_ids):
            self._pins.forget(event_id)  # files before rows: while there is a row, somebody looks after the files
        self._parts.outbox.forget(sorted(event_ids))
        self._parts.forgotten(sorted(event_ids))
        with self._wake:
            self._waiting.forget -= event_ids

    def _note_announced(self, message: EventMessage) -> None:
        now_us = self._parts.clock.monotonic_us()
        self._announced = _Announced(
            event_id=message.event_id,
            labels=message.labels,
            last_seen_us=message.last_seen_us,
            has_thumbnail=message.has_thumbnail,
            at_us=now_us,
            touched_last_seen_us=message.last_seen_us,
            touched_at_us=now_us,
        )
