"""Keeps the databases of a running Iris with an open event, as SQL text.

`python -m scripts.keep_release_database v0.1.0`, once for each release, before its tag. Later migrations are tested
from every folder under tests/fixtures/releases.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

from tests.e2e.running_iris import RunningIris, wait_until
from tests.tree import ROOT
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.server import CameraSim


def main(release: str) -> int:
    """Record one finished and one open event, and write the databases down."""
    target = ROOT / "tests" / "fixtures" / "releases" / release
    target.mkdir(parents=True)
    scene = SceneSpec(loop_s=24, walk_at_s=8, walk_s=12)
    with tempfile.TemporaryDirectory() as folder, CameraSim(scene) as camera:
        data = Path(folder) / "data"
        with RunningIris(data) as iris:
            camera_id = iris.add_camera(
                name="Gate", rtsp_url=camera.url, detector_backend="motion", trigger_cooldown=2, post_seconds=2
            )["id"]
            wait_until(iris.terminal_events, 60, "one event ended")
            wait_until(lambda: any(e["state"] == "open" for e in iris.events()), 60, "another is open")
            iris.kill_everything()
        for name, path in {"vms": "vms.db", "camera": f"node/{camera_id}.db", "relay": "node/relay.db"}.items():
            copy = Path(folder) / f"{name}.db"
            # With the write-ahead log beside it: what a killed Iris leaves is the case that matters.
            for suffix in ("", "-wal"):
                if (data / f"{path}{suffix}").exists():
                    shutil.copy(data / f"{path}{suffix}", f"{copy}{suffix}")
            connection = sqlite3.connect(copy)
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            lines = [f"-- {name} of {release}", *connection.iterdump(), f"PRAGMA user_version={version};"]
            (target / f"{name}.sql").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"kept in {target.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
