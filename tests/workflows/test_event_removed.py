"""An event that is removed in the middle: with real segments, a real clip and a real database nothing of it is left."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from activities.clips import ClipActivities
from activities.events import EventActivities
from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.adapters.pins import pin_segment
from iris.adapters.temporal import TemporalLink, TemporalStarter
from iris.contracts.events import AssembleClip, ClipResult, EventOutcome
from iris.contracts.names import event_workflow_id
from iris.domain.operation import RemovalReason
from iris.pipeline.clip_workshop import NodeClipWorkshop
from iris.ports import ProgressSink
from iris.store.engine import Store, open_store, sqlite_url
from iris.store.event_records import StoreEventRecords
from iris.store.migrate import migrate
from tests.builders.clip_place import Place, S, T
from tests.builders.event_messages import closed, opened
from tests.builders.recorded_camera import RecordedCamera, make_film
from tests.temporal_env import connect
from workers.temporal_worker import iris_worker, node_worker
from workflows.event import EventWorkflow

pytestmark = pytest.mark.e2e


class HeldWorkshop:
    """A real workshop that stops once, before or after a clip gets its name."""

    def __init__(self, real: NodeClipWorkshop, *, after: bool) -> None:
        self._real, self._after = real, after
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.settled, self.publish_thumbnail = real.settled, real.publish_thumbnail
        self.release, self.discard, self.close_abandoned = real.release, real.discard, real.close_abandoned

    def assemble(self, request: AssembleClip, progress: ProgressSink) -> ClipResult:
        if not self._after:
            self._wait()
        result = self._real.assemble(request, progress)
        if self._after:
            self._wait()
        return result

    def _wait(self) -> None:
        self.reached.set()
        assert self.go_on.wait(30)


def files_of(data_dir: Path, event_id: str) -> set[str]:
    return {path.relative_to(data_dir).as_posix() for path in data_dir.rglob(f"*{event_id}*")}


def entomb(store: Store, event_id: str) -> None:
    """As the deletion of its camera does: also an event that is not finished."""
    with store.writing() as work:
        [stone] = work.tombstones.entomb([event_id], RemovalReason.CAMERA, 1, unfinished=True)
        assert stone.event_id == event_id


@pytest.mark.parametrize("after", [False, True], ids=["before the clip has its name", "after it"])
async def test_nothing_of_an_event_is_left_when_it_is_removed_while_its_clip_is_made(
    temporal_address: str, tmp_path: Path, after: bool
) -> None:
    event_id, node_id = Uuid7Source().new_id(), Uuid7Source().new_id()
    camera = RecordedCamera(tmp_path / "data")
    place = Place(camera)
    segments = camera.record(make_film(tmp_path / "film.mp4"), T)
    pin_segment(camera.data_dir, event_id, segments[0])
    migrate(sqlite_url(tmp_path / "vms.db"))
    store = open_store(sqlite_url(tmp_path / "vms.db"))
    first = replace(opened(T + S, event_id=event_id, camera_id=camera.camera_id), node_id=node_id, window_start_us=T)
    workshop = HeldWorkshop(place.workshop, after=after)
    client = await connect(temporal_address)
    starter = TemporalStarter(TemporalLink(temporal_address, identity="iris-test"), max_open_s=900)
    records = EventActivities(StoreEventRecords(store, SystemClock()))
    try:
        async with (
            iris_worker(client, [records]),
            node_worker(client, node_id, [ClipActivities(workshop, SystemClock())]),
        ):
            await starter.deliver(closed(first, post_s=1))
            assert await asyncio.to_thread(workshop.reached.wait, 30)
            entomb(store, event_id)
            workshop.go_on.set()
            handle = client.get_workflow_handle_for(EventWorkflow.run, event_workflow_id(event_id))
            async with asyncio.timeout(30):
                outcome: EventOutcome = await handle.result()
        assert outcome.state == "deleted"
        assert files_of(camera.data_dir, event_id) == set()
        assert camera.path(segments[0]).exists()
        assert place.terminal == [(camera.camera_id, event_id)]
        with store.reading() as work:
            assert work.events.some([event_id]) == []
    finally:
        workshop.go_on.set()
        store.close()
        camera.close()
