"""Rules of finished events: their ranges, their clip files, their thumbnails (rules 2, 8 and 9)."""

from __future__ import annotations

import re
from pathlib import Path

from iris.adapters.av_probe import probe_clip
from iris.adapters.media_files import sha256_of
from iris.base.errors import CorruptMediaError, StorageError
from iris.contracts.events import ClipFile
from iris.domain.event import EventState
from iris.store.check import walk_events
from iris.store.events import EventRow
from workers.check.view import CheckTask, View
from workers.check_report import Findings

# Beside one GOP: what the plan of a clip does not call a hole, and the rounding of two time bases per file.
_DURATION_SLACK_US = 500_000


def finished_events(task: CheckTask, view: View, found: Findings) -> None:
    """Walk all events once; fills the view with what is known, terminal, and named by rows."""
    found.rule("window", "covered and missing time make each finished event's window exactly")
    bytes_of = "" if task.full else f" (bytes of the newest {task.newest_media}, of others the size; --full reads all)"
    found.rule("clip", f"each ready or partial event has its clip files, as recorded and playable{bytes_of}")
    found.rule("thumbnail", "each thumbnail row has its file")
    read_count = 0
    for event in walk_events(task.store):
        if not event.state.terminal:
            view.known[event.event_id] = event
            continue
        view.terminal.add(event.event_id)
        view.clip_paths.update(file.path for file in event.clip_files)
        found.looked("window")
        if not _covers_window(event):
            found.problem("window", f"event {event.event_id}: its ranges do not make its window")
        if view.node_id is not None and event.node_id != view.node_id:
            continue  # its files lie on another host
        if event.thumbnail_path is not None:
            view.thumbnail_paths.add(event.thumbnail_path)
            found.looked("thumbnail")
            if not is_file(task.data_dir / event.thumbnail_path):
                found.problem("thumbnail", f"event {event.event_id}: {event.thumbnail_path} is missing")
        read_media = task.full or read_count < task.newest_media
        read_count += bool(event.clip_files)
        for text in clip_problems(task, event, read_media=read_media):
            found.problem("clip", f"event {event.event_id}: {text}")
        found.looked("clip")


def _covers_window(event: EventRow) -> bool:
    spans = sorted((span.start_us, span.end_us) for span in (*event.covered, *event.missing))
    at_us = event.window_start_us
    for start_us, end_us in spans:
        if start_us != at_us:
            return False
        at_us = end_us
    return at_us == event.window_end_us


def clip_problems(task: CheckTask, event: EventRow, *, read_media: bool) -> list[str]:
    """What is wrong with a finished event's clip; `read_media` false compares sizes only."""
    problems = []
    if bool(event.clip_files) != (event.state is not EventState.FAILED):
        problems.append(f"{event.state} with {len(event.clip_files)} clip files")
    if event.state is EventState.READY and event.missing:
        problems.append("ready although a part of its window is missing")
    if event.state is EventState.PARTIAL and not event.missing:
        problems.append("partial although nothing of its window is missing")
    gop_us = 0
    # After a repair a part in the middle may be gone, so the numbers only rise.
    names = re.compile(rf"recordings/{event.camera_id}/{event.event_id}(\.\d{{1,4}})?\.mp4")
    for file in event.clip_files:
        if names.fullmatch(file.path) is None:
            problems.append(f"{file.path} is not where this event's file belongs")
            continue
        problem, longest_gop_us = file_problem(task, file, read_media=read_media)
        gop_us += longest_gop_us
        if problem is not None:
            problems.append(f"{file.path}: {problem}")
            read_media = False  # without all GOPs the sum below says nothing
    covered_us = sum(span.end_us - span.start_us for span in event.covered)
    duration_us = sum(file.duration_us for file in event.clip_files)
    slack_us = gop_us + _DURATION_SLACK_US * len(event.clip_files)
    # Longer is no fault: where the clock was set back two runs have the same wall time, and the clip shows both.
    if read_media and event.clip_files and covered_us - duration_us > slack_us:
        problems.append(f"its clip is {duration_us} us long, covered are {covered_us} us")
    return problems


def file_problem(task: CheckTask, file: ClipFile, *, read_media: bool) -> tuple[str | None, int]:
    """What is wrong with one file, and its longest GOP in microseconds (0 where it was not read)."""
    try:
        return None, _check_file(task, file, read_media=read_media)
    except OSError as error:
        return str(error.strerror or error), 0
    except (CorruptMediaError, StorageError) as error:
        return str(error), 0


def _check_file(task: CheckTask, file: ClipFile, *, read_media: bool) -> int:
    path = task.data_dir / file.path
    size_bytes = path.stat().st_size
    if size_bytes != file.size_bytes:
        raise CorruptMediaError(f"{size_bytes} bytes, recorded were {file.size_bytes}")
    if not read_media:
        return 0
    if sha256_of(path) != file.sha256:
        raise CorruptMediaError("its bytes have changed")
    facts = probe_clip(path, full=task.full)
    got = (facts.video_packet_count, facts.audio_packet_count)
    recorded = (file.video_packet_count, file.audio_packet_count)
    if got != recorded:
        raise CorruptMediaError(f"{got} video and audio packets, recorded were {recorded}")
    if abs(facts.duration_us - file.duration_us) > _DURATION_SLACK_US:
        raise CorruptMediaError(f"{facts.duration_us} us long, recorded were {file.duration_us}")
    return facts.longest_gop_us


def is_file(path: Path) -> bool:
    """Whether there is a file with something in it."""
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
