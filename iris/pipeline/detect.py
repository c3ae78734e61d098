"""The detect loop of one camera: gate, detect, track, observe. One picture at a time, on one thread.

Knows two paces. *Active*: somebody is or lately was in view, `detect_fps` looks a second. *Idle*: the scene is
empty, a glance every `detect_interval_idle_s`, and the network runs only where something moved, or every five
seconds. A network that fails is left alone for a while and then loaded again; recording never hears of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from iris.base.backoff import backoff_delay_s
from iris.base.errors import InferenceError
from iris.base.log import get_logger
from iris.base.timebase import seconds_to_us
from iris.camera_ports import Detector, Picture, PresenceObserver
from iris.domain.detection import Detections, DetectorReport
from iris.domain.track import Track, TrackState
from iris.media.sampling import Sampler
from iris.ports import Clock
from iris.vision.motion import GATE_SIZE_PX, MotionGate
from iris.vision.preprocess import fit_size, scale_boxes

# Somebody who stands still in a scene that was thought empty is found after so long at most.
FORCED_LOOK_US = 5_000_000
_RATE_WINDOW_US = 5_000_000
_IN_VIEW_US = 2_000_000
_SHOWN_AGAIN_US = 5_000_000


class TrackerLike(Protocol):
    """What the loop needs of `iris.tracking.tracker.Tracker`."""

    def update(self, detections: Detections, wall_us: int) -> tuple[Track, ...]:
        """Tracks after one picture; a closed one is reported once."""
        ...


DetectorOpening = Callable[[], tuple[Detector | None, DetectorReport]]


@dataclass(frozen=True, slots=True)
class DetectSettings:
    """Pace and threshold of the loop, in the units of the names."""

    detect_fps: float = 5.0
    detect_interval_idle_s: float = 0.5
    active_grace_s: float = 5.0
    detect_conf: float = 0.5


class DetectLoop:
    """Looks at pictures.

    Args:
        open_detector: Loads the detector; called on the first look and again after a failure.
        tracker: Follows objects; fed at every look that passed the gate.
        observer: Hears of tracks.
        clock: For back-off and rates; the scene itself is timed by the pictures.
        settings: Pace and threshold.
    """

    def __init__(
        self,
        open_detector: DetectorOpening,
        tracker: TrackerLike,
        observer: PresenceObserver,
        clock: Clock,
        settings: DetectSettings,
    ) -> None:
        self._open_detector = open_detector
        self._tracker = tracker
        self._observer = observer
        self._clock = clock
        self._settings = settings
        self._active_us = seconds_to_us(1 / settings.detect_fps)
        self._idle_us = seconds_to_us(settings.detect_interval_idle_s)
        self._grace_us = seconds_to_us(settings.active_grace_s)
        self._detector: Detector | None = None
        self._opened = False
        self._failures = 0
        self._retry_us = 0
        self._gate = MotionGate()
        self._sampler = Sampler()
        self._tracks: tuple[Track, ...] = ()
        self._seen_us: int | None = None
        self._detected_us: int | None = None
        self._looks_us: deque[int] = deque()
        self._told_us = self._observed_us = clock.monotonic_us()
        self.report = DetectorReport(backend="", sentence="the detector is not loaded yet")
        self.look_count = 0
        self.detector_call_count = 0
        self.detection_count = 0
        self.gate_closed_count = 0
        self.inference_error_count = 0

    @property
    def in_view(self) -> tuple[str, ...]:
        """Labels of what is confirmed and seen now, each once, in order."""
        if self._clock.monotonic_us() - self._observed_us > _IN_VIEW_US:
            return ()  # no picture since: the camera is away, or the network failed
        return tuple(sorted({track.label for track in self._tracks if track.state is TrackState.CONFIRMED}))

    @property
    def detect_fps(self) -> float:
        """Calls of the detector per second over the last five seconds."""
        since_us = self._clock.monotonic_us() - _RATE_WINDOW_US
        return sum(1 for at_us in tuple(self._looks_us) if at_us > since_us) * 1_000_000 / _RATE_WINDOW_US

    def idle_at(self, wall_us: int) -> bool:
        """Whether the scene has been empty for the grace time."""
        if self._tracks or self._seen_us is None:
            return False
        # A little earlier than the last sight: the pictures before a glance that found somebody are shown again.
        return not -_SHOWN_AGAIN_US <= wall_us - self._seen_us <= self._grace_us

    def interval_us(self, wall_us: int) -> int:
        """Time between two looks at the pace of that time."""
        return self._idle_us if self.idle_at(wall_us) else self._active_us

    def run_started(self) -> None:
        """A new run: its wall time may begin before the last picture of the one before."""
        self._sampler = Sampler()

    def due(self, wall_us: int) -> bool:
        """Whether a picture taken then would be looked at."""
        return self._sampler.due(wall_us)

    def load(self) -> None:
        """Load the detector, unless it is loaded or has just failed."""
        if self._opened or self._clock.monotonic_us() < self._retry_us:
            return
        try:
            self._detector, self.report = self._open_detector()
        except InferenceError as error:
            self._failed(error)
            return
        self._opened = True
        log = get_logger().warning if self.report.sentence else get_logger().info
        log("detector_ready", backend=self.report.backend, device=self.report.device, sentence=self.report.sentence)

    def glance(self, picture: Picture) -> bool:
        """Look at a keyframe of an idle scene; true when somebody is there. Tracks hear nothing of it."""
        self._sampler.taken(picture.wall_us, self._idle_us)
        found = self._detect(picture)
        if found is None or not self._somebody(found):
            return False
        self._seen_us = picture.wall_us
        return True

    def look_again_from(self, wall_us: int) -> None:
        """Pictures from an earlier time on are shown again: whatever comes is due."""
        self._sampler.hurry(wall_us)

    def look(self, picture: Picture) -> None:
        """Look at one picture."""
        wall_us = picture.wall_us
        if self._seen_us is None:
            self._seen_us = wall_us  # an unknown scene is watched as if somebody were in it
        self._sampler.taken(wall_us, self.interval_us(wall_us))
        self.look_count += 1
        found = self._detect(picture)
        if found is None:
            return
        tracks = self._tracker.update(found, wall_us)
        self._tracks = tuple(track for track in tracks if track.state is not TrackState.CLOSED)
        if self._tracks or self._somebody(found):
            self._seen_us = wall_us
        self._told_us = self._observed_us = self._clock.monotonic_us()
        self._observer.observe(tracks, picture, self._clock.wall_us())

    def tick(self, *, every_us: int) -> None:
        """Tell the observer that time passes, where it has heard nothing for `every_us`."""
        now_us = self._clock.monotonic_us()
        if now_us - self._told_us >= every_us:
            self._told_us = now_us
            self._observer.tick(self._clock.wall_us())

    def _somebody(self, found: Detections) -> bool:
        return bool((found.scores >= self._settings.detect_conf).any())

    def _detect(self, picture: Picture) -> Detections | None:
        """Detections in source pixels; None where the gate is closed or no detector is ready."""
        self.load()
        if self._detector is None:
            return None
        if not self._passes(picture):
            self.gate_closed_count += 1
            return None
        now_us = self._clock.monotonic_us()
        self._looks_us.append(now_us)
        while self._looks_us and self._looks_us[0] <= now_us - _RATE_WINDOW_US:
            self._looks_us.popleft()
        self.detector_call_count += 1
        self._detected_us = picture.wall_us
        small_px = fit_size(picture.size_px, self._detector.input_size_px)
        try:
            found = self._detector.detect(picture.scaled_rgb(small_px))
        except InferenceError as error:
            self._failed(error)
            return None
        self._failures = 0
        self.detection_count += int((found.scores >= self._settings.detect_conf).sum())
        return replace(found, boxes_xyxy=scale_boxes(found.boxes_xyxy, small_px, picture.size_px))

    def _passes(self, picture: Picture) -> bool:
        """The motion gate. The backend `motion` has its own eyes, which must not miss a picture."""
        if self.report.backend == "motion":
            return True
        moving = self._gate.moving(picture.luma(GATE_SIZE_PX), picture.wall_us)
        if moving or self._tracks or self._detected_us is None:
            return True
        return not 0 <= picture.wall_us - self._detected_us < FORCED_LOOK_US

    def _failed(self, error: InferenceError) -> None:
        """Leave the network alone for a while; then it is loaded anew, since a CUDA fault stays in a session."""
        self._failures += 1
        self.inference_error_count += 1
        self._detector, self._opened = None, False
        self._tracks = ()
        self._detected_us = None  # nothing is known of the scene, so the gate stands open for the next try
        delay_s = backoff_delay_s(self._failures)
        self._retry_us = self._clock.monotonic_us() + seconds_to_us(delay_s)
        self.report = replace(self.report, sentence=str(error))
        get_logger().error("inference_failed", error=str(error), failures=self._failures, retry_s=delay_s)
