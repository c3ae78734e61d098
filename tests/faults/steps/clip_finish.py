"""Clip finish: assembled, verified, published (P3), written into the database, released, forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from iris.adapters.media_files import make_dir, publish
from iris.adapters.pins import pending_dir, pin_segment
from iris.contracts.events import EventMessage
from iris.domain.event import OpenEvent
from iris.outbox.writer import EventOutbox
from iris.store.check import walk_events
from tests.builders.events import NODE_ID, uuid_of
from tests.builders.recorded_camera import RecordedCamera, make_film
from tests.faults.steps.said import Said
from tests.faults.steps.site import CAMERA, S, Site, T

NAME = "clip finish"
EVENTS = (uuid_of(1), uuid_of(2))


def prepare(data_dir: Path, said: Said) -> None:
    """A closed event with pins and picture, in the outbox and not delivered yet."""
    prepare_events(data_dir, said, EVENTS[:1])


def prepare_events(data_dir: Path, said: Said, event_ids: Sequence[str]) -> None:
    """The same for several."""
    site = Site(data_dir, said)
    site.make()
    film = make_film(data_dir / "film.mp4")
    recorded = RecordedCamera(data_dir, CAMERA)
    segments = recorded.record(film, T)
    film.unlink()
    outbox = EventOutbox(recorded._db, site.clock)
    for number, event_id in enumerate(event_ids):
        start_us, end_us = T + (1 + 5 * number) * S, T + (6 + 5 * number) * S
        outbox.begin(OpenEvent(event_id, start_us + S, start_us + S, start_us, ("person",), 0))
        for segment in segments:
            if segment.start_us < end_us and segment.end_us > start_us:
                pin_segment(data_dir, event_id, segment)
        picture = pending_dir(data_dir, event_id) / "thumbnail.jpg"
        make_dir(picture.parent)
        picture.with_suffix(".part").write_bytes(b"\xff\xd8\xff picture of " + event_id.encode())
        publish(picture.with_suffix(".part"), picture)
        outbox.append(_message("opened", event_id, start_us, end_us))
        outbox.append(_message("closed", event_id, start_us, end_us))
        outbox.drop_window(event_id)
    recorded.close()


def _message(kind: str, event_id: str, start_us: int, end_us: int) -> EventMessage:
    closed = kind == "closed"
    return EventMessage(
        kind, event_id, CAMERA, NODE_ID, 0, start_us + S, end_us - S if closed else start_us + S, start_us, ("person",),
        window_end_us=end_us if closed else None, end_reason="left" if closed else None, has_thumbnail=True,
        backend="motion",
    )  # fmt: skip


def run(data_dir: Path, said: Said) -> None:
    """It goes all the way."""
    Site(data_dir, said, T + 20 * S).see_events_through()


def recover(data_dir: Path, said: Said) -> None:
    """The same again: nodes, workers and Temporal take up what was not answered."""
    Site(data_dir, said, T + 30 * S).see_events_through()


def problems(data_dir: Path, said: Said, *, recovered: bool) -> list[str]:
    """What was finalised is ready as it was said; at the end it is, and nothing else is left of it."""
    site = Site(data_dir, said)
    found = site.empty_files() + site.problems(at_rest=recovered)
    with site.node() as node:
        states: dict[str, str] = {event.event_id: event.state.value for event in walk_events(node.store)}
        left = [message.event_id for _, message in node.reader.rows_after(CAMERA, 0, 1000)]
    finalised = {values["event_id"]: values["state"] for values in said.all("outcome")}
    for event_id in EVENTS[:1] if recovered else finalised:
        if states.get(event_id) != "ready":
            found.append(f"event {event_id} is {states.get(event_id)}")
    if recovered:
        found += [f"{path.relative_to(data_dir)} is left" for path in data_dir.glob("pending/0*")]
        found += [f"{path.relative_to(data_dir)} is left" for path in data_dir.glob("*/*/*.part")]
        found += [f"a row of {event_id} is left" for event_id in left]
        found += [
            f"event {event_id} was finalised as {state}" for event_id, state in finalised.items() if state != "ready"
        ]
    return found
