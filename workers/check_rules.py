"""The rules of `iris check`: rows against files, each rule a promise that the rest of Iris keeps.

Everything here only reads. A system that is at work is between two steps at any moment, so a rule may find what is
gone a second later; `workers.check_command` looks again before it believes it. What a killed process left for the
next start to finish (an unfinished segment, an event still in the outbox) is no problem: it is explained.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from iris.adapters.av_probe import probe_clip
from iris.adapters.media_files import sha256_of
from iris.adapters.store_mark import StoreMark, check_mark
from iris.base.errors import CorruptMediaError, StorageError, StoreMismatchError
from iris.base.timebase import US_PER_S
from iris.contracts.events import ClipFile
from iris.domain.event import EventState
from iris.outbox.check import CameraFile, RelayFile, read_camera_files, read_relay_file
from iris.store.check import integrity_problems, read_identity, read_schema, walk_events
from iris.store.engine import Store
from iris.store.events import EventRow
from workers.check_report import CheckReport, Findings

# Beside one GOP: what the plan of a clip does not call a hole, and the rounding of two time bases per file.
_DURATION_SLACK_US = 500_000
# A row may wait this long for its first sign in the outbox and the other way round.
_HANDOVER_US = 60 * US_PER_S
# A node that is down is waited for as long as footage is kept for it.
_PATIENCE_US = 24 * 3600 * US_PER_S


@dataclass(frozen=True, slots=True)
class CheckTask:
    """What to check. `newest_media` clips are read and decoded; `full` reads all and decodes every frame."""

    store: Store
    data_dir: Path
    event_max_us: int
    now_us: Callable[[], int]
    full: bool = False
    newest_media: int = 200


@dataclass(slots=True)
class _View:
    """What one look at the system saw."""

    cameras: list[CameraFile]
    relay: RelayFile
    node_id: str | None
    known: dict[str, EventRow] = field(default_factory=dict)  # not terminal
    terminal: set[str] = field(default_factory=set)
    clip_paths: set[str] = field(default_factory=set)
    thumbnail_paths: set[str] = field(default_factory=set)

    def in_outbox(self, event_id: str) -> bool:
        """Whether the node still has work with an event."""
        return event_id not in self.relay.terminal and any(
            event_id in camera.outbox or event_id in camera.open_event_ids or event_id in camera.closed_windows
            for camera in self.cameras
        )

    def unfinished(self, event_id: str) -> bool:
        """Whether something may still happen to an event's files."""
        return event_id in self.known or self.in_outbox(event_id)


def look(task: CheckTask) -> CheckReport:
    """Apply every rule once.

    Raises:
        StoreError: The database is unreachable.
    """
    found = Findings()
    if not _database(task, found):
        return found.report()
    node_id = task.data_dir / "node" / "id"
    view = _View(
        read_camera_files(task.data_dir),
        read_relay_file(task.data_dir),
        node_id.read_text("utf-8").strip() if node_id.is_file() else None,
    )
    _camera_files(view, found)
    _events(task, view, found)
    _files(task, view, found)
    _segments(task, view, found)
    return found.report()


def _database(task: CheckTask, found: Findings) -> bool:
    """Whether the rows can be read with this version's eyes."""
    found.rule("integrity", "databases are intact and the schema is this version's")
    found.looked("integrity")
    for text in integrity_problems(task.store):
        found.problem("integrity", f"main database: {text}")
    schema = read_schema(task.store)
    if not schema.is_head:
        found.problem("integrity", f"main database: schema {schema.current or 'missing'}, needed is {schema.head}")
        return False
    found.rule("pair", "database and data directory belong together")
    found.looked("pair")
    identity = read_identity(task.store)
    if identity is None:
        found.problem("pair", "the database was never paired with a data directory; start Iris once")
        return True
    try:
        check_mark(task.data_dir, StoreMark(identity.store_id, identity.generation))
    except (StoreMismatchError, StorageError) as error:
        found.problem("pair", str(error))
    return True


def _camera_files(view: _View, found: Findings) -> None:
    found.looked("integrity", len(view.cameras) + 1)
    for camera in view.cameras:
        for text in camera.problems:
            found.problem("integrity", f"camera {camera.camera_id}: {text}")
    for text in view.relay.problems:
        found.problem("integrity", f"relay.db: {text}")


def _events(task: CheckTask, view: _View, found: Findings) -> None:
    found.rule("window", "covered and missing time make each finished event's window exactly")
    bytes_of = "" if task.full else f" (bytes of the newest {task.newest_media}, of others the size; --full reads all)"
    found.rule("clip", f"each ready or partial event has its clip files, as recorded and playable{bytes_of}")
    found.rule("thumbnail", "each thumbnail row has its file")
    found.rule("deadline", "each event reaches its end in time, unless the outbox says why not")
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
            if not _is_file(task.data_dir / event.thumbnail_path):
                found.problem("thumbnail", f"event {event.event_id}: {event.thumbnail_path} is missing")
        read_media = task.full or read_count < task.newest_media
        read_count += bool(event.clip_files)
        for text in _clip_problems(task, event, read_media=read_media):
            found.problem("clip", f"event {event.event_id}: {text}")
        found.looked("clip")
    _deadlines(task, view, found)


def _covers_window(event: EventRow) -> bool:
    spans = sorted((span.start_us, span.end_us) for span in (*event.covered, *event.missing))
    at_us = event.window_start_us
    for start_us, end_us in spans:
        if start_us != at_us:
            return False
        at_us = end_us
    return at_us == event.window_end_us


