"""One step struck at one system call after the other, on the machine's own disk or on disks that lose their power."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.disks import ImageDisk
from tests.faults.stepper import Place, Stepper, copy_place, copy_tree, plain_place
from tests.faults.steps.said import Said
from tests.faults.tracing import DURABLE, GROWING, Call, Strike, calls_on

_FOOTAGE = ("segments", "pending", "recordings", "thumbnails")


@dataclass(frozen=True, slots=True)
class Bench:
    """Loaded servers of steps, one a lane, and prepared places; made once for a module of tests.

    Machines of a test have two processors at least, and a strike waits for processes most of its time.
    """

    folder: Path
    lanes: tuple[Stepper, ...]
    templates: dict[str, Place] = field(default_factory=dict)
    traces: dict[str, str] = field(default_factory=dict)

    def template(self, step: str) -> Place:
        """A place where a step can begin, never to be worked in."""
        if step not in self.templates:
            place = plain_place(self.folder / step.replace(" ", "-"))
            place.data_dir.mkdir(parents=True)
            self.lanes[0].do(step, "prepare", place)
            self.templates[step] = place
        return self.templates[step]

    def fault_points(self, step: str, names: Sequence[str]) -> list[Call]:
        """The calls that a step makes when nothing is struck; it must leave everything whole."""
        place = plain_place(self.folder / "counted")
        if step not in self.traces:
            copy_place(self.template(step), place.root)
            outcome = self.lanes[0].traced(step, "run", place, {*DURABLE, *GROWING}, None)
            assert not outcome.failed, outcome.answer
            problems = self.lanes[0].do(step, "verdict", place)
            assert problems == [], problems
            self.traces[step] = outcome.trace
        return calls_on(self.traces[step], place.data_dir, names)

    def deal(
        self, points: Sequence[Call], strike_one: Callable[[Stepper, Path, Sequence[Call]], list[str]]
    ) -> list[str]:
        """Deal the points out to the lanes, each with a folder of its own; all problems together."""

        def lane(number: int) -> list[str]:
            with tempfile.TemporaryDirectory(dir=self.folder) as own:
                return strike_one(self.lanes[number], Path(own), points[number :: len(self.lanes)])

        with ThreadPoolExecutor(len(self.lanes)) as pool:
            return [problem for problems in pool.map(lane, range(len(self.lanes))) for problem in problems]


@contextmanager
def bench(folder: Path, lanes: int = 2) -> Iterator[Bench]:
    """A bench with its files below `folder`."""
    with ExitStack() as stack:
        steppers = []
        for number in range(lanes):
            own = folder / f"lane-{number}"
            own.mkdir()
            steppers.append(stack.enter_context(Stepper(own)))
        yield Bench(folder, tuple(steppers))


def struck(stepper: Stepper, step: str, place: Place, strike: Strike) -> list[str]:
    """Kill a step before a call; whether it was hit must be known, else a fault point is not tested."""
    outcome = stepper.traced(step, "run", place, (strike.name,), strike)
    if outcome.signal == signal.SIGKILL:
        return []
    return [f"was not killed at {strike.name} {strike.number}: {outcome.answer}"]


class PowerSite:
    """A step's place on two disks whose power can be cut: rows on one, footage on the other.

    Two journals, so that a commit of the database does not carry a name of the footage along with it.
    """

    def __init__(self, folder: Path, disks: Sequence[ImageDisk]) -> None:
        self._disks = disks
        self._kept = [disk.image.with_suffix(".kept") for disk in disks]
        self._said = folder / "said"
        self.place = Place(folder, disks[0].folder / "data", self._said)

    def prepare(self, template: Place) -> None:
        """Copy a step's beginning onto the disks and keep it."""
        with self.mounted():
            self.place.data_dir.mkdir()
            for name in _FOOTAGE:
                (self.place.data_dir / name).symlink_to(self._disks[1].folder / name)
            copy_tree([template.data_dir / name for name in _FOOTAGE], self._disks[1].folder)
            rest = [path for path in template.data_dir.iterdir() if path.name not in _FOOTAGE]
            copy_tree(rest, self.place.data_dir)
        for disk, kept in zip(self._disks, self._kept, strict=True):
            disk.keep(kept)
        self._said_before = template.said.read_bytes() if template.said.exists() else b""

    def begin_again(self) -> None:
        """Back to the step's beginning; unmounted."""
        for disk, kept in zip(self._disks, self._kept, strict=True):
            disk.restore(kept)
        self._said.write_bytes(self._said_before)

    @contextmanager
    def mounted(self) -> Iterator[None]:
        with ExitStack() as stack:
            for disk in self._disks:
                disk.mount()
                stack.callback(disk.unmount)
            yield

    def cut_power(self) -> None:
        for disk in self._disks:
            disk.cut_power()


@contextmanager
def power_site(folder: Path) -> Iterator[PowerSite]:
    """Two fresh disks below `folder`; what is left of them at the end is unmounted and dropped."""
    folder.mkdir(parents=True, exist_ok=True)
    disks = [ImageDisk(folder / f"{name}.img", folder / name) for name in ("rows", "footage")]
    try:
        yield PowerSite(folder, disks)
    finally:
        for disk in disks:
            disk.unmount()
            for file in (disk.image, disk.image.with_suffix(".kept")):
                file.unlink(missing_ok=True)


def failing(stepper: Stepper, step: str, place: Place, strike: Strike, said: Said) -> tuple[list[str], str]:
    """Have one call of a step fail: the step must say so in a sentence and get over it by itself. With its trace."""
    outcome = stepper.traced(step, "run", place, (*DURABLE, "openat", "write", "pwrite64", "writev"), strike)
    if "(INJECTED)" not in outcome.trace:
        return [f"{strike.name} {strike.number} was not struck"], outcome.trace
    if outcome.signal or outcome.failed:
        return [f"ended by signal {outcome.signal}: {outcome.answer}"], outcome.trace
    found = [f"said only {values}" for values in said.all("failed") if len(values["sentence"]) < 20]
    return found, outcome.trace
