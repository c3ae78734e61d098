"""Streams that are odd and yet worth recording: one Iris, one camera each, somebody walks past all of them.

Nothing may be missing but what really was not there, and the clip of each event plays from first to last picture.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.films import decode_errors, probe, seconds, video_stream
from tests.e2e.footage import recorded_marks
from tests.e2e.running_iris import RunningIris, wait_until
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import RTP_START_BEFORE_WRAP, CameraSim, SimOptions

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SCENE = SceneSpec(width_px=320, height_px=180, loop_s=60, walk_at_s=14, walk_s=8, fps=10)
CAMERA = {"trigger_cooldown": 6, "pre_seconds": 2, "post_seconds": 2, "detector_backend": "motion"}
Act = Callable[[CameraSim], None]


@dataclass(frozen=True)
class Oddity:
    """A camera, and what its event becomes.

    `act` happens while the event is open. `reasons` are those of the event's gaps, `most_missing_s` their length;
    `hole_count` is how often, at most, the numbers of the recorded pictures do not
    go on.
    """

    scene: SceneSpec = SCENE
    options: SimOptions = field(default_factory=SimOptions)
    act: Act | None = None
    reasons: tuple[str, ...] = ()
    most_missing_s: float = 0.0
    hole_count: int = 0
    run_count: int = 1
    clip_count: int = 1


def _larger(camera: CameraSim) -> None:
    # The walk goes on where the larger scene begins.
    camera.show(replace(SCENE, walk_at_s=0, walk_s=6, width_px=480, height_px=272))


ODDITIES = {
    "plain": Oddity(),
    "size changes": Oddity(act=_larger, run_count=2, clip_count=2),
    "b frames": Oddity(replace(SCENE, b_frame_count=2)),
    "keyframes 10 s apart": Oddity(replace(SCENE, keyframe_interval_s=10)),
    "pcmu": Oddity(replace(SCENE, sound="pcm_mulaw")),
    "wrap": Oddity(options=SimOptions(rtp_start=RTP_START_BEFORE_WRAP)),
    "starts anywhere": Oddity(replace(SCENE, keyframe_interval_s=3), SimOptions(from_keyframe=False)),
    "jump forward": Oddity(
        act=lambda camera: camera.jump(3600), reasons=("stream_changed",), most_missing_s=1.2, hole_count=1, run_count=2
    ),
    "jump back": Oddity(
        act=lambda camera: camera.jump(-600), reasons=("stream_changed",), most_missing_s=1.2, hole_count=1, run_count=2
    ),
    "reset": Oddity(
        act=lambda camera: camera.drop(reset=True),
        reasons=("camera_offline",), most_missing_s=3.5, hole_count=1, run_count=2,
    ),
    "hung up": Oddity(
        act=CameraSim.drop, reasons=("camera_offline",), most_missing_s=3.5, hole_count=1, run_count=2
    ),
}  # fmt: skip


def test_event_is_one_and_whole_when_the_stream_is_odd(tmp_path: Path) -> None:
    with RunningIris(tmp_path / "data") as iris, contextlib.ExitStack() as stack:
        sims = {name: stack.enter_context(CameraSim(odd.scene, odd.options)) for name, odd in ODDITIES.items()}
        ids = {name: iris.add_camera(name=name, rtsp_url=sim.url, **CAMERA)["id"] for name, sim in sims.items()}
        for name in ODDITIES:
            wait_until(partial(has_event, iris, ids[name]), 40, f"{name} opens an event")
        for name, odd in ODDITIES.items():
            if odd.act is not None:
                odd.act(sims[name])
        wait_until(partial(all_ended, iris, len(ODDITIES)), 60, f"all end: {iris.events()}", 0.3)
        found = {name: judge(iris, name, ids[name]) for name in ODDITIES}
        problems = {name: problem for name, problem in found.items() if problem}
        assert problems == {}
        check = iris.check()
        assert check.returncode == 0, check.stdout + check.stderr


def has_event(iris: RunningIris, camera_id: str) -> bool:
    return bool(iris.status(camera_id).get("event_id"))


def all_ended(iris: RunningIris, count: int) -> bool:
    return len(iris.terminal_events()) >= count


def judge(iris: RunningIris, name: str, camera_id: str) -> list[str]:
    """What is wrong with the camera's event, clip and footage; empty when all is well."""
    odd, status = ODDITIES[name], iris.status(camera_id)
    events = iris.events(camera_id=camera_id)
    problems = [] if len(events) == 1 else [f"{len(events)} events"]
    event = events[0]
    gaps = [(gap["reason"], length_s(gap)) for gap in event["gaps"]]
    print(f"{name}: {event['state']} {gaps} runs {status['counters']['runs']}")
    holes = holes_of(iris, camera_id)
    if len(holes) > odd.hole_count:
        problems.append(f"holes {holes}")
    # A fault just before a keyframe costs nothing: then nothing may be said to be missing either.
    reasons = odd.reasons if holes else ()
    if event["state"] != ("partial" if reasons else "ready"):
        problems.append(f"state {event['state']}")
    if tuple(reason for reason, _ in gaps) != reasons or sum(s for _, s in gaps) > odd.most_missing_s:
        problems.append(f"gaps {gaps}")
    if status["counters"]["runs"] != odd.run_count:
        problems.append(f"{status['counters']['runs']} runs")
    clips = sorted((iris.data_dir / "recordings" / camera_id).glob("*.mp4"))
    if len(clips) != odd.clip_count:
        problems.append(f"clips {[clip.name for clip in clips]}")
    problems += [f"{clip.name}: {errors}" for clip in clips if (errors := decode_errors(clip))]
    problems += judge_clips(name, event, clips)
    return problems


def holes_of(iris: RunningIris, camera_id: str) -> list[tuple[int, int]]:
    """Neighbours among the recorded pictures that are not next to each other."""
    numbers = [mark.number for mark in recorded_marks(iris.data_dir, camera_id)]
    return [(a, b) for a, b in pairwise(numbers) if b != a + 1]


def judge_clips(name: str, event: dict[str, Any], clips: list[Path]) -> list[str]:
    """Length, size of the pictures, sound."""
    probed = [probe(clip) for clip in clips]
    covered_s = length_s(event["window"]) - sum(length_s(gap) for gap in event["gaps"])
    duration_s = sum(float(video_stream(item)["duration"]) for item in probed)
    problems = []
    if not -0.15 <= duration_s - covered_s <= ODDITIES[name].scene.keyframe_interval_s + 0.15:
        problems.append(f"{duration_s} s of clip for {covered_s} s covered")
    if name == "size changes" and {video_stream(item)["width"] for item in probed} != {320, 480}:
        problems.append("not both sizes")
    if name == "pcmu" and {s["codec_name"] for s in probed[0]["streams"]} != {"h264", "aac"}:
        problems.append("no AAC sound")
    return problems


def length_s(span: dict[str, Any]) -> float:
    """Seconds of something with start and end on the wire."""
    return seconds(span["end"]) - seconds(span["start"])