def _clip_problems(task: CheckTask, event: EventRow, *, read_media: bool) -> list[str]:
    problems = []
    if bool(event.clip_files) != (event.state is not EventState.FAILED):
        problems.append(f"{event.state} with {len(event.clip_files)} clip files")
    if event.state is EventState.READY and event.missing:
        problems.append("ready although a part of its window is missing")
    if event.state is EventState.PARTIAL and not event.missing:
        problems.append("partial although nothing of its window is missing")
    gop_us = 0
    for part, file in enumerate(event.clip_files):
        suffix = f".{part}" if part else ""
        if file.path != f"recordings/{event.camera_id}/{event.event_id}{suffix}.mp4":
            problems.append(f"{file.path} is not where this event's file belongs")
            continue
        try:
            gop_us += _check_file(task, file, read_media=read_media)
        except (CorruptMediaError, StorageError, OSError) as error:
            problems.append(f"{file.path}: {error.strerror if isinstance(error, OSError) else error}")
            read_media = False  # without all GOPs the sum below says nothing
    covered_us = sum(span.end_us - span.start_us for span in event.covered)
    duration_us = sum(file.duration_us for file in event.clip_files)
    slack_us = gop_us + _DURATION_SLACK_US * len(event.clip_files)
    if read_media and event.clip_files and abs(duration_us - covered_us) > slack_us:
        problems.append(f"its clip is {duration_us} us long, covered are {covered_us} us")
    return problems


def _check_file(task: CheckTask, file: ClipFile, *, read_media: bool) -> int:
    """Compare a file with its row; its longest GOP in microseconds, 0 where it was not read."""
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


def _deadlines(task: CheckTask, view: _View, found: Findings) -> None:
    now_us = task.now_us()
    for event_id, event in view.known.items():
        found.looked("deadline")
        here = view.node_id is None or event.node_id == view.node_id
        if here and not view.in_outbox(event_id) and now_us - event.created_us > _HANDOVER_US:
            found.problem("deadline", f"event {event_id} is {event.state}, and the outbox does not know it any more")
            continue
        due_us = (event.window_end_us or event.window_start_us + task.event_max_us) + _PATIENCE_US
        if now_us > due_us and not _undelivered(view, event_id):
            found.problem("deadline", f"event {event_id} is still {event.state}, long after its end")
    for event_id in view.relay.terminal:
        if event_id in view.known:
            found.problem("deadline", f"event {event_id} was released, but its row is {view.known[event_id].state}")
    for event_id, reason in view.relay.dead:
        found.problem("deadline", f"a message of event {event_id} was refused for good: {reason}")


def _undelivered(view: _View, event_id: str) -> bool:
    newest = max((camera.outbox.get(event_id, 0) for camera in view.cameras), default=0)
    return newest > view.relay.delivered.get(event_id, 0)


def _files(task: CheckTask, view: _View, found: Findings) -> None:
    found.rule("orphan", "each file of clips and thumbnails belongs to an event")
    for folder, pattern, rows in (
        ("recordings", "*/*", view.clip_paths),
        ("thumbnails", "*", view.thumbnail_paths),
    ):
        for path in sorted((task.data_dir / folder).glob(pattern)):
            found.looked("orphan")
            relative = path.relative_to(task.data_dir).as_posix()
            # A published file may wait for its row while the worker or Temporal is away, a .part is being made.
            if relative not in rows and not view.unfinished(path.name.partition(".")[0]):
                found.problem("orphan", f"{relative} belongs to no event")
    found.rule("pending", "footage is kept only for events that still need it")
    for path in sorted((task.data_dir / "pending").glob("*")):
        found.looked("pending")
        if path.name.startswith(".link-"):
            continue  # a start trying whether hard links work
        if not view.unfinished(path.name):
            why = "is finished and released" if path.name in view.terminal else "is not known"
            found.problem("pending", f"pending/{path.name} is kept, but its event {why}")


def _segments(task: CheckTask, view: _View, found: Findings) -> None:
    found.rule("segment", f"segment index and files agree{'' if task.full else ' (sizes; --full reads all bytes)'}")
    indexed: set[str] = set()
    for camera in view.cameras:
        for row in camera.segments:
            found.looked("segment")
            indexed.add(row.path)
            # Written to the end and renamed, but its process was killed before the row: the next start adopts it.
            indexed.add(row.path.removesuffix(".part"))
            if row.state != "durable":
                continue
            text = _segment_problem(task, task.data_dir / row.path, row.size_bytes, row.sha256)
            if text is not None:
                found.problem("segment", f"{row.path} {text}")
    for path in sorted((task.data_dir / "segments").glob("*/*")):
        relative = path.relative_to(task.data_dir).as_posix()
        if relative not in indexed:
            found.problem("segment", f"{relative} is in no index")


def _segment_problem(task: CheckTask, path: Path, size_bytes: int | None, sha256: str | None) -> str | None:
    try:
        size = path.stat().st_size
        if size != size_bytes:
            return f"has {size} bytes, the index says {size_bytes}"
        if task.full and sha256_of(path) != sha256:
            return "has other bytes than the index says"
    except FileNotFoundError:
        return "is in the index, but the file is missing"
    except (OSError, StorageError) as error:
        return f"cannot be read: {error}"
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
