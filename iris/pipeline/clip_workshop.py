"""Implements `ClipWorkshop`: from the segments of one node to published clips and thumbnails.

Owns names and the order of writes (P3): segments compared with the index, muxed to `.part`, read back, fsync, rename,
fsync of the directory, compared once more. Paths follow from the event alone, so a retry after a crash at any step
ends the same. Any thread may call it; one event is assembled once at a time. Cost: see `iris.adapters.av_clip`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from iris.adapters.av_clip import ClipSource, MuxedClip, SourceChain, UnusableSegmentError, check_segment, mux_clip
from iris.adapters.av_clip_check import keyframe_jpeg, verify_clip
from iris.adapters.event_files import DiskEventFiles
from iris.adapters.media_files import make_dir, publish, sha256_of, translated, unlink_durably
from iris.adapters.pins import pending_dir, pinned_files, release_pins
from iris.adapters.store_mark import expect_media_folders
from iris.base.errors import NotFoundError, StorageError
from iris.base.ids import CameraId, parse_id
from iris.base.log import get_logger
from iris.base.timebase import US_PER_S
from iris.contracts.events import (
    KIND_CLOSED,
    AssembleClip,
    ClipFile,
    ClipResult,
    EventMessage,
    EventRef,
    ThumbnailResult,
    TimeRange,
)
from iris.contracts.removal import EventPlace, RemovedEvents
from iris.domain.event import EndReason, EventState
from iris.domain.segment import GapReason, Segment
from iris.media.clip_plan import RUN_BORDER_US, ClipGroup, ClipPlan, Recorded, Span, plan_clip
from iris.pipeline.camera_gate import CameraGate
from iris.pipeline.clip_receipt import keep_receipt, read_receipt
from iris.ports import Clock, OutboxReader, ProgressSink, SegmentIndexReader

# Beside one GOP: the holes that a plan calls none, and rounding.
_DURATION_SLACK_US = 500_000
_THUMBNAIL = "thumbnail.jpg"
# More than clocks of two hosts differ; assembly is asked for once the window has passed.
MOST_AHEAD_US = 60 * US_PER_S


@dataclass(frozen=True, slots=True)
class NodeHooks:
    """What the workshop asks of the node around it.

    Attributes:
        is_running: Whether the node runs the camera's process or is about to start it again. A process that only
            waits for its next start counts: it will go on with the event that it holds open.
        post_us: The camera's post-roll in microseconds.
        mark_terminal: Tells the relay that an event needs nothing more; (camera id, event id), idempotent.
        make_room: Called before so many bytes are written; raises `DiskFullError` where there is no room for them.
    """

    is_running: Callable[[str], bool]
    post_us: Callable[[str], int]
    mark_terminal: Callable[[str, str], None]
    make_room: Callable[[int], None] = lambda _size_bytes: None


@dataclass(frozen=True, slots=True)
class _Draft:
    """A muxed and verified file that has not got its name yet."""

    temporary: Path
    final: Path
    muxed: MuxedClip


class NodeClipWorkshop:
    """Over the files and camera databases of one node."""

    def __init__(
        self,
        data_dir: Path,
        index: SegmentIndexReader,
        outbox: OutboxReader,
        clock: Clock,
        hooks: NodeHooks,
        gate: CameraGate | None = None,
    ) -> None:
        """Over the files of one node; `gate` is shared with what removes all of a camera."""
        self._data_dir = data_dir
        self._index = index
        self._outbox = outbox
        self._clock = clock
        self._hooks = hooks
        self._gate = gate or CameraGate()
        self._lock = threading.Lock()
        self._busy: set[str] = set()

    def settled(self, request: AssembleClip) -> bool:
        """Whether nothing more can come for the window: its end is durable, or known to be missing.

        A gap may be written before the last segment in front of it is durable, so gaps count only where they go on
        from the newest segment. One that still lasts counts up to the present: the camera may come back. A window that
        ends in the future was seen before the clock was set back: its time does not come again.
        """
        camera_id, end_us = CameraId(request.camera_id), request.window_end_us
        known_us = self._index.newest_end_us(camera_id)
        if known_us is None:
            known_us = request.window_start_us
        now_us = self._clock.wall_us()
        if end_us > now_us + MOST_AHEAD_US:
            return True
        for gap in self._index.gaps_between(camera_id, known_us - 1, end_us):
            if gap.start_us <= known_us + RUN_BORDER_US:
                known_us = max(known_us, now_us if gap.end_us is None else gap.end_us)
        return known_us >= end_us

    def assemble(self, request: AssembleClip, progress: ProgressSink) -> ClipResult:
        """Assemble, verify, publish; twice the same gives the same.

        Raises:
            InputError: An id is none.
            DiskFullError: No space is left; nothing half-made stays.
            StorageError: Files cannot be read or written now, or the event is being assembled already.
        """
        parse_id(request.event_id, field="event_id")
        parse_id(request.camera_id, field="camera_id")
        if request.window_end_us <= request.window_start_us:
            return ClipResult(state=EventState.FAILED.value, failure="The window of the event is empty.")
        expect_media_folders(self._data_dir)
        with self._gate.working(request.camera_id), self._alone(request.event_id):
            return self._assemble(request, self._gate.watched(request.camera_id, progress))

    def publish_thumbnail(self, ref: EventRef) -> ThumbnailResult:
        """Best shot to its final place; without one, a keyframe of the event. Idempotent.

        Raises:
            StorageError: A file cannot be read or written now.
        """
        with self._gate.working(ref.camera_id):
            return self._publish_thumbnail(ref)

    def _publish_thumbnail(self, ref: EventRef) -> ThumbnailResult:
        expect_media_folders(self._data_dir)
        best_shot = pending_dir(self._data_dir, ref.event_id) / _THUMBNAIL
        final = self._data_dir / "thumbnails" / f"{ref.event_id}.jpg"
        with translated("read a best shot"):
            jpeg = best_shot.read_bytes() if best_shot.is_file() else None
        if jpeg is None and not final.is_file():
            jpeg = self._keyframe_of_event(ref)
        if jpeg is not None:
            make_dir(final.parent)
            temporary = final.with_suffix(".jpg.part")
            with _removed_on_failure(temporary), translated("write a thumbnail"):
                temporary.write_bytes(jpeg)
                publish(temporary, final)
        with translated("read a thumbnail"):
            if not final.is_file():
                return ThumbnailResult()
            return ThumbnailResult(path=self._relative(final), size_bytes=final.stat().st_size)

    def release(self, ref: EventRef) -> None:
        """Unlink pins; mark the event terminal for the relay. Idempotent.

        Raises:
            StorageError: A pin cannot be removed now.
        """
        with self._gate.working(ref.camera_id):
            release_pins(self._data_dir, ref.event_id)
            self._hooks.mark_terminal(ref.camera_id, ref.event_id)

    def discard(self, ref: EventRef) -> None:
        """Remove every file of an event that was removed meanwhile, then release it. Idempotent.

        Raises:
            InputError: An id is none.
            StorageError: A file cannot be removed now, or its clip is still being made.
        """
        with self._gate.working(ref.camera_id), self._alone(ref.event_id):
            place = EventPlace(ref.event_id, ref.camera_id)
            DiskEventFiles(self._data_dir).purge(RemovedEvents((place,)), lambda *_: None)
            self._hooks.mark_terminal(ref.camera_id, ref.event_id)

    def close_abandoned(self, ref: EventRef) -> EventMessage | None:
        """The closing message of an event nobody holds any more; None while it is held open.

        Raises:
            NotFoundError: The camera's file knows nothing of the event.
        """
        rows = self._outbox.rows_of_event(CameraId(ref.camera_id), ref.event_id)
        if not rows:
            raise NotFoundError(f"this node has no message of event {ref.event_id}")
        last = rows[-1][1]
        if last.kind == KIND_CLOSED:
            return last
        held = next((e for e in self._outbox.open_events(CameraId(ref.camera_id)) if e.event_id == ref.event_id), None)
        post_us = self._hooks.post_us(ref.camera_id)
        if held is not None:
            if self._hooks.is_running(ref.camera_id):
                return None
            last = replace(last, last_seen_us=max(held.last_seen_us, last.last_seen_us), labels=held.labels)
            post_us = 0 if held.manual else post_us
        return replace(
            last,
            kind=KIND_CLOSED,
            seq=last.seq + 1,
            window_end_us=last.last_seen_us + post_us,
            end_reason=EndReason.ABANDONED.value,
        )

    @contextmanager
    def _alone(self, event_id: str) -> Iterator[None]:
        # An attempt that Temporal has given up may still be copying when the next one begins.
        with self._lock:
            if event_id in self._busy:
                raise StorageError("an earlier attempt is still making this clip")
            self._busy.add(event_id)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(event_id)

    def _assemble(self, request: AssembleClip, progress: ProgressSink) -> ClipResult:
        made_before = read_receipt(self._data_dir, request)
        if made_before is not None:
            return made_before
        camera_id, window = CameraId(request.camera_id), Span(request.window_start_us, request.window_end_us)
        segments = self._index.segments_between(camera_id, window.start_us, window.end_us)
        gaps = self._index.gaps_between(camera_id, window.start_us, window.end_us)
        first_us = self._index.first_start_us(camera_id)
        sources, lost = self._checked(request, segments, progress)
        self._hooks.make_room(sum(source.segment.size_bytes for source in sources.values()))
        while True:
            plan = plan_clip(window, Recorded(segments, gaps, lost, first_us))
            try:
                drafts = self._drafts(request, plan, sources, progress)
            except UnusableSegmentError as error:  # each turn leaves one segment less to try
                lost[error.segment_id] = error.reason
                continue
            with _removed_on_failure(*(draft.temporary for draft in drafts)):
                files = tuple(self._published(draft) for draft in drafts)
            self._drop_surplus(request, drafts)
            if lost:  # footage that was durable once: somebody should look at the disk
                reasons = {str(reason): count for reason, count in Counter(lost.values()).items()}
                get_logger(event_id=request.event_id).error("recorded segments are unusable", segments=reasons)
            result = _result(plan, files)
            if files:
                keep_receipt(self._data_dir, request, result)
            return result

    def _checked(
        self, request: AssembleClip, segments: list[Segment], progress: ProgressSink
    ) -> tuple[dict[int, ClipSource], dict[int, GapReason]]:
        """Each segment with the file to take it from; what is not as recorded by its reason."""
        pins = pinned_files(self._data_dir, request.event_id)
        sources: dict[int, ClipSource] = {}
        lost: dict[int, GapReason] = {}
        for number, segment in enumerate(segments, 1):
            # Only the name is taken from the camera's own file, so that none can point outside its folder.
            name = PurePosixPath(segment.path).name
            ring = self._data_dir / "segments" / request.camera_id / name
            for path in (pins[name], ring) if name in pins else (ring,):
                try:
                    check_segment(ClipSource(segment, path))
                except UnusableSegmentError as error:
                    lost.setdefault(segment.segment_id, error.reason)
                else:
                    sources[segment.segment_id] = ClipSource(segment, path)
                    lost.pop(segment.segment_id, None)
                    break
            progress("check segments", number, len(segments))
        return sources, lost

    def _drafts(
        self, request: AssembleClip, plan: ClipPlan, sources: dict[int, ClipSource], progress: ProgressSink
    ) -> list[_Draft]:
        """All files of a plan, muxed and read back; none is left behind where one fails."""
        for leftover in self._clip_path(request, 0).parent.glob(f"{request.event_id}*.part"):
            unlink_durably(leftover)
        drafts: list[_Draft] = []
        for number, group in enumerate(plan.groups):
            final = self._clip_path(request, number)
            make_dir(final.parent)
            temporary = final.with_name(f"{final.name}.part")
            with _removed_on_failure(temporary, *(draft.temporary for draft in drafts)):
                muxed = mux_clip(_chains(group, sources), temporary, progress)
                verify_clip(temporary, muxed, progress)
                _hold_duration(group, muxed)
            drafts.append(_Draft(temporary, final, muxed))
        return drafts

    def _published(self, draft: _Draft) -> ClipFile:
        """Give a file its name, durably, and compare what then has that name with what was verified."""
        sha256 = sha256_of(draft.temporary)
        publish(draft.temporary, draft.final)
        if sha256_of(draft.final) != sha256:
            raise StorageError(f"the clip {draft.final.name} changed while it was published")
        muxed = draft.muxed
        return ClipFile(
            path=self._relative(draft.final),
            size_bytes=draft.final.stat().st_size,
            sha256=sha256,
            start_us=muxed.start_us,
            end_us=muxed.end_us,
            duration_us=muxed.duration_us,
            video_packet_count=muxed.video_packet_count,
            audio_packet_count=muxed.audio_packet_count,
            video_codec=muxed.video_codec,
            width_px=muxed.width_px,
            height_px=muxed.height_px,
        )

    def _drop_surplus(self, request: AssembleClip, drafts: list[_Draft]) -> None:
        """Remove files of an earlier attempt that made more of them, so that each file has its row."""
        finals = {draft.final for draft in drafts}
        for file in self._clip_path(request, 0).parent.glob(f"{request.event_id}*.mp4"):
            if file not in finals:
                unlink_durably(file)

    def _clip_path(self, request: AssembleClip, number: int) -> Path:
        name = f"{request.event_id}.{number}.mp4" if number else f"{request.event_id}.mp4"
        return self._data_dir / "recordings" / request.camera_id / name

    def _keyframe_of_event(self, ref: EventRef) -> bytes | None:
        rows = self._outbox.rows_of_event(CameraId(ref.camera_id), ref.event_id)
        if not rows:
            return None
        event = rows[-1][1]
        end_us = event.window_end_us or event.last_seen_us + 1
        segments = self._index.segments_between(CameraId(ref.camera_id), event.window_start_us, end_us)
        # Of the event itself if there is something yet, else what came last before it.
        segments.sort(key=lambda s: (s.end_us <= event.started_us, abs(s.start_us - event.started_us)))
        pins = pinned_files(self._data_dir, ref.event_id)
        for segment, after_us in [*((s, event.started_us - s.start_us) for s in segments), *((s, 0) for s in segments)]:
            name = PurePosixPath(segment.path).name
            path = pins.get(name, self._data_dir / "segments" / ref.camera_id / name)
            jpeg = keyframe_jpeg(path, after_us)
            if jpeg is not None:
                return jpeg
        return None

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._data_dir).as_posix()


@contextmanager
def _removed_on_failure(*temporaries: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
        raise


def _chains(group: ClipGroup, sources: dict[int, ClipSource]) -> list[SourceChain]:
    return [
        SourceChain(tuple(sources[segment.segment_id] for segment in chain.segments), chain.span)
        for chain in group.chains
    ]


def _hold_duration(group: ClipGroup, muxed: MuxedClip) -> None:
    gop_us = max(segment.max_gop_us for chain in group.chains for segment in chain.segments)
    if abs(muxed.duration_us - group.covered_us) > gop_us + _DURATION_SLACK_US:
        raise StorageError(f"a clip of {group.covered_us} us came out {muxed.duration_us} us long")


def _result(plan: ClipPlan, files: tuple[ClipFile, ...]) -> ClipResult:
    missing = tuple(TimeRange(r.start_us, r.end_us, r.reason.value) for r in plan.missing)
    reasons = ", ".join(
        f"{reason} {us / US_PER_S:.1f} s"
        for reason, us in sum(
            (Counter({r.reason.value: r.end_us - r.start_us}) for r in plan.missing), Counter[str]()
        ).most_common()
    )
    if not files:
        return ClipResult(
            state=EventState.FAILED.value,
            missing=missing,
            failure=f"Nothing of the window was recorded: {reasons}.",
            summary=f"no footage ({reasons})",
        )
    length_s = sum(file.duration_us for file in files) / US_PER_S
    told = f"{length_s:.1f} s in {len(files)} file{'s' if len(files) > 1 else ''}"
    return ClipResult(
        state=(EventState.PARTIAL if missing else EventState.READY).value,
        files=files,
        covered=tuple(TimeRange(span.start_us, span.end_us) for span in plan.covered),
        missing=missing,
        summary=f"{told}, missing: {reasons}" if missing else f"{told}, complete",
    )
