"""A burst: events of many cameras that were accepted while nobody handed them over, with real footage of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.pins import pin_segment
from iris.contracts.events import EventMessage
from iris.domain.event import OpenEvent
from iris.outbox.camera_db import CameraDb, camera_db_path
from iris.outbox.rows import CLOSED, OPENED
from iris.outbox.writer import EventOutbox
from tests.builders.recorded_camera import RecordedCamera, make_film

S = 1_000_000
_FILM_S = 8


@dataclass(frozen=True, slots=True)
class Share:
    """So many events of one camera."""

    camera_id: str
    count: int


def write_burst(data_dir: Path, node_id: str, shares: list[Share], folder: Path) -> None:
    """Write events, opened and closed, with footage and pins, as the camera processes would have.

    Args:
        data_dir: DATA_DIR of Iris; the cameras are known to it and switched off.
        node_id: Its node.
        shares: Which cameras, and how many events of each.
        folder: For the film.
    """
    film = make_film(folder / "film.mp4", seconds=_FILM_S)
    clock, ids = SystemClock(), Uuid7Source()
    start_us = clock.wall_us() - 60 * S
    for share in shares:
        camera = RecordedCamera(data_dir, share.camera_id)
        segments = camera.record(film, start_us)
        camera.close()
        db = CameraDb(camera_db_path(data_dir, share.camera_id))
        outbox = EventOutbox(db, clock)
        for _ in range(share.count):
            window_us = (start_us + S, start_us + 5 * S)
            event = OpenEvent(ids.new_id(), start_us + 2 * S, start_us + 4 * S, window_us[0], ("person",), 0)
            outbox.begin(event)
            for segment in segments:
                if segment.start_us < window_us[1] and segment.end_us > window_us[0]:
                    pin_segment(data_dir, event.event_id, segment)
            opened = EventMessage(
                OPENED, event.event_id, share.camera_id, node_id, 0, event.started_us, event.last_seen_us,
                window_us[0], event.labels, backend="motion",
            )  # fmt: skip
            outbox.append(opened)
            outbox.append(_closed(opened, window_us[1]))
            outbox.drop_window(event.event_id)
        db.close()


def _closed(opened: EventMessage, window_end_us: int) -> EventMessage:
    return EventMessage(
        CLOSED, opened.event_id, opened.camera_id, opened.node_id, 0, opened.started_us, opened.last_seen_us,
        opened.window_start_us, opened.labels, window_end_us, "left", backend="motion",
    )  # fmt: skip
