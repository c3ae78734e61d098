"""An orphan purge by a whole Iris: it moves what belongs to nothing, and touches nothing where it cannot be sure."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.builders.events import CAMERA_ID, uuid_of
from tests.builders.orphan_place import OrphanPlace
from tests.e2e.running_iris import RunningIris, wait_until
from tests.e2e.test_up_refuses import refusal

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

FOOTAGE = ("recordings", "thumbnails", "segments", "pending", "hls", "quarantine")
LOST = f"recordings/{CAMERA_ID}/{uuid_of(99)}.mp4"


def listing(data_dir: Path) -> dict[str, bytes]:
    """Every file that could hold footage, with its bytes."""
    return {
        path.relative_to(data_dir).as_posix(): path.read_bytes()
        for folder in FOOTAGE
        for path in sorted((data_dir / folder).rglob("*"))
        if path.is_file()
    }


def prepared(tmp_path: Path) -> OrphanPlace:
    """A stopped installation with ten finished events, something in quarantine for long, and one orphan."""
    place = OrphanPlace(tmp_path)
    for number in range(1, 11):
        place.finished(number)
    place.file(LOST, "quarantine/2020-01-01-old/recordings/x.mp4")
    return place


def purge(iris: RunningIris, **body: Any) -> dict[str, Any]:
    """Ask for one, and wait for its end."""
    answer = iris.call("POST", "/api/system/orphan-purge", json=body)
    assert answer.status_code == 202, answer.text
    url = answer.json()["progress_url"]

    def ended() -> dict[str, Any] | None:
        operation: dict[str, Any] = iris.call("GET", url).json()
        return operation if operation["state"] in ("done", "failed") else None

    operation: dict[str, Any] = wait_until(ended, 60, f"the purge ended; log: {iris.log()[-3000:]}", every_s=0.2)
    return operation


def found(operation: dict[str, Any]) -> int:
    """Orphans over all nodes."""
    return sum(node["orphan_count"] for node in operation["result"]["nodes"].values())


def test_purge_moves_what_belongs_to_nothing_and_empties_old_quarantine(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    place.store.close()
    with RunningIris(place.data_dir, ORPHAN_GRACE_SECONDS="10") as iris:
        wait_until(lambda: found(purge(iris, dry_run=True)) == 1, 60, "the orphan is old enough", every_s=1)
        before = listing(place.data_dir)
        operation = purge(iris, dry_run=False)
        assert operation["failure"] is None
        (node,) = operation["result"]["nodes"].values()
        assert (node["moved_count"], node["deleted_count"], node["examples"]) == (1, 1, [LOST])
        after = listing(place.data_dir)
        lost = before.pop(LOST)
        del before["quarantine/2020-01-01-old/recordings/x.mp4"]
        assert after == before | {f"{node['quarantine']}/{LOST}": lost}


@contextmanager
def _empty_database(place: OrphanPlace) -> Iterator[None]:
    """Every event gone from it, as after a restore of the wrong one."""
    with place.store.engine.begin() as connection:
        rows = {
            table: [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]
            for table in ("events", "clip_files", "event_ranges", "event_labels")
        }
        for table in reversed(rows):
            connection.execute(sa.text(f"DELETE FROM {table}"))
    yield
    with place.store.engine.begin() as connection:
        for table, values in rows.items():
            names = ", ".join(values[0])
            places = ", ".join(f":{name}" for name in values[0])
            connection.execute(sa.text(f"INSERT INTO {table} ({names}) VALUES ({places})"), values)


@contextmanager
def _swapped_data_directory(place: OrphanPlace) -> Iterator[None]:
    mark = place.data_dir / "store.json"
    text = mark.read_text()
    mark.write_text(json.dumps(json.loads(text) | {"store_id": uuid_of(8, "a")}))
    yield
    mark.write_text(text)


@contextmanager
def _missing_mount(place: OrphanPlace) -> Iterator[None]:
    """An empty file system over the folder where the test may mount one, else the folder emptied."""
    with unmounted(place.data_dir / "recordings"):
        yield


@contextmanager
def unmounted(folder: Path) -> Iterator[None]:
    """A folder as it is when its disk is away: empty, and without its mark."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "iris-test", str(folder)]
    if (
        os.geteuid() == 0
        and shutil.which("mount")
        and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    ):
        try:
            yield
        finally:
            subprocess.run(["umount", str(folder)], check=True)
    else:
        away = folder.with_name(f"{folder.name}-away")
        folder.rename(away)
        folder.mkdir()
        try:
            yield
        finally:
            folder.rmdir()
            away.rename(folder)


SPOILT: dict[str, tuple[Callable[[OrphanPlace], AbstractContextManager[None]], str]] = {
    "empty database": (_empty_database, "the database knows no camera and no event, but DATA_DIR holds files"),
    "swapped data directory": (_swapped_data_directory, f"DATA_DIR belongs to store {uuid_of(8, 'a')}"),
    "missing mount": (_missing_mount, "DATA_DIR/recordings has lost its mark .iris-store: is its disk not mounted?"),
}


def test_purge_refuses_says_why_and_touches_nothing(tmp_path: Path) -> None:
    place = prepared(tmp_path)
    with RunningIris(place.data_dir, ORPHAN_GRACE_SECONDS="10") as iris, contextlib.closing(place.store):
        wait_until(lambda: found(purge(iris, dry_run=True)) == 1, 60, "the orphan is old enough", every_s=1)
        whole = listing(place.data_dir)
        for name, (spoil, said) in SPOILT.items():
            with spoil(place):
                before = listing(place.data_dir)
                operation = purge(iris, dry_run=False, max_share=1)
                assert operation["state"] == "failed", name
                assert operation["failure"].startswith(f"Nothing was moved or deleted: {said}"), name
                assert listing(place.data_dir) == before, name
            assert listing(place.data_dir) == whole, name
        assert purge(iris, dry_run=False)["state"] == "done"


@pytest.mark.parametrize("name", ["recordings", pytest.param("segments", marks=pytest.mark.accept)])
def test_start_refuses_while_a_disk_is_missing_and_goes_on_when_it_is_back(tmp_path: Path, name: str) -> None:
    place = prepared(tmp_path)
    place.store.close()
    whole = listing(place.data_dir)
    with unmounted(place.data_dir / name):
        before = listing(place.data_dir)
        said = refusal(place.data_dir)
        assert f"{name} has lost its mark .iris-store: is its disk not mounted? Mount it and start again" in said
        assert listing(place.data_dir) == before
    assert listing(place.data_dir) == whole
    with RunningIris(place.data_dir):
        assert listing(place.data_dir) == whole
