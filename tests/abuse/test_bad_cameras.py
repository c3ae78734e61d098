"""Every fault of a camera at once, one Iris: each says what is wrong, is tried again, and is recorded when it is well.

Each camera is bad when it is added, is healed, turns bad in the middle of recording and is healed again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from iris.base.sqlite import connect_readonly
from tests.abuse.hostile import SlowLine
from tests.e2e.footage import recorded_marks
from tests.e2e.running_iris import RunningIris, wait_until
from workers.camera_sim.encode import encode_scene
from workers.camera_sim.film import Film
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim, SimOptions

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(280)]

SCENE = SceneSpec(width_px=320, height_px=180, loop_s=8, fps=10, sound="aac")
PASSWORD, OTHER_PASSWORD = "CANARYPASS-31d", "changed-meanwhile"
OFFLINE, STALLED, AUTH = "camera_offline", "camera_stalled", "camera_auth"


@dataclass(frozen=True)
class Fault:
    """What is done to a camera, what its status must say, and why footage is missing.

    `says` is for the camera that is bad when it is added, `then` and `reasons` for one that turns bad in recording.
    """

    code: str
    says: str
    begin: Callable[[CameraSim], None]
    end: Callable[[CameraSim], None]
    reasons: tuple[str, ...] = (OFFLINE,)
    then: tuple[str, str] | None = None
    breaks_off: bool = True
    slow_line: bool = False

    @property
    def never_came(self) -> str:
        """Why footage is missing before the first picture."""
        return self.code if self.code in {AUTH, STALLED} else OFFLINE


def _set(**switches: object) -> Callable[[CameraSim], None]:
    def act(camera: CameraSim) -> None:
        for name, value in switches.items():
            setattr(camera.faults, name, value)

    return act


def _password(password: str) -> Callable[[CameraSim], None]:
    def act(camera: CameraSim) -> None:
        camera.options = replace(camera.options, password=password)

    return act


NO_ANSWER = "the camera does not answer; check host, port and network"
SILENT = "the connection stands, but the camera sends nothing; it is tried again"
NOTHING = _set()
ANSWERS_WELL = _set(answer_status=None, redirect_to=None)
FAULTS = {
    "wrong password": Fault(
        "camera_auth", "the camera refused the user name or password; check them in the address",
        _password(OTHER_PASSWORD), _password(PASSWORD), (OFFLINE, AUTH),
    ),
    "closed port": Fault(
        "camera_unreachable", "the camera refused the connection; check host and port, and that RTSP is switched on",
        CameraSim.vanish, CameraSim.come_back, breaks_off=False,
    ),
    "no video": Fault(
        "camera_stream", "the camera sends no video at this address; check the path of the stream",
        _set(without_video=True), _set(without_video=False),
    ),
    "unknown codec": Fault(
        "camera_stream", "the camera sends an unknown codec; set it to H.264 or H.265",
        _set(unknown_codec=True), _set(unknown_codec=False),
    ),
    "not found": Fault(
        "camera_stream", "the camera knows no such stream (404); check the path of the address",
        _set(answer_status=404), ANSWERS_WELL,
    ),
    "too many viewers": Fault(
        "camera_stream", "the camera refused the request; it may have too many viewers, or the path is wrong",
        _set(answer_status=453), ANSWERS_WELL,
    ),
    "starting": Fault(
        "camera_unreachable", "the camera reports a fault of its own (5xx); it may be starting, it is tried again",
        _set(answer_status=503), ANSWERS_WELL,
    ),
    "stall": Fault(
        "camera_stalled", SILENT,
        CameraSim.stall, CameraSim.resume, (STALLED,), breaks_off=False,
    ),
    "freeze": Fault(
        "camera_unreachable", NO_ANSWER, lambda camera: camera.stall(frozen=True), CameraSim.resume,
        (STALLED, OFFLINE), ("camera_stalled", SILENT), breaks_off=False,
    ),
    "slow drip": Fault(
        "camera_unreachable", NO_ANSWER, NOTHING, NOTHING, (STALLED, OFFLINE), ("camera_stalled", ""),
        breaks_off=False, slow_line=True,
    ),
}  # fmt: skip


class Stage:
    """The cameras, the lines to them, and the Iris that records them."""

    def __init__(self, iris: RunningIris, sims: dict[str, CameraSim], lines: dict[str, SlowLine]) -> None:
        self.iris, self.sims, self.lines = iris, sims, lines
        self.ids: dict[str, str] = {}

    def add(self, name: str) -> None:
        """Add a camera that is bad already, where it is one with a fault."""
        url = self.sims[name].url
        if name in FAULTS:
            self.begin(name)
        if name in self.lines:
            url = url.replace(f":{self.sims[name].port}/", f":{self.lines[name].port}/")
        assert PASSWORD in url
        self.ids[name] = self.iris.add_camera(name=name, rtsp_url=url, detector_backend="none")["id"]

    def begin(self, name: str) -> None:
        FAULTS[name].begin(self.sims[name])
        if name in self.lines:
            self.lines[name].bytes_per_s = 20

    def end(self, name: str) -> None:
        FAULTS[name].end(self.sims[name])
        if name in self.lines:
            self.lines[name].bytes_per_s = None

    def status(self, name: str) -> dict[str, Any]:
        return self.iris.status(self.ids[name])

    def wait_for_all(self, said: dict[str, dict[str, Any]], seconds: float) -> None:
        """Until the status of each has held what is given, if only for a moment."""
        missing = dict(said)

        def look() -> bool:
            for name in list(missing):
                if missing[name].items() <= self.status(name).items():
                    del missing[name]
            return not missing

        try:
            wait_until(look, seconds, "all cameras say it", 0.1)
        except AssertionError:
            raise AssertionError({name: (self.status(name), wanted) for name, wanted in missing.items()}) from None

    def wait_tried_again(self, names: Iterable[str]) -> None:
        for name in names:
            wait_until(partial(self.was_tried_again, name), 30, f"{name} is tried again", 0.2)

    def was_tried_again(self, name: str) -> bool:
        return bool(self.status(name)["counters"]["reconnects"] >= 2)

    def marks(self, name: str) -> list[int]:
        """Numbers of the recorded pictures."""
        return [mark.number for mark in recorded_marks(self.iris.data_dir, self.ids[name])]

    def recorded_after_the_gap(self, name: str, number: int) -> bool:
        """Whether a picture is durable that was sent after the gaps, and after picture `number`."""
        gaps = self.gaps(name)
        marks = recorded_marks(self.iris.data_dir, self.ids[name])
        until_us = max((gap[1] or 2**62 for gap in gaps), default=0)
        return marks[-1].number > number and marks[-1].sent_wall_us > until_us

    def gaps(self, name: str) -> list[tuple[int, int | None, str]]:
        connection = connect_readonly(self.iris.data_dir / "node" / f"{self.ids[name]}.db")
        try:
            return connection.execute("SELECT start_us, end_us, reason FROM gaps ORDER BY start_us").fetchall()
        finally:
            connection.close()


@contextlib.contextmanager
def stage(tmp_path: Path, film: Film, names: list[str]) -> Iterator[Stage]:
    with contextlib.ExitStack() as stack:
        options = SimOptions(password=PASSWORD)
        sims = {name: stack.enter_context(CameraSim(film, options)) for name in names}
        lines = {n: stack.enter_context(SlowLine(sims[n].port)) for n in names if n in FAULTS and FAULTS[n].slow_line}
        yield Stage(stack.enter_context(RunningIris(tmp_path / "data")), sims, lines)


def error(code: str, sentence: str) -> dict[str, Any]:
    """What the status must hold; an empty sentence where it depends on what drips through, sound or pictures."""
    return {"state": "error", "error_code": code} | ({"sentence": sentence} if sentence else {})


WELL = {"state": "recording", "error_code": None, "sentence": ""}


def test_each_fault_is_said_and_got_over_while_others_are_recorded(tmp_path: Path) -> None:
    names = [*FAULTS, "well"]
    with stage(tmp_path, encode_scene(SCENE), names) as cameras:
        for name in names:
            cameras.add(name)
        cameras.wait_for_all({name: {"state": "error"} for name in FAULTS} | {"well": WELL}, 40)
        cameras.wait_for_all({name: error(fault.code, fault.says) for name, fault in FAULTS.items()}, 30)
        cameras.wait_tried_again(FAULTS)
        for name in FAULTS:
            cameras.end(name)
        cameras.wait_for_all(dict.fromkeys(names, WELL), 75)
        recorded = {name: wait_until(partial(cameras.marks, name), 20, f"{name} has a segment") for name in names}
        for name, fault in FAULTS.items():
            cameras.begin(name)
            if fault.breaks_off:
                cameras.sims[name].drop(reset=True)
        cameras.wait_for_all({name: error(*(f.then or (f.code, f.says))) for name, f in FAULTS.items()}, 40)
        cameras.wait_for_all({name: error(fault.code, fault.says) for name, fault in FAULTS.items()}, 40)
        for name in FAULTS:
            cameras.end(name)
        cameras.wait_for_all(dict.fromkeys(names, WELL), 75)
        for name in names:
            after = partial(cameras.recorded_after_the_gap, name, max(recorded[name]))
            wait_until(after, 20, f"{name} has a new segment")
        judge(cameras)


def judge(cameras: Stage) -> None:
    assert cameras.gaps("well") == []
    assert holes(cameras.marks("well")) == []
    for name, fault in FAULTS.items():
        never_came, *gaps = cameras.gaps(name)
        assert never_came[2] == fault.never_came, (name, never_came)
        assert never_came[1] is not None, name
        assert never_came[1] < gaps[0][0], (name, never_came, gaps)
        assert tuple(reason for _, _, reason in gaps) == fault.reasons, (name, gaps)
        assert all(a[1] == b[0] for a, b in pairwise(gaps)), (name, gaps)
        assert all(end is not None for _, end, _ in gaps), (name, gaps)
        assert len(holes(cameras.marks(name))) == 1, (name, holes(cameras.marks(name)))
        print(f"{name}: {[(reason, round(((end or start) - start) / 1e6, 1)) for start, end, reason in gaps]}")
    seen = cameras.iris.log() + "".join(
        cameras.iris.call("GET", path).text
        for path in (
            "/api/cameras",
            "/api/system",
            "/metrics",
            *(f"/api/cameras/{i}/status" for i in cameras.ids.values()),
        )
    )
    assert PASSWORD not in seen
    assert OTHER_PASSWORD not in seen
    check = cameras.iris.check()
    assert check.returncode == 0, check.stdout + check.stderr


def holes(numbers: list[int]) -> list[tuple[int, int]]:
    """Neighbours that are not next to each other."""
    return [(a, b) for a, b in pairwise(numbers) if b != a + 1]
