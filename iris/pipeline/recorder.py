"""The writer: turns runs of placed packets into durable segments, index rows and gaps.

Owns the files of one camera under `segments/<camera_id>/` and the segment part of its index. Order of a publication
(P1): close, fsync, rename `.part` to `seg_<start_us>.mp4`, fsync directory, row durable. Every moment between the
first recording and now is either in a segment or in a gap with its reason.

A failure of the disk ends the segment, opens a gap and is tried again a second later at the next keyframe, for ever.
Concurrency: one thread calls everything here; listeners are called on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from iris.adapters.av_segments import MuxTemplates, SegmentFile
from iris.adapters.media_files import make_dir, publish, unlink_durably
from iris.adapters.pins import is_pinned
from iris.adapters.store_mark import expect_footage_disk
from iris.base.errors import DiskFullError, StorageError
from iris.base.ids import CameraId
from iris.base.log import get_logger
from iris.base.timebase import US_PER_S, seconds_to_us
from iris.camera_ports import SegmentListener
from iris.domain.packet import CodecParams
from iris.domain.segment import GapReason, Segment
from iris.media.pruning import PruneCandidate, segments_to_prune
from iris.media.segmenter import Segmenter
from iris.media.timeline import PlacedPacket
from iris.outbox.segments import DurableSegment, NewSegment, RunRow, SegmentIndex, WritingRow
from iris.pipeline.adoption import PART_SUFFIX, adopt_unfinished, measured
from iris.pipeline.gap_book import GapBook
from iris.pipeline.packet_buffer import Away, BeginRun, EndRun, Hole, Item
from iris.ports import Clock

PRUNE_EVERY_US = 10_000_000
RETRY_AFTER_US = 1_000_000


@dataclass(frozen=True, slots=True)
class RecorderSpec:
    """What the recorder of one camera needs to know."""

    camera_id: CameraId
    data_dir: Path
    segment_seconds: float
    retention_seconds: float


@dataclass(slots=True)
class _OpenSegment:
    file: SegmentFile
    segment_id: int
    final_path: str
    start_us: int


@dataclass(frozen=True, slots=True)
class _Announced:
    """A row `writing` whose file is to be made."""

    segment_id: int
    final_path: str


@dataclass(frozen=True, slots=True)
class _PublishedFile:
    """A published file whose row is to be written; `had_leftovers` is what was true before."""

    segment_id: int
    durable: DurableSegment
    run: RunRow | None
    had_leftovers: bool


def params_hash(video: CodecParams, audio: CodecParams | None) -> str:
    """Equal exactly for runs whose packets may share a file."""
    parts: list[object] = [video.codec, video.extradata.hex(), video.width_px, video.height_px]
    if audio is not None:
        parts += [audio.codec, audio.extradata.hex(), audio.sample_rate_hz, audio.channel_count]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


class Recorder:
    """Writes one camera's footage."""

    def __init__(
        self,
        spec: RecorderSpec,
        index: SegmentIndex,
        clock: Clock,
        listeners: Sequence[SegmentListener],
        publish_file: Callable[[Path, Path], None] = publish,
    ) -> None:
        self._spec = spec
        self._index = index
        self._clock = clock
        self._listeners = tuple(listeners)
        self._publish_file = publish_file
        self._segmenter = Segmenter(seconds_to_us(spec.segment_seconds))
        self._templates: MuxTemplates | None = None
        self._run: BeginRun | None = None
        self._run_stored = False
        self._open: _OpenSegment | None = None
        self._gaps = GapBook(index, get_logger(camera_id=spec.camera_id))
        self.gap_counts = self._gaps.closed_us
        self._leftovers = False  # files of rows `writing` that could not be adopted yet
        self._retry_at_us = 0
        self._pruned_at_us = 0
        self._failing_since_us = 0
        self._log = get_logger(camera_id=spec.camera_id)
        self.covered_until_us: int | None = None
        self.failure: StorageError | None = None
        self.segment_count = 0
        self.failure_count = 0

    def recover(self) -> None:
        """Adopt what a killed process left, finish its deletions, open the gap since the last footage.

        Raises:
            StorageError: The disk is not mounted, or it or the index refuses; call again later.
        """
        expect_footage_disk(self._spec.data_dir)
        make_dir(self._spec.data_dir / "segments" / self._spec.camera_id)
        self._adopt_leftovers()
        self._finish_deletions()
        self.covered_until_us = self._index.known_until_us()
        self._gaps.resume(self.covered_until_us)

    def ready(self) -> bool:
        """Whether items should be handed over now; false for a moment after the disk failed."""
        return self._clock.monotonic_us() >= self._retry_at_us

    def handle_all(self, items: Sequence[Item]) -> None:
        """Take the next items of the buffer; failures of the disk are kept in `failure`, not raised."""
        for item in items:
            try:
                self._handle(item)
            except StorageError as error:
                self._fail(error, item)
            except Exception as error:  # noqa: BLE001 - the boundary of the writer: recording goes on after a bug
                self._log.exception("recorder failed", error=error)
                self._fail(StorageError("the recorder met an unexpected error; see the log"), item)

    def close(self) -> None:
        """Publish what is open, as at the end of a run by an orderly stop."""
        if self._run is not None:
            self.handle_all([EndRun(GapReason.STOPPED)])
        if self._templates is not None:
            self._templates.close()
            self._templates = None

    def _handle(self, item: Item) -> None:
        match item:
            case BeginRun():
                self._begin_run(item)
            case EndRun():
                self._end_run(item.reason)
            case Hole():
                self._finish_open(None)
                self._missing_since_covered(self._failure_reason())
            case Away():
                if self.covered_until_us is None and self._open is None:  # it never recorded so far
                    self._gaps.missing_since(item.since_us, item.reason)
                self._gaps.away(item)
            case PlacedPacket():
                self._write(item)

    def _begin_run(self, item: BeginRun) -> None:
        try:
            self._finish_open(item.row.started_us)
        finally:
            if self._templates is not None:
                self._templates.close()
                self._templates = None
            # Row and streams are made with the first segment, so that a full disk now costs nothing later.
            self._run, self._run_stored = item, False

    def _end_run(self, reason: GapReason | None) -> None:
        if reason is None:
            return  # the next run begins where this one ends: its begin finishes the segment
        try:
            self._finish_open(None)
        finally:
            self._run = None
            self._missing_since_covered(reason)
            if self.covered_until_us is not None:
                end_us = self.covered_until_us
                self._tell(lambda listener: listener.run_ended(end_us, reason))

    def _write(self, placed: PlacedPacket) -> None:
        packet = placed.packet
        if self._segmenter.begins_segment(packet):
            self._cut(placed)
        if self._open is None:
            return
        if self._open.file.write(packet):
            self._segmenter.add(packet)

    def _cut(self, first: PlacedPacket) -> None:
        """End the open segment, if any, and begin the next one; both rows change in one transaction."""
        published = self._publish_open(first.wall_us)
        if self._run is None:
            return
        run = self._run.row
        if self._templates is None:
            self._templates = MuxTemplates(self._run.start.video, self._run.start.audio)
        if not self._run_stored:
            self._index.begin_run(run)
            self._run_stored = True
        final = self._free_name(first.wall_us)
        new = NewSegment(run.run_id, final + PART_SUFFIX, first.wall_us - run.started_us)
        if published is None:
            segment_id = self._index.begin_segment(new.run_id, new.path, new.run_offset_us)
        else:
            segment_id = self._index.finish_and_begin(published.segment_id, published.durable, new)
        # First, so that a file that cannot be made now is a gap from here on and not from before what is durable.
        if published is not None:
            self._finished(published)
        self._begin_file(_Announced(segment_id, final), first, self._templates)
        self._prune()
        if self._leftovers:
            self._adopt_leftovers()

    def _begin_file(self, announced: _Announced, first: PlacedPacket, templates: MuxTemplates) -> None:
        part = self._spec.data_dir / (announced.final_path + PART_SUFFIX)
        try:
            file = SegmentFile(part, templates)
        except StorageError:
            self._leftovers = True
            raise
        self._open = _OpenSegment(file, announced.segment_id, announced.final_path, first.wall_us)
        self._segmenter.begin(first.packet)
        self._gaps.close(first.wall_us)

    def _free_name(self, start_us: int) -> str:
        folder = f"segments/{self._spec.camera_id}"
        while True:
            name = f"{folder}/seg_{start_us}.mp4"
            if not any((self._spec.data_dir / taken).exists() for taken in (name, name + PART_SUFFIX)):
                return name
            start_us += 1  # the wall clock was set back onto footage that is there

    def _finish_open(self, next_start_us: int | None) -> None:
        """Publish the open segment, if any; it ends where the next one starts, else with its last picture."""
        published = self._publish_open(next_start_us)
        if published is not None:
            self._index.finish_segment(published.segment_id, published.durable)
            self._finished(published)
            self._prune()

    def _publish_open(self, next_start_us: int | None) -> _PublishedFile | None:
        """Close and publish the open file; its row is still to be written."""
        segment, self._open = self._open, None
        sums = self._segmenter.sums()
        self._segmenter.end_run()
        if segment is None:
            return None
        end_us = next_start_us if next_start_us is not None else segment.start_us + sums.media_us
        end_us = max(end_us, segment.start_us + 1)
        self.covered_until_us = segment.start_us  # until it is published
        had_leftovers, self._leftovers = self._leftovers, True
        segment.file.close()
        part, final = segment.file.path, self._spec.data_dir / segment.final_path
        size_bytes, sha256 = measured(part)
        try:
            self._publish_file(part, final)
        except StorageError:
            # After a failed fsync the pages may be gone although a second one succeeds: never trust this file.
            self._abandon(segment)
            raise
        durable = DurableSegment(
            segment.final_path,
            segment.start_us,
            end_us,
            size_bytes,
            sums.video_packet_count,
            sums.audio_packet_count,
            sha256,
            sums.max_gop_us,
        )
        row = self._run.row if self._run is not None else None
        return _PublishedFile(segment.segment_id, durable, row, had_leftovers)

    def _finished(self, published: _PublishedFile) -> None:
        """The row is written, too: P1."""
        self._leftovers = published.had_leftovers
        if self.failure is not None:
            away_s = round((self._clock.monotonic_us() - self._failing_since_us) / US_PER_S, 1)
            self._log.warning("recording resumed", after_s=away_s)
        self.failure = None
        self._published(published.segment_id, published.durable, published.run)

    def _published(self, segment_id: int, durable: DurableSegment, run: RunRow | None) -> None:
        self.covered_until_us = max(self.covered_until_us or 0, durable.end_us)
        self.segment_count += 1
        self._gaps.covered(durable.start_us, durable.end_us)
        if run is None:
            return
        segment = Segment(
            segment_id,
            self._spec.camera_id,
            run.run_id,
            durable.path,
            durable.start_us,
            durable.end_us,
            durable.size_bytes,
            durable.video_packet_count,
            durable.audio_packet_count,
            durable.sha256,
            run.params_hash,
            durable.max_gop_us,
        )
        self._tell(lambda listener: listener.segment_published(segment))

    def _tell(self, say: Callable[[SegmentListener], None]) -> None:
        for listener in self._listeners:
            try:
                say(listener)
            except Exception as error:  # noqa: BLE001 - the boundary between recording and events
                self._log.exception("segment listener failed", error=error)

    def _abandon(self, segment: _OpenSegment) -> None:
        for path in (segment.file.path, self._spec.data_dir / segment.final_path):
            unlink_durably(path)
        self._index.forget_segment(segment.segment_id)

    def _fail(self, error: StorageError, item: Item) -> None:
        if self.failure is None:
            self._failing_since_us = self._clock.monotonic_us()
            self._log.error("recording interrupted", error=error)
        is_new, self.failure = self.failure is None, error
        self.failure_count += 1
        self._retry_at_us = self._clock.monotonic_us() + RETRY_AFTER_US
        segment, self._open = self._open, None
        self._segmenter.end_run()
        if segment is not None:
            self.covered_until_us = segment.start_us
            segment.file.abandon()
            self._leftovers = True
            self._adopt_quietly(say=is_new)
        self._missing_since_covered(self._failure_reason())
        if isinstance(item, PlacedPacket):  # where the camera was away and is back, from here on it is the disk
            self._gaps.refused(Away(self._failure_reason(), item.wall_us))

    def _failure_reason(self) -> GapReason:
        return GapReason.DISK_FULL if isinstance(self.failure, DiskFullError) else GapReason.STORAGE_ERROR

    def _missing_since_covered(self, reason: GapReason) -> None:
        if self.covered_until_us is not None:
            self._gaps.missing_since(self.covered_until_us, reason)

    def _adopt_quietly(self, *, say: bool) -> None:
        try:
            self._adopt_leftovers()
        except StorageError:
            if say:  # tried again every second
                self._log.warning("unfinished segment left for later")

    def _adopt_leftovers(self) -> None:
        for row in self._index.unfinished():
            if self._open is None or row.segment_id != self._open.segment_id:
                self._adopt(row)
        self._leftovers = False

    def _adopt(self, row: WritingRow) -> None:
        durable = adopt_unfinished(row, self._spec.data_dir, self._publish_file)
        if durable is None:
            self._index.forget_segment(row.segment_id)
            return
        self._index.finish_segment(row.segment_id, durable)
        self._log.info("unfinished segment adopted", path=durable.path, media_us=durable.end_us - durable.start_us)
        run = RunRow(row.run_id, row.start_us, self._index.params_hash_of(row.run_id), "", 0, 0, "")
        self._published(row.segment_id, durable, run)

    def _prune(self) -> None:
        now_us = self._clock.monotonic_us()
        if now_us - self._pruned_at_us < PRUNE_EVERY_US:
            return
        self._pruned_at_us = now_us
        candidates = [
            PruneCandidate(number, path, length_us, is_pinned(self._spec.data_dir / path))
            for number, path, length_us in self._index.durable_segments()
        ]
        old = segments_to_prune(candidates, seconds_to_us(self._spec.retention_seconds))
        if old:
            self._index.mark_deleting([candidate.segment_id for candidate in old])
            self._finish_deletions()

    def _finish_deletions(self) -> None:
        rows = self._index.deleting()
        for _, path in rows:
            unlink_durably(self._spec.data_dir / path)
        if rows:
            self._index.drop_deleted([number for number, _ in rows], self._clock.wall_us())
