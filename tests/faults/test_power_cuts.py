"""The power of a whole Iris is cut: accepted events end, at most two segments of a camera are lost, nothing is empty.

Reliability cases R4 and R5: everything that Iris writes, Temporal's file included, lies on an ext4 image whose power
is cut at a random moment, or in the middle of a clip's assembly. The short form adds to the many cuts of single steps
in `test_every_syscall`.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.e2e.footage import outage_at, recorded_marks
from tests.e2e.running_iris import RunningIris, wait_until
from tests.faults.disks import ImageDisk, need_mounts
from tests.faults.ledger import Ledger, rounds
from tests.faults.stage import SETTINGS, FaultStage, wall_us

# Design, promises: a power cut costs at most two segments.
MOST_LOST_S = 4.0
DISK_MIB = 768


def empty_footage(data_dir: Path) -> list[str]:
    """Files of nothing under a finished name."""
    names = ("recordings/*/*.mp4", "segments/*/*.mp4", "thumbnails/*.jpg")
    return [str(path) for name in names for path in data_dir.glob(name) if path.stat().st_size == 0]


def cut_power(iris: RunningIris, disk: ImageDisk) -> list[str]:
    """Cut it, and have the machine come up again; what is empty then."""
    disk.cut_power()
    iris.kill_everything()
    disk.unmount()
    disk.check()
    disk.mount()
    found = empty_footage(iris.data_dir)
    iris.start(wait=False)
    return found


def until_assembly(data_dir: Path) -> None:
    """Wait for the moment at which a clip is being made."""
    wait_until(lambda: any((data_dir / "recordings").glob("*/*.part")), 60, "a clip is being made", every_s=0.001)


@pytest.mark.e2e
@pytest.mark.timeout(3600)
def test_accepted_events_end_and_little_footage_is_lost_when_the_power_is_cut(
    memory_path: Path, tmp_path: Path
) -> None:
    need_mounts()
    with Ledger("R4", "power cut of a whole Iris", "cuts") as ledger:
        dice = ledger.random
        moments = []
        empty: list[str] = []
        with ImageDisk(memory_path / "disk.img", memory_path / "disk", DISK_MIB) as disk:
            iris = RunningIris(disk.folder / "data", **SETTINGS)
            iris.log_path = tmp_path / "iris.log"
            with FaultStage(iris) as stage:
                for number in range(rounds(3, 50)):
                    stage.until_accepted(1)
                    if number % 3 == 2:
                        until_assembly(iris.data_dir)
                    else:
                        time.sleep(dice.uniform(0, 4))  # the fault's random moment, not a wait for a condition
                    moments.append(wall_us())
                    empty += cut_power(iris, disk)
                    ledger.rounds += 1
                    ledger.sample("back_s", stage.until_recording())
                    stage.until_healthy()
                # What a cut may take (two segments) can be all there was of an event that had just begun.
                found = stage.verdict(ledger, may_fail=True)
                ledger.failed(violations=len(empty))
                for camera_id in stage.cameras:
                    marks = recorded_marks(iris.data_dir, camera_id)
                    for moment_us in moments:
                        ledger.sample("lost_s", outage_at(marks, moment_us).lost_s)
        ledger.facts["states"] = found.states
        found.expect_clean()
        assert empty == []
        assert max(ledger.samples["lost_s"]) <= MOST_LOST_S
