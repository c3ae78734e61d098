"""Segments that are cut off, empty, overwritten, gone, foreign or swapped: the clip says exactly what it lacks.

Reliability case R24. What is missing is compared with the index, what is there with the numbers drawn into the
pictures: segments after a bad one are in the clip, and it decodes from the first picture to the last.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import pytest

from iris.adapters.pins import pin_segment, pinned_files, release_pins
from iris.contracts.events import ClipResult, TimeRange
from iris.domain.segment import Segment
from tests.builders.clip_place import EVENT, Place, S, T
from tests.builders.recorded_camera import FPS, RecordedCamera, make_film
from tests.faults.ledger import Ledger, rounds

SECONDS = 12
FOREIGN_CAMERA = "01890000-0000-7000-8000-00000000000d"


@dataclass(frozen=True)
class Footage:
    """One camera's recorded segments of a second each, their bytes, and a segment of another camera."""

    place: Place
    segments: list[Segment]
    contents: dict[str, bytes]
    foreign: bytes

    def lay_out(self, *, ring: bool) -> dict[str, Path]:
        """All pins as they were made, and the rolling buffer, which may have been pruned since."""
        data_dir = self.place.camera.data_dir
        release_pins(data_dir, EVENT)
        for segment in self.segments:
            path = data_dir / segment.path
            path.unlink(missing_ok=True)
            path.write_bytes(self.contents[path.name])
            pin_segment(data_dir, EVENT, segment)
            path.unlink()
            if ring:
                path.write_bytes(self.contents[path.name])
        return pinned_files(data_dir, EVENT)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Footage]:
    folder = tmp_path_factory.mktemp("footage")
    camera = RecordedCamera(folder / "data")
    segments = camera.record(make_film(folder / "film.mp4", seconds=SECONDS), T, seconds=1.0)
    other = RecordedCamera(folder / "other", FOREIGN_CAMERA)
    [foreign] = other.record(make_film(folder / "other.mp4", seconds=1, size_px=(176, 144)), T)
    contents = {Path(segment.path).name: camera.path(segment).read_bytes() for segment in segments}
    yield Footage(Place(camera), segments, contents, other.path(foreign).read_bytes())
    camera.close()
    other.close()


def cut_off(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(1, len(content))]


def empty(_content: bytes, _dice: random.Random) -> bytes:
    return b""


def overwritten(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    garbage = dice.randbytes(min(dice.randrange(1, 2000), len(content) - at))
    changed = content[:at] + garbage + content[at + len(garbage) :]
    return changed if changed != content else content[:-1] + bytes([content[-1] ^ 1])


def one_bit(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << dice.randrange(8))]) + content[at + 1 :]


def longer(content: bytes, dice: random.Random) -> bytes:
    return content + dice.randbytes(dice.randrange(1, 500))


CHANGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (cut_off, empty, overwritten, one_bit, longer)


def damage(footage: Footage, pins: dict[str, Path], dice: random.Random) -> dict[str, str]:
    """Damage one to three pins; the reason that each of them is to be missing for, by name."""
    names = dice.sample(sorted(pins), dice.randrange(1, 4))
    if len(names) > 1 and dice.random() < 0.25:
        first, second = (pins[name].read_bytes() for name in names[:2])
        pins[names[0]].write_bytes(second)
        pins[names[1]].write_bytes(first)
        return dict.fromkeys(names[:2], "corrupt_segment")
    lost = {}
    for name in names:
        kind = dice.randrange(len(CHANGES) + 2)
        lost[name] = "corrupt_segment"
        if kind < len(CHANGES):
            pins[name].write_bytes(CHANGES[kind](footage.contents[name], dice))
        elif kind == len(CHANGES):
            pins[name].write_bytes(footage.foreign)
        else:
            pins[name].unlink()
            lost[name] = "missing_segment"
    return lost


def expected_missing(footage: Footage, lost: dict[str, str], window: tuple[int, int]) -> list[TimeRange]:
    """What the index says about the lost segments inside the window; what touches for one reason is one range."""
    found: list[TimeRange] = []
    for segment in footage.segments:
        reason = lost.get(Path(segment.path).name)
        start_us, end_us = max(segment.start_us, window[0]), min(segment.end_us, window[1])
        if reason is None or end_us <= start_us:
            continue
        if found and found[-1].end_us == start_us and found[-1].reason == reason:
            start_us = found.pop().start_us
        found.append(TimeRange(start_us, end_us, reason))
    return found


def shown_numbers(path: Path) -> list[int]:
    """The numbers drawn into the pictures of a clip, in the order in which they are shown."""
    numbers = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            luma = frame.to_ndarray(format="gray")
            numbers.append(sum(1 << bit for bit in range(10) if luma[40, bit * 16 + 8] > 125))
    return numbers


def wrong(footage: Footage, result: ClipResult, lost: dict[str, str], window: tuple[int, int]) -> list[str]:
    """Everything that is not as the index and the damage say."""
    missing = expected_missing(footage, lost, window)
    good = [s for s in footage.segments if Path(s.path).name not in lost and window[0] <= s.start_us < window[1]]
    found = []
    state = "failed" if not good else "partial" if missing else "ready"
    if result.state != state:
        found.append(f"state {result.state}, not {state}")
    if list(result.missing) != missing:
        found.append(f"missing {result.missing}, not {missing}")
    at_us = window[0]
    for span in sorted([*result.covered, *result.missing], key=lambda span: span.start_us):
        if span.start_us != at_us:
            found.append(f"a hole or an overlap at {span.start_us - T}")
        at_us = span.end_us
    if at_us != window[1]:
        found.append(f"covered and missing end at {at_us - T}")
    numbers = [number for file in result.files for number in shown_numbers(footage.place.path(file.path))]
    expected = [round((s.start_us - T) / S * FPS) + picture for s in good for picture in range(s.video_packet_count)]
    if numbers != expected:
        found.append(f"shows pictures {numbers}, not {expected}")
    return found


@pytest.mark.timeout(1800)
def test_clip_lacks_exactly_the_damaged_segments_and_decodes(footage: Footage) -> None:
    with Ledger("R24", "1 to 3 of 12 pinned segments damaged", "clips") as ledger:
        dice = ledger.random
        problems = []
        for _ in range(rounds(100, 2000)):
            ring = dice.random() < 0.1
            first, last = sorted(dice.sample(range(SECONDS + 1), 2))
            window = (T + first * S, T + last * S)
            pins = footage.lay_out(ring=ring)
            lost = damage(footage, pins, dice)
            result = footage.place.assemble(first, last)
            # What the rolling buffer still has makes up for a bad pin.
            problems += [f"{lost} in {window}: {text}" for text in wrong(footage, result, {} if ring else lost, window)]
            ledger.rounds += 1
        ledger.failed(violations=len(problems))
        assert not problems, "\n".join(problems)
