"""kill -9 of each part in the middle of an event: every accepted event ends once, the camera is back within 5 s."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.footage import AcceptedEvents, Outage, outage_at, recorded_marks
from tests.e2e.running_iris import RunningIris, wait_until
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim

pytestmark = [pytest.mark.e2e]

# Somebody is in view for 8 of every 16 s, so that each round finds an open event soon.
SCENE = SceneSpec(loop_s=16, walk_at_s=2, walk_s=8, fps=15, keyframe_interval_s=1)
CAMERA = {"trigger_cooldown": 3, "pre_seconds": 2, "post_seconds": 2, "detector_backend": "motion"}
SETTINGS = {"SEGMENT_RETENTION_SECONDS": "3600", "EVENT_MAX_SECONDS": "60"}
EVERYTHING = "everything"
PARTS = ("camera", "node", "worker", "api", "temporal", EVERYTHING)


def wall_us() -> int:
    return time.time_ns() // 1000


def open_event(iris: RunningIris, camera_id: str) -> str | None:
    """The event that is open now and in the database."""
    status = iris.status(camera_id)
    event_id = status.get("event_id")
    return event_id if event_id and any(e["id"] == event_id for e in iris.events()) else None


def assert_all_ended_once(iris: RunningIris, accepted: AcceptedEvents, camera_id: str) -> None:
    """Every accepted event has exactly one terminal row, every clip one file, and `iris check` agrees."""

    def all_terminal() -> bool:
        accepted.look()
        return accepted.ids == {event["id"] for event in iris.terminal_events()}

    # The scene goes on making events; switching the camera off closes the last one.
    assert iris.call("POST", f"/api/cameras/{camera_id}/disable").status_code == 200
    wait_until(all_terminal, 60, f"all accepted events are terminal: {accepted.ids} {iris.events()}")
    events = iris.events()
    assert len(events) == len({event["id"] for event in events}) == len(accepted.ids)
    states = [event["state"] for event in events]
    assert "failed" not in states, events
    clips = sorted(path.stem for path in (iris.data_dir / "recordings" / camera_id).glob("*.mp4"))
    assert clips == sorted(accepted.ids)
    check = iris.check()
    assert check.returncode == 0, check.stdout + check.stderr
    print(f"{len(events)} events, states {sorted(states)}")


@pytest.mark.timeout(1800)
@pytest.mark.accept  # the times of an acceptance line; that nothing is lost, test_random_kills shows each time
@pytest.mark.parametrize("rounds", [5])
def test_every_accepted_event_ends_once_when_any_part_is_killed(tmp_path: Path, rounds: int) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    moments: dict[str, list[int]] = {part: [] for part in PARTS}
    restarts: list[int] = []
    delays = random.Random(seed)
    with CameraSim(SCENE) as camera, RunningIris(tmp_path / "data", **SETTINGS) as iris:
        camera_id = iris.add_camera(rtsp_url=camera.url, **CAMERA)["id"]
        with AcceptedEvents(iris.data_dir, camera_id) as accepted:
            for _ in range(rounds):
                for part in PARTS:
                    wait_until(lambda: open_event(iris, camera_id), 60, f"an event is open; {iris.status(camera_id)}")
                    time.sleep(delays.uniform(0, 3))  # the fault's random moment, not a wait for a condition
                    moments[part].append(wall_us())
                    if part == EVERYTHING:
                        restarts.append(kill_and_start(iris))
                    else:
                        iris.kill(part)
                    recovers(iris, camera_id, moments[part][-1])
            assert_all_ended_once(iris, accepted, camera_id)
        marks = recorded_marks(iris.data_dir, camera_id)
    outages = {part: [outage_at(marks, moment) for moment in times] for part, times in moments.items()}
    # What the test itself took to end a dozen processes is nobody's outage: recording counts from the restart.
    outages[EVERYTHING] = [
        Outage(outage.lost_s, outage_at(marks, restart).back_s)
        for outage, restart in zip(outages[EVERYTHING], restarts, strict=True)
    ]
    report(outages)


def kill_and_start(iris: RunningIris) -> int:
    """kill -9 of everything, then a start; the moment of the start."""
    iris.kill_everything()
    moment_us = wall_us()
    iris.start()
    return moment_us


def recovers(iris: RunningIris, camera_id: str, moment_us: int) -> None:
    """Until all is well and what came after `moment_us` is durable: the next kill takes nothing of this outage."""
    wait_until(lambda: iris.health().get("status") == "ok", 60, f"health ok: {iris.health()}")
    wait_until(lambda: iris.status(camera_id).get("state") == "recording", 30, "recording again")
    wait_until(lambda: recorded_after(iris, camera_id, moment_us), 30, "a durable segment after it")


def report(outages: dict[str, list[Outage]]) -> None:
    for part, found in outages.items():
        lost, back = [o.lost_s for o in found], [o.back_s for o in found]
        print(
            f"{part}: n={len(found)} lost median {statistics.median(lost):.2f} worst {max(lost):.2f} s, "
            f"recorded again after median {statistics.median(back):.2f} worst {max(back):.2f} s"
        )
    killed = [o for part in ("camera", "node", EVERYTHING) for o in outages[part]]
    assert statistics.median(o.lost_s for o in killed) <= 0.6
    assert max(o.lost_s for o in killed) <= 1.0
    assert max(o.back_s for o in killed) <= 5.0
    for part in ("worker", "api", "temporal"):
        # One picture at 15 fps and the writer's rhythm: these parts are not needed for recording.
        assert max(o.lost_s + o.back_s for o in outages[part]) <= 0.2


@pytest.mark.timeout(300)
def test_cameras_record_again_when_all_was_killed_and_temporal_stays_down(tmp_path: Path) -> None:
    with CameraSim(SCENE) as camera, RunningIris(tmp_path / "data", **SETTINGS) as iris:
        camera_id = iris.add_camera(rtsp_url=camera.url, **CAMERA)["id"]
        wait_until(lambda: iris.status(camera_id).get("state") == "recording", 30, "recording")
        iris.kill_everything()
        moment_us = wall_us()
        # An address where nothing listens: Temporal stays down, and none is started.
        iris.environment["TEMPORAL_ADDRESS"] = f"127.0.0.1:{iris.temporal_port}"
        iris.start(wait=False)
        wait_until(lambda: iris.health().get("status") == "degraded", 30, "health degraded")
        wait_until(lambda: iris.status(camera_id).get("state") == "recording", 30, "recording again")
        wait_until(lambda: recorded_after(iris, camera_id, moment_us), 20, "a durable segment after the kill")
        outage = outage_at(recorded_marks(iris.data_dir, camera_id), moment_us)
        print(f"recorded again {outage.back_s:.2f} s after the start, without Temporal")
        assert outage.back_s <= 5.0


def recorded_after(iris: RunningIris, camera_id: str, moment_us: int) -> bool:
    return any(mark.sent_wall_us > moment_us for mark in recorded_marks(iris.data_dir, camera_id))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("rounds", [1, pytest.param(5, marks=pytest.mark.accept)])
def test_orderly_stop_loses_no_picture(tmp_path: Path, rounds: int) -> None:
    with CameraSim(SCENE) as camera:
        iris = RunningIris(tmp_path / "data", **SETTINGS).start()
        camera_id = iris.add_camera(rtsp_url=camera.url, **CAMERA)["id"]
        for number in range(rounds):
            if number:
                iris.start()
            wait_until(lambda: iris.status(camera_id).get("state") == "recording", 30, "recording")
            began_us = wall_us()
            wait_until(partial(recorded_after, iris, camera_id, began_us), 20, "a durable segment")
            asked_us = wall_us()
            took_s = iris.stop()
            marks = recorded_marks(iris.data_dir, camera_id)
            session = [mark.number for mark in marks if began_us <= mark.sent_wall_us <= asked_us]
            assert session == list(range(session[0], session[-1] + 1)), "a hole in the pictures"
            lost_s = (asked_us - max(m.sent_wall_us for m in marks if m.sent_wall_us <= asked_us)) / 1e6
            print(f"stopped in {took_s:.1f} s, last recorded picture {lost_s:.3f} s before Ctrl-C")
            assert lost_s <= 1.5 / SCENE.fps, "a picture sent before Ctrl-C is missing"


def away(camera: CameraSim) -> int:
    """Ten seconds away; the moment of its return."""
    camera.vanish()
    time.sleep(10)  # the fault's length
    moment_us = wall_us()
    camera.come_back()
    return moment_us


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("rounds", [1, pytest.param(5, marks=pytest.mark.accept)])
def test_camera_is_recorded_again_soon_when_it_was_away_or_frozen(tmp_path: Path, rounds: int) -> None:
    with CameraSim(SCENE) as camera, RunningIris(tmp_path / "data", **SETTINGS) as iris:
        camera_id = iris.add_camera(rtsp_url=camera.url, **CAMERA)["id"]
        returns = []
        for _ in range(rounds):
            wait_recording(iris, camera_id)
            returns.append(away(camera))
        wait_recording(iris, camera_id)
        noticed = [time_to(camera, iris, camera_id) for _ in range(rounds)]
        wait_until(lambda: recorded_after(iris, camera_id, returns[-1]), 20, "a durable segment after the return")
        marks = recorded_marks(iris.data_dir, camera_id)
        back = [outage_at(marks, moment).back_s for moment in returns]
        print(f"away: recorded again after {[round(x, 2) for x in back]} s; frozen: noticed {noticed} s")
        assert statistics.median(back) <= 1.5
        assert max(back) <= 3.0
        assert max(noticed) <= 10.0


def wait_recording(iris: RunningIris, camera_id: str) -> None:
    wait_until(lambda: iris.status(camera_id).get("state") == "recording", 30, "recording")


def time_to(camera: CameraSim, iris: RunningIris, camera_id: str) -> float:
    """Seconds until a frozen camera is said to be in error."""
    began = time.monotonic()
    camera.stall(frozen=True)
    error: Callable[[], bool] = lambda: iris.status(camera_id).get("state") == "error"  # noqa: E731
    wait_until(error, 20, "the frozen camera is noticed")
    took = time.monotonic() - began
    camera.resume()
    wait_recording(iris, camera_id)
    return round(took, 2)
