"""Repairs of finished events: a clip is made anew where its footage still exists, else its row tells the truth."""

from __future__ import annotations

from pathlib import PurePosixPath

from iris.adapters.av_clip_check import keyframe_jpeg
from iris.adapters.media_files import make_dir, publish, translated
from iris.adapters.pins import pinned_files, release_pins
from iris.adapters.quarantine import Quarantine
from iris.base.errors import IrisError
from iris.base.ids import CameraId
from iris.base.timebase import format_rfc3339
from iris.contracts.events import AssembleClip, ClipFile
from iris.domain.event import EventState
from iris.outbox.reader import CameraDbReader
from iris.pipeline.clip_workshop import NodeClipWorkshop, NodeHooks
from iris.ports import Clock
from iris.store.check import walk_events
from iris.store.events import EventRow
from iris.store.repairs import StoreRepairs
from workers.check.clips import file_problem, is_file
from workers.check.repair_log import RepairLog
from workers.check.view import CheckTask

# What the plan of a clip calls no hole.
_SLACK_US = 500_000


class EventRepairs:
    """Looks at every finished event of this node once."""

    def __init__(self, task: CheckTask, clock: Clock, node_id: str | None, batch: str, log: RepairLog) -> None:
        self._task = task
        self._node_id = node_id
        self._batch = batch
        self._log = log
        self._store = StoreRepairs(task.store)
        self._quarantine = Quarantine(task.data_dir)
        self._index = CameraDbReader(task.data_dir)
        hooks = NodeHooks(is_running=lambda _c: True, post_us=lambda _c: 0, mark_terminal=lambda _c, _e: None)
        self._workshop = NodeClipWorkshop(task.data_dir, self._index, self._index, clock, hooks)

    def run(self) -> None:
        """Clips first: a thumbnail may be made of one."""
        read_count = 0
        for event in walk_events(self._task.store):
            if not event.state.terminal or (self._node_id is not None and event.node_id != self._node_id):
                continue
            read_media = self._task.full or read_count < self._task.newest_media
            read_count += bool(event.clip_files)
            damaged = {
                file: problem
                for file in event.clip_files
                if (problem := file_problem(self._task, file, read_media=read_media)[0]) is not None
            }
            try:
                if damaged:
                    self._repair_clip(event, damaged)
                if event.thumbnail_path is not None and not is_file(self._task.data_dir / event.thumbnail_path):
                    self._repair_thumbnail(event, event.thumbnail_path)
            except IrisError as error:
                self._log.left(f"event {event.event_id} could not be repaired: {error}")
        self._index.close()

    def _repair_clip(self, event: EventRow, damaged: dict[ClipFile, str]) -> None:
        if self._footage_is_there(event):
            self._set_aside([file.path for file in event.clip_files])
            clip = self._workshop.assemble(_request(event), lambda _step, _done, _total: None)
            if clip.files and self._store.replace_clip(event, clip):
                release_pins(self._task.data_dir, event.event_id)  # what assembling keeps for a finished event
                self._log.done(f"event {event.event_id}: its clip was made anew from its segments ({clip.summary})")
                return
            # Now all of its files are in quarantine, and what comes below says so.
            damaged = dict.fromkeys(event.clip_files, "set aside")
        sentence = f"Its clip was lost: {'; '.join(sorted(set(damaged.values())))}. Found on {self._today()}."
        state = self._store.lose_clip_files(event, list(damaged), sentence, lambda: self._still_damaged(damaged))
        if state is None:
            return  # deleted, or repaired by somebody else, while it was looked at
        self._set_aside([file.path for file in damaged])
        what = "no clip is left of it" if state is EventState.FAILED else "the rest of its clip stays"
        told = "; ".join(f"{file.path}: {problem}" for file, problem in damaged.items())
        self._log.done(f"event {event.event_id} is {state.value} now, {what} ({told})")

    def _still_damaged(self, damaged: dict[ClipFile, str]) -> bool:
        return all(file_problem(self._task, file, read_media=True)[0] is not None for file in damaged)

    def _footage_is_there(self, event: EventRow) -> bool:
        """Whether segments or pins cover all that the clip covered."""
        if event.window_end_us is None or not event.covered:
            return False
        camera_id = CameraId(event.camera_id)
        pins = pinned_files(self._task.data_dir, event.event_id)
        spans = []
        for segment in self._index.segments_between(camera_id, event.window_start_us, event.window_end_us):
            name = PurePosixPath(segment.path).name
            if is_file(pins.get(name, self._task.data_dir / "segments" / camera_id / name)):
                spans.append((segment.start_us, segment.end_us))
        return all(_covers(spans, span.start_us, span.end_us) for span in event.covered)

    def _set_aside(self, paths: list[str]) -> None:
        """What is damaged may hold a picture that somebody needs: it is moved, never deleted."""
        self._quarantine.take([path for path in paths if (self._task.data_dir / path).exists()], self._batch)

    def _repair_thumbnail(self, event: EventRow, path: str) -> None:
        for file in event.clip_files:
            jpeg = keyframe_jpeg(self._task.data_dir / file.path, 0)
            if jpeg is not None:
                final = self._task.data_dir / path
                make_dir(final.parent)
                temporary = final.with_name(f"{final.name}.part")
                with translated("write a thumbnail"):
                    temporary.write_bytes(jpeg)
                publish(temporary, final)
                self._log.done(f"event {event.event_id}: its thumbnail was made anew from its clip")
                return
        if self._store.forget_thumbnail(event.event_id, path):
            self._log.done(f"event {event.event_id} has no thumbnail any more: {path} is gone")

    def _today(self) -> str:
        return format_rfc3339(self._task.now_us())[:10]


def _request(event: EventRow) -> AssembleClip:
    assert event.window_end_us is not None
    return AssembleClip(event.event_id, event.camera_id, event.window_start_us, event.window_end_us)


def _covers(spans: list[tuple[int, int]], start_us: int, end_us: int) -> bool:
    at_us = start_us
    for span_start, span_end in sorted(spans):
        if span_start <= at_us + _SLACK_US:
            at_us = max(at_us, span_end)
    return at_us >= end_us - _SLACK_US
