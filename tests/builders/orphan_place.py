"""A node's folders with files that are explained and files that are not; clocks are the test's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.base.ids import NodeId
from iris.base.timebase import US_PER_S
from iris.contracts.orphans import OrphanSurvey, OrphanSweep, SurveyOrphans, SweepOrphans
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.pipeline.orphans import NodeOrphans, OrphanLimits
from iris.store.engine import Store, open_store, sqlite_url
from iris.store.migrate import migrate
from tests.builders.events import CAMERA_ID, NODE_ID, clip_of, event_message, finalise_request, uuid_of
from tests.fakes.clock import SimulatedClock
from workers.wiring.pairing import pair_store

HOUR_US = 3600 * US_PER_S
DAY_US = 24 * HOUR_US
LIMITS = OrphanLimits(grace_us=HOUR_US, quarantine_us=7 * DAY_US, max_share=0.2)


class OrphanPlace:
    """A paired database and data directory; the node's clock is two hours ahead, so that files are old enough."""

    def __init__(self, folder: Path, node_id: str = NODE_ID) -> None:
        self.data_dir = folder / "data"
        self.node_id = node_id
        url = sqlite_url(self.data_dir / "vms.db")
        migrate(url)
        self.store: Store = open_store(url)
        self.mark = pair_store(self.store, self.data_dir, Uuid7Source())
        (self.data_dir / "node").mkdir(exist_ok=True)
        (self.data_dir / "node" / "id").write_text(node_id)
        self.clock = SimulatedClock(SystemClock().wall_us() + 2 * HOUR_US)
        self.started_us = SystemClock().wall_us() - 3 * HOUR_US
        self.doubt: str | None = None
        self.orphans = NodeOrphans(
            self.store, self.data_dir, NodeId(node_id), LIMITS, self.clock, lambda _newest_us: self.doubt
        )

    def finished(self, number: int) -> str:
        """An event with its clip and thumbnail."""
        # Seconds apart and of this hour: a newest event of long ago would put the clock in doubt.
        start_us = self.started_us + number * 20 * US_PER_S
        request = finalise_request(
            number, node_id=self.node_id, started_us=start_us, last_seen_us=start_us + 10 * US_PER_S,
            window_start_us=start_us - 5 * US_PER_S, window_end_us=start_us + 15 * US_PER_S,
        )  # fmt: skip
        with self.store.writing() as work:
            work.events.finalise(request, number)
        self.file(*(file.path for file in request.clip.files), str(request.thumbnail_path))
        return request.message.event_id

    def unfinished(self, number: int) -> str:
        """An event that the database knows as closing, whose clip was published just now."""
        message = event_message(number, "closed", node_id=self.node_id)
        with self.store.writing() as work:
            work.events.record(message, number)
        self.file(clip_of(message).files[0].path, f"pending/{message.event_id}/seg_1.mp4")
        return message.event_id

    def in_outbox(self, number: int) -> str:
        """An event that only the camera's outbox knows."""
        with closing(CameraDb(camera_db_path(self.data_dir, CAMERA_ID))) as db, db.transaction() as connection:
            connection.execute(
                "INSERT INTO outbox (event_id, seq, message, created_us) VALUES (?, 1, '{}', 1)", (uuid_of(number),)
            )
        self.file(f"recordings/{CAMERA_ID}/{uuid_of(number)}.mp4", f"pending/{uuid_of(number)}/seg_1.mp4")
        return uuid_of(number)

    def segment(self, name: str, *, indexed: bool) -> None:
        """A segment file, with its row or without."""
        path = f"segments/{CAMERA_ID}/{name}"
        with closing(CameraDb(camera_db_path(self.data_dir, CAMERA_ID))) as db, db.transaction() as connection:
            if indexed:
                _index(connection, path)
        self.file(path)

    def file(self, *paths: str, size_bytes: int = 100) -> None:
        """Files of some bytes."""
        for path in paths:
            (self.data_dir / path).parent.mkdir(parents=True, exist_ok=True)
            (self.data_dir / path).write_bytes(b"x" * size_bytes)

    def files(self) -> set[str]:
        """Every file that is footage or in quarantine, by path relative to DATA_DIR."""
        found = {path.relative_to(self.data_dir).as_posix() for path in self.data_dir.rglob("*") if path.is_file()}
        return {path for path in found if not path.startswith(("vms.db", "node/"))}

    def survey(self, max_share: float | None = None) -> OrphanSurvey:
        """What would go."""
        return self.orphans.survey(SurveyOrphans(max_share), lambda _step, _done, _total: None)

    def sweep(self, batch: str = "2026-11-23-test", most_count: int = 1000) -> OrphanSweep:
        """Let it go."""
        return self.orphans.sweep(SweepOrphans(batch, most_count), lambda _step, _done, _total: None)


def _index(connection: sqlite3.Connection, path: str) -> None:
    connection.execute("INSERT OR IGNORE INTO runs VALUES ('run', 1, 'p', 'h264', 1, 1, '')")
    connection.execute(
        "INSERT INTO segments (run_id, state, path, run_offset_us) VALUES ('run', 'writing', ?, 0)", (path,)
    )
