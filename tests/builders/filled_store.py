"""Finished events of real size for an Iris that is stopped: copies of one clip, with rows that `iris check` accepts."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import av

from iris.base.ids import EventId
from iris.contracts.events import ClipFile, ClipResult, EventMessage, FinaliseEvent, TimeRange
from iris.store.engine import open_store, sqlite_url
from tests.builders.events import CAMERA_ID, S, uuid_of

CLIP_S = 12


def make_clip(path: Path, size_bytes: int) -> ClipFile:
    """A playable clip of 12 s and about so many bytes: a moving test picture with noise."""
    subprocess.run(
        ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", f"testsrc2=size=640x360:rate=10:duration={CLIP_S}",
         "-vf", "noise=alls=40:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10",
         "-b:v", str(size_bytes * 8 // CLIP_S), "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path)],
        check=True, timeout=120,
    )  # fmt: skip
    with av.open(str(path)) as container:
        packets = sum(1 for packet in container.demux(video=0) if packet.size)
    return ClipFile(
        path="", size_bytes=path.stat().st_size, sha256=hashlib.sha256(path.read_bytes()).hexdigest(), start_us=0,
        end_us=CLIP_S * S, duration_us=CLIP_S * S, video_packet_count=packets, audio_packet_count=0,
        video_codec="h264", width_px=640, height_px=360,
    )  # fmt: skip


class FilledStore:
    """Puts events into `data_dir`, oldest first, a minute apart, all before `before_us`."""

    def __init__(self, data_dir: Path, clip: Path, file: ClipFile, before_us: int) -> None:
        self._data_dir, self._clip, self._file, self._before_us = data_dir, clip, file, before_us
        self._node_id = (data_dir / "node" / "id").read_text().strip()
        self.event_ids: list[str] = []
        self.held_ids: set[str] = set()

    def fill(self, used_share: float, *, held_every: int) -> None:
        """Until so much of the disk is used; every so manyth event is put on hold."""
        store = open_store(sqlite_url(self._data_dir / "vms.db"))
        try:
            requests: list[FinaliseEvent] = []
            while self._used_share() < used_share:
                requests.append(self._publish(len(requests) + 1))
            with store.writing() as work:
                for number, request in enumerate(requests):
                    work.events.finalise(request, self._before_us)
                    self.event_ids.append(request.message.event_id)
                    if number % held_every == 0:
                        work.holds.put(EventId(request.message.event_id), "evidence", self._before_us)
                        self.held_ids.add(request.message.event_id)
        finally:
            store.close()

    def _used_share(self) -> float:
        usage = shutil.disk_usage(self._data_dir)
        return usage.used / (usage.used + usage.free)

    def _publish(self, number: int) -> FinaliseEvent:
        event_id = uuid_of(number)
        start_us = self._before_us - (10_000 - number) * 60 * S
        end_us = start_us + CLIP_S * S
        clip = self._data_dir / "recordings" / CAMERA_ID / f"{event_id}.mp4"
        thumbnail = self._data_dir / "thumbnails" / f"{event_id}.jpg"
        for path in (clip, thumbnail):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copyfile(self._clip, clip)
        thumbnail.write_bytes(b"\xff\xd8 a picture \xff\xd9")
        message = EventMessage(
            kind="closed", event_id=event_id, camera_id=CAMERA_ID, node_id=self._node_id, seq=2,
            started_us=start_us + S, last_seen_us=end_us - S, window_start_us=start_us, window_end_us=end_us,
            labels=("motion",), backend="motion", end_reason="left",
        )  # fmt: skip
        name = clip.relative_to(self._data_dir).as_posix()
        file = replace(self._file, path=name, start_us=start_us, end_us=end_us)
        result = ClipResult(state="ready", files=(file,), covered=(TimeRange(start_us, end_us),))
        return FinaliseEvent(message, result, f"thumbnails/{event_id}.jpg")
