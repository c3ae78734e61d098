"""kill -9 in the middle of a backup or a restore leaves nothing that counts as one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iris.base.errors import InputError
from iris.pipeline.backup.finish import finished_backups
from iris.pipeline.backup.layout import read_manifest
from tests.workers.backup.place import (
    NAME,
    READY,
    backed_up,
    problems_of,
)
from tests.workers.test_check_command import CAMERA, Copy

FAILPOINTS_BACKUP = (
    "backup.after_camera_files", "backup.after_footage", "backup.after_database", "backup.after_clips",
    "backup.before_manifest", "backup.before_name",
)  # fmt: skip
FAILPOINTS_RESTORE = (
    "restore.after_database", "restore.among_aside:3", "restore.among_places:4",
    *(pytest.param(name, marks=pytest.mark.accept) for name in (
        "restore.after_files", "restore.among_aside:1", "restore.among_places:1", "restore.before_mark",
    )),
)  # fmt: skip


def iris(data_dir: Path, *arguments: str, failpoint: str = "") -> subprocess.CompletedProcess[str]:
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = {**known, "DATA_DIR": str(data_dir), "IRIS_FAILPOINT": failpoint}
    return subprocess.run(
        [sys.executable, "-m", "workers.cli", *arguments], env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.e2e
def test_killed_backup_counts_as_none_wherever_it_is_killed(place: Copy, tmp_path: Path) -> None:
    target = tmp_path / "backups"
    for failpoint in FAILPOINTS_BACKUP:
        assert iris(place.data_dir, "backup", str(target), failpoint=failpoint).returncode == -9
        assert list(finished_backups(target)) == []
        with pytest.raises(InputError, match="no finished backup"):
            read_manifest(next(target.glob("*.part")))
    assert problems_of(place.data_dir) == []
    made = iris(place.data_dir, "backup", str(target))
    assert made.returncode == 0, made.stderr
    assert "protects against mistakes" in made.stdout
    assert len(list(finished_backups(target))) == 1


@pytest.mark.e2e
@pytest.mark.parametrize("failpoint", FAILPOINTS_RESTORE)
def test_killed_restore_counts_as_none_and_can_be_done_again(place: Copy, tmp_path: Path, failpoint: str) -> None:
    backed_up(place, tmp_path / "backups")
    place.store.close()
    aside = "aside" in failpoint
    target = place.data_dir if aside else tmp_path / "new"
    arguments = ("restore", str(tmp_path / "backups" / NAME), *(("--force",) if aside else ()))
    assert iris(target, *arguments, failpoint=failpoint).returncode == -9
    assert not (target / "store.json").exists()
    done = iris(target, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything holds" in done.stdout
    assert f"{CAMERA} Gate" in done.stdout or aside
    assert problems_of(target) == []
    if aside:  # nothing of what was there before is lost
        kept = {path.name for folder in target.glob("before-restore-*") for path in folder.rglob("*")}
        assert {"store.json", "vms.db", f"{READY}.mp4"} <= kept
