"""Finished events of a camera of an Iris that runs: small clips that play, rows that `iris check` accepts."""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass, replace
from pathlib import Path

from iris.adapters.av_probe import probe_clip
from iris.contracts.events import ClipFile, ClipResult, EventMessage, FinaliseEvent, TimeRange
from iris.store.engine import open_store, sqlite_url
from tests.builders.events import S
from tests.builders.recorded_camera import make_film

CLIP_S = 2
_PAGE = 200


@dataclass(frozen=True, slots=True)
class PastEvent:
    """What was put there; `clip` is the hash of its file."""

    event_id: str
    clip: str


class PastEvents:
    """Puts events of cameras into a data directory, a minute apart, all before `before_us`."""

    def __init__(self, data_dir: Path, before_us: int) -> None:
        self._data_dir, self._before_us = data_dir, before_us
        self._node_id = (data_dir / "node" / "id").read_text().strip()
        film = make_film(data_dir.parent / "past.mp4", seconds=CLIP_S)
        facts = probe_clip(film, full=False)
        self._bytes = film.read_bytes()
        self._file = ClipFile(
            path="", size_bytes=0, sha256="", start_us=0, end_us=0, duration_us=facts.duration_us,
            video_packet_count=facts.video_packet_count, audio_packet_count=0, video_codec="h264",
            width_px=160, height_px=120,
        )  # fmt: skip

    def put(self, camera_id: str, count: int) -> list[PastEvent]:
        """So many events of a camera, each clip with bytes of its own; all durable when it returns."""
        made = [self._publish(camera_id, number) for number in range(count)]
        for folder in (self._data_dir / "recordings" / camera_id, self._data_dir / "thumbnails"):
            descriptor = os.open(folder, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        store = open_store(sqlite_url(self._data_dir / "vms.db"))
        try:
            for start in range(0, count, _PAGE):
                with store.writing() as work:
                    for request in made[start : start + _PAGE]:
                        work.events.finalise(request, self._before_us)
        finally:
            store.close()
        return [PastEvent(request.message.event_id, request.clip.files[0].sha256) for request in made]

    def _publish(self, camera_id: str, number: int) -> FinaliseEvent:
        # The beginning of a version 7 id is its time; the camera's own end keeps cameras apart.
        event_id = f"018bcfe5-{number // 65536:04x}-7{number % 4096:03x}-8{number // 4096 % 16:01x}00-{camera_id[-12:]}"
        start_us = self._before_us - (100_000 - number) * 60 * S
        end_us = start_us + CLIP_S * S
        # A box that players pass over makes each file another one.
        data = self._bytes + struct.pack(">I4s", 8 + len(event_id), b"free") + event_id.encode()
        clip = self._data_dir / "recordings" / camera_id / f"{event_id}.mp4"
        thumbnail = self._data_dir / "thumbnails" / f"{event_id}.jpg"
        for path, content in ((clip, data), (thumbnail, b"\xff\xd8 a picture \xff\xd9")):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(content)
        message = EventMessage(
            kind="closed", event_id=event_id, camera_id=camera_id, node_id=self._node_id, seq=2,
            started_us=start_us + S // 2, last_seen_us=end_us - S // 2, window_start_us=start_us, window_end_us=end_us,
            labels=("motion",), backend="motion", end_reason="left",
        )  # fmt: skip
        file: ClipFile = replace(
            self._file, path=clip.relative_to(self._data_dir).as_posix(), start_us=start_us, end_us=end_us,
            size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest(),
        )  # fmt: skip
        clip_result = ClipResult(state="ready", files=(file,), covered=(TimeRange(start_us, end_us),))
        return FinaliseEvent(message, clip_result, f"thumbnails/{event_id}.jpg")
