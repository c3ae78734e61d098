"""Event open: somebody is seen, and the event is accepted with its picture, its pins and its row (P0)."""

from __future__ import annotations

from pathlib import Path

from iris.contracts.events import EventMessage
from iris.domain.track import Track, TrackState
from iris.store.check import walk_events
from tests.builders.recorded_camera import RecordedCamera, make_film
from tests.fakes.picture import FakePicture
from tests.faults.steps.said import Said
from tests.faults.steps.site import CAMERA, S, Site, T

NAME = "event open"
SEEN_FROM_US = T + 11 * S


def prepare(data_dir: Path, said: Said) -> None:
    """Twelve seconds of footage."""
    Site(data_dir, said).make()
    film = make_film(data_dir / "film.mp4")
    recorded = RecordedCamera(data_dir, CAMERA)
    recorded.record(film, T)
    recorded.close()
    film.unlink()


def run(data_dir: Path, said: Said) -> None:
    """Somebody is in view for more than half a second; the process starts again where its file cannot be opened."""
    site = Site(data_dir, said, SEEN_FROM_US)
    site.patiently("camera process", lambda: _watch(site))


def _watch(site: Site) -> None:
    with site.camera() as camera:
        while site.clock.wall_us() < T + 11_600_000:
            site.clock.advance_us(S // 5)
            now_us = site.clock.wall_us()
            box = (400, 200, 600, 600)
            track = Track(1, TrackState.CONFIRMED, "person", 0.9, box, SEEN_FROM_US, now_us, 3)
            camera.drain.observe([track], FakePicture(now_us), now_us)
            site.patiently("drain", camera.drain.step)


def recover(data_dir: Path, said: Said) -> None:
    """The next start finds nobody in view: the event ends, and its clip is made."""
    site = Site(data_dir, said, T + 12 * S)
    site.ids.count = 100  # a new process makes new ids
    with site.camera() as camera:
        camera.drain.step()
        camera.drain.close_open_event()
        camera.drain.step()
    site.see_events_through()


def problems(data_dir: Path, said: Said, *, recovered: bool) -> list[str]:
    """An accepted event has its row and its pins; at the end each event is ready once, from its pre-roll on."""
    site = Site(data_dir, said)
    found = site.empty_files() + site.problems(at_rest=recovered)
    accepted = {values["event_id"]: values["window_start_us"] for values in said.all("accepted")}
    with site.node() as node:
        rows = [message for _, message in node.reader.rows_after(CAMERA, 0, 1000)]
        if not recovered:
            return found + [text for event_id in accepted for text in _not_whole(data_dir, rows, event_id)]
        events = {event.event_id: event for event in walk_events(node.store)}
    found += [f"accepted event {event_id} is lost" for event_id in accepted if event_id not in events]
    if len(events) > 1:
        found.append(f"one presence became {len(events)} events")
    for event in events.values():
        if event.state != "ready" or event.window_start_us != SEEN_FROM_US - 3 * S:
            found.append(f"event {event.event_id} is {event.state}, missing {event.missing}")
    return found


def _not_whole(data_dir: Path, rows: list[EventMessage], event_id: str) -> list[str]:
    mine = [row for row in rows if row.event_id == event_id]
    if [row.seq for row in mine] != list(range(1, len(mine) + 1)) or not mine or mine[0].kind != "opened":
        return [f"accepted event {event_id} has the rows {[(row.seq, row.kind) for row in mine]}"]
    folder = data_dir / "pending" / event_id
    wanted = {f"seg_{T + second * S}.mp4" for second in (8, 10)} | {"thumbnail.jpg"}
    lacking = wanted - {path.name for path in folder.glob("*")}
    return [f"accepted event {event_id} lacks {sorted(lacking)}"] if lacking else []
