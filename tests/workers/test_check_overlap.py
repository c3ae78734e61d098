"""`iris check` and a clock that was set back: two runs with the same wall time are both in the clip, and both right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from iris.adapters.clock import SystemClock
from iris.adapters.id_source import Uuid7Source
from iris.config import Settings
from iris.contracts.events import AssembleClip, FinaliseEvent
from iris.pipeline.clip_workshop import NodeClipWorkshop, NodeHooks
from iris.store.engine import open_store
from tests.builders.events import CAMERA_ID, event_message
from tests.builders.recorded_camera import RecordedCamera, make_film
from workers.check_command import run_check
from workers.wiring.pairing import prepare_pair

S = 1_000_000


def test_check_accepts_a_clip_longer_than_its_window_when_the_clock_was_set_back(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", models_dir=tmp_path)
    store = open_store(settings.main_database_url)
    prepare_pair(settings, store, Uuid7Source())
    start_us = SystemClock().wall_us() - 600 * S
    camera = RecordedCamera(settings.data_path, CAMERA_ID)
    film = make_film(tmp_path / "film.mp4", seconds=6)
    camera.record(film, start_us, run="before")
    camera.record(film, start_us + 3 * S + 1, run="after")  # three seconds of it have the wall time of those before
    hooks = NodeHooks(is_running=lambda _c: False, post_us=lambda _c: 0, mark_terminal=lambda _c, _e: None)
    workshop = NodeClipWorkshop(settings.data_path, camera.reader, camera.reader, SystemClock(), hooks)
    closed = replace(
        event_message(1, "closed", window_start_us=start_us, window_end_us=start_us + 9 * S),
        started_us=start_us + S, last_seen_us=start_us + 8 * S,
    )  # fmt: skip
    clip = workshop.assemble(AssembleClip(closed.event_id, CAMERA_ID, start_us, start_us + 9 * S), lambda *_: None)
    with store.writing() as work:
        work.events.finalise(FinaliseEvent(closed, clip), start_us + 10 * S)
    camera.close()
    store.close()

    assert clip.state == "ready"
    assert clip.files[0].duration_us > 11 * S
    (rule,) = (rule for rule in run_check(settings, pause=lambda _s: None).rules if rule.name == "clip")
    assert rule.problems == ()
