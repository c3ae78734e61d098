"""What is really on disk, seen from outside: marks of the simulator's pictures in the recorded segments."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import av

from iris.base.sqlite import connect_readonly, sqlite_module
from workers.camera_sim.nal import Mark, read_mark


def durable_paths(data_dir: Path, camera_id: str) -> list[Path]:
    """Durable segments of a camera by start."""
    connection = connect_readonly(data_dir / "node" / f"{camera_id}.db")
    try:
        rows = connection.execute("SELECT path FROM segments WHERE state = 'durable' ORDER BY start_us").fetchall()
    finally:
        connection.close()
    return [data_dir / path for (path,) in rows]


def marks_in(path: Path) -> list[Mark]:
    """Marks of the pictures of one file, in the order of sending."""
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            mark = read_mark(bytes(packet))
            if mark is not None:
                found.append(mark)
    return sorted(found, key=lambda mark: mark.number)


def recorded_marks(data_dir: Path, camera_id: str) -> list[Mark]:
    """Marks of all recorded pictures, by number; a picture that is there twice is an error."""
    marks = [mark for path in durable_paths(data_dir, camera_id) for mark in marks_in(path)]
    numbers = [mark.number for mark in marks]
    assert len(numbers) == len(set(numbers)), "a picture was recorded twice"
    return sorted(marks, key=lambda mark: mark.number)


@dataclass(frozen=True, slots=True)
class Outage:
    """What a fault at a moment cost: footage lost before it, and time until a picture was recorded again."""

    lost_s: float
    back_s: float


def outage_at(marks: list[Mark], moment_us: int) -> Outage:
    """Compare the recorded pictures with the moment of a fault (wall time, same clock as the simulator's)."""
    before = max(mark.sent_wall_us for mark in marks if mark.sent_wall_us <= moment_us)
    after = min(mark.sent_wall_us for mark in marks if mark.sent_wall_us > moment_us)
    return Outage((moment_us - before) / 1e6, (after - moment_us) / 1e6)


class AcceptedEvents:
    """Logs from outside which events a camera accepted (committed to its outbox); a context manager with a thread."""

    def __init__(self, data_dir: Path, camera_id: str) -> None:
        self._path = data_dir / "node" / f"{camera_id}.db"
        self.ids: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="accepted", daemon=True)

    def look(self) -> None:
        """Take what is there now."""
        try:
            connection = connect_readonly(self._path)
        except sqlite_module().OperationalError:
            return  # not there yet
        try:
            self.ids |= {row[0] for row in connection.execute("SELECT DISTINCT event_id FROM outbox")}
        except (sqlite3.OperationalError, sqlite_module().OperationalError):
            return  # being made, or being recovered by its owner after a kill
        finally:
            connection.close()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            self.look()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def used_share(volume: Path) -> float:
    usage = shutil.disk_usage(volume)
    return usage.used / (usage.used + usage.free)


class Watcher:
    """Notes from outside what is recorded, which pictures are in it, and how full the volume is; a thread."""

    def __init__(self, volume: Path, camera_id: str) -> None:
        self._volume, self._camera_id = volume, camera_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watcher", daemon=True)
        self._seen: set[Path] = set()
        self.numbers: list[int] = []
        self.most_used = 0.0
        self.error: BaseException | None = None

    def look(self) -> None:
        for path in durable_paths(self._volume, self._camera_id):
            if path not in self._seen:
                self.numbers += [mark.number for mark in marks_in(path)]
                self._seen.add(path)

    def _watch(self) -> None:
        try:
            while not self._stop.wait(0.5):
                self.most_used = max(self.most_used, used_share(self._volume))
                self.look()
        except (av.FFmpegError, OSError, sqlite3.Error) as error:
            self.error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
