"""R25: hundreds of events at once, half of them of one camera: all end, no camera waits for the noisy one."""

from __future__ import annotations

import threading
import time
from functools import partial
from pathlib import Path
from typing import Self

import psutil
import pytest

from iris.base.sqlite import connect_readonly
from tests.e2e.running_iris import RunningIris, wait_until
from tests.faults.burst import Share, write_burst
from tests.faults.ledger import Ledger, by_form, rounds
from tests.faults.stage import SETTINGS
from tests.faults.verdict import judge
from tests.faults.witness import Witness

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(3600)]

DRAINED_WITHIN_S = 300.0
MOST_GROWTH_MB = 150.0
# Mean place of the quiet cameras' events in the order of ending, as a share: 0.3 where cameras are served in turns, 0.5
# where chance decides, 0.75 where the noisy one goes first.
FAIR_PLACE = 0.45


class Memory:
    """Largest resident size of some processes while a block runs; a context manager with a thread."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        self._processes = processes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self.first_mb = {name: self._mb(process) for name, process in processes.items()}
        self.most_mb = dict(self.first_mb)

    @staticmethod
    def _mb(process: psutil.Process) -> float:
        return float(process.memory_info().rss) / 2**20

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            for name, process in self._processes.items():
                self.most_mb[name] = max(self.most_mb[name], self._mb(process))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_burst_drains_fairly_and_in_bounded_memory(tmp_path: Path) -> None:
    count, camera_count = rounds(200, 1000), by_form(5, 16)
    title = "many events at once, half of them of one camera"
    with Ledger("R25", title, unit="events") as ledger, RunningIris(tmp_path / "data", **SETTINGS) as iris:
        body = {"rtsp_url": "rtsp://127.0.0.1:9/none", "enabled": False, "detector_backend": "motion"}
        cameras = [iris.add_camera(name=f"camera {number}", **body)["id"] for number in range(camera_count)]
        node_id = (iris.data_dir / "node" / "id").read_text().strip()
        each = count // 2 // (camera_count - 1)
        # The noisy camera comes first in every order there is.
        shares = [
            Share(min(cameras), count - each * (camera_count - 1)),
            *(Share(c, each) for c in sorted(cameras)[1:]),
        ]
        with Witness(iris.data_dir) as witness:
            node = wait_until(lambda: iris.part("node"), 20, "the node runs")
            node.suspend()
            try:
                write_burst(iris.data_dir, node_id, shares, tmp_path)
                witness.look()
            finally:
                node.resume()
            began = time.monotonic()
            parts = {name: wait_until(partial(iris.part, name), 20, name) for name in ("node", "worker", "temporal")}
            with Memory(parts) as memory:
                wait_until(lambda: len(witness.ended) == count, DRAINED_WITHIN_S, "all events ended", 0.2)
            ledger.sample("drained after, s", time.monotonic() - began)
            ledger.rounds = count
            ledger.facts["cameras"] = camera_count
            found = judge(iris, witness, ended_within_s=10, runs=True, may_fail=False)
        ledger.events += found.events
        ledger.failed(len(found.lost), len(found.duplicates), len(found.violations))
        place = quiet_place(iris.data_dir, shares[0].camera_id)
        ledger.sample("mean place of quiet cameras", place)
        for name, most_mb in memory.most_mb.items():
            ledger.sample(f"{name} grew by, MB", most_mb - memory.first_mb[name])
        found.expect_clean()
        assert place <= FAIR_PLACE, "quiet cameras wait for the noisy one"
        assert all(memory.most_mb[n] - memory.first_mb[n] < MOST_GROWTH_MB for n in ("node", "worker")), ledger


def quiet_place(data_dir: Path, noisy: str) -> float:
    """Mean place of the quiet cameras' events in the order of ending: 0 is first, 1 is last."""
    connection = connect_readonly(data_dir / "vms.db")
    rows = connection.execute("SELECT camera_id FROM events ORDER BY finalised_us, event_id").fetchall()
    connection.close()
    places = [number / len(rows) for number, (camera_id,) in enumerate(rows, 1) if camera_id != noisy]
    return sum(places) / len(places)
