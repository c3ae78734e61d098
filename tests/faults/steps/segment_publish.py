"""Segment publish: a run of pictures becomes durable segments (P1), old ones go, a run ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from iris.adapters.media_files import sha256_of
from iris.base.errors import StorageError
from iris.base.ids import RunId
from iris.domain.segment import GapReason, RunStart, Segment
from iris.media.timeline import ArrivedPacket, PlacedPacket, Timeline
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.reader import CameraDbReader
from iris.outbox.segments import RunRow, SegmentIndex
from iris.pipeline.packet_buffer import BeginRun, EndRun, Item
from iris.pipeline.recorder import Recorder, RecorderSpec, params_hash
from tests.builders.packets import encoded_stream
from tests.faults.steps.said import Said
from tests.faults.steps.site import CAMERA, S, Site, T

NAME = "segment publish"
RETENTION_S = 4.0
FRAMES = 130
# Made before a child is forked, so that it costs once.
PARAMS, PACKETS = encoded_stream(n=FRAMES, gop=15)


class _Heard:
    """Implements `SegmentListener`: says P1 to the outside."""

    def __init__(self, said: Said) -> None:
        self._said = said

    def segment_published(self, segment: Segment) -> None:
        self._said.say(
            "durable", path=segment.path, sha256=segment.sha256, start_us=segment.start_us, end_us=segment.end_us
        )

    def run_ended(self, end_us: int, reason: GapReason) -> None:
        self._said.say("ended", end_us=end_us, reason=reason.value)


def prepare(data_dir: Path, said: Said) -> None:
    """A data directory whose camera never recorded."""
    Site(data_dir, said).make()


def run(data_dir: Path, said: Said) -> None:
    """Pictures, at the end of each segment as late as it would be, then the camera is gone."""
    site = Site(data_dir, said)
    site.patiently("camera process", lambda: _record(site))


def _record(site: Site) -> None:
    db = CameraDb(camera_db_path(site.data_dir, CAMERA))
    recorder = recorder_of(site, db)
    site.patiently("recovery", recorder.recover)
    for item in items(site.clock.wall_us()):
        hand_over(site, recorder, item)
    recorder.close()
    db.close()


def hand_over(site: Site, recorder: Recorder, item: Item) -> None:
    """As the writer's thread does: after a failure of the disk a second passes first."""
    if isinstance(item, PlacedPacket) and item.packet.is_keyframe:
        site.clock.advance_s(6)  # so that old segments are looked for at every second cut
    if not recorder.ready():
        site.clock.advance_s(1)
    failures = recorder.failure_count
    recorder.handle_all([item])
    if recorder.failure_count > failures and recorder.failure is not None:
        site.said.say("failed", doing="recorder", code=recorder.failure.code, sentence=str(recorder.failure))


def recorder_of(site: Site, db: CameraDb, retention_s: float = RETENTION_S) -> Recorder:
    """A recorder that says P1 to the outside."""
    spec = RecorderSpec(CAMERA, site.data_dir, 2.0, retention_s)
    return Recorder(spec, SegmentIndex(db), site.clock, [_Heard(site.said)])


def items(start_us: int) -> list[Item]:
    """A run with its first picture at `start_us`."""
    arrived = [ArrivedPacket(packet, number * S // 15) for number, packet in enumerate(PACKETS)]
    timeline = Timeline(arrived[:10], 0, 0)
    placed = [p for item in arrived if (p := timeline.place(item.packet, item.arrived_us)) is not None]
    shift = start_us - placed[0].wall_us
    start = RunStart(RunId(f"run-{start_us}"), PARAMS, None)
    row = RunRow(start.run_id, start_us, params_hash(PARAMS, None), "h264", 160, 96, "")
    packets = [replace(p, wall_us=p.wall_us + shift) for p in placed]
    return [BeginRun(start, row), *packets, EndRun(GapReason.CAMERA_OFFLINE)]


def recover(data_dir: Path, said: Said) -> None:
    """The next start adopts what is left, and records again a minute later."""
    site = Site(data_dir, said, T + 60 * S)
    db = CameraDb(camera_db_path(data_dir, CAMERA))
    recorder = recorder_of(site, db)
    recorder.recover()
    for item in items(T + 60 * S)[:40]:
        recorder.handle_all([item])
    recorder.close()
    db.close()


def problems(data_dir: Path, said: Said, *, recovered: bool) -> list[str]:
    """What was said to be durable is there as it was said; after the next start every moment is explained."""
    site = Site(data_dir, said)
    found = site.empty_files() + site.problems(at_rest=recovered)
    reader = CameraDbReader(data_dir)
    try:
        segments = reader.segments_between(CAMERA, 0, T + 600 * S)
        gaps = reader.gaps_between(CAMERA, 0, T + 600 * S)
    except StorageError:
        # The file was being made: who only reads cannot take back what was cut off, its owner does at its start.
        if recovered or said.all("durable"):
            raise
        return found
    finally:
        reader.close()
    rows = {segment.path: segment for segment in segments}
    durable = said.all("durable")
    newest_us = max((values["end_us"] for values in durable), default=0)
    for values in durable:
        row = rows.get(values["path"])
        pruned = values["end_us"] <= newest_us - RETENTION_S * S
        if row is None and not pruned:
            found.append(f"{values['path']} was durable and is not in the index")
        elif row is not None and not (data_dir / row.path).exists():
            found.append(f"{values['path']} was durable and is gone")
        elif row is not None and sha256_of(data_dir / row.path) != values["sha256"]:
            found.append(f"{values['path']} was durable and has other bytes")
    if recovered and segments:
        # What lies before the oldest segment was pruned, but for its gaps.
        later = [(g.start_us, g.end_us) for g in gaps if g.start_us > segments[0].start_us]
        found += _holes([(s.start_us, s.end_us) for s in segments] + later)
    return found


def _holes(spans: list[tuple[int, int | None]]) -> list[str]:
    """Moments that are neither recorded nor a gap, and such as are recorded twice."""
    found = []
    spans = sorted(spans, key=lambda span: span[0])
    until_us = spans[0][0]
    for start_us, end_us in spans:
        if abs(start_us - until_us) > 2:
            found.append(f"{start_us - until_us} us before {start_us - T} are neither recorded nor a gap")
        until_us = T + 10**12 if end_us is None else end_us
    return found
