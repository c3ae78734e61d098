"""Segment adopt: a start finds what a killed process was writing, and one file that it had just published."""

from __future__ import annotations

from pathlib import Path

from iris.outbox.camera_db import CameraDb, camera_db_path
from tests.faults.steps import segment_publish
from tests.faults.steps.said import Said
from tests.faults.steps.site import CAMERA, S, Site, T

NAME = "segment adopt"
recover, problems = segment_publish.recover, segment_publish.problems


def prepare(data_dir: Path, said: Said) -> None:
    """Two durable segments, one whose row was not written any more, and one that was being written."""
    unheard = Said(data_dir.with_name("unheard"))
    site = Site(data_dir, unheard)
    site.make()
    db = CameraDb(camera_db_path(data_dir, CAMERA))
    recorder = segment_publish.recorder_of(site, db, 60.0)
    recorder.recover()
    for item in segment_publish.items(T)[:110]:
        segment_publish.hand_over(site, recorder, item)
    db.close()  # the process is gone, its unfinished file stays
    db = CameraDb(camera_db_path(data_dir, CAMERA))
    with db.transaction() as connection:
        connection.execute("UPDATE segments SET state = 'writing', path = path || '.part' WHERE segment_id = 3")
    db.close()
    for values in unheard.all("durable")[:2]:
        said.say("durable", **values)


def run(data_dir: Path, said: Said) -> None:
    """A start: adopt, open the gap."""
    site = Site(data_dir, said, T + 30 * S)
    site.patiently("camera process", lambda: _start(site))


def _start(site: Site) -> None:
    db = CameraDb(camera_db_path(site.data_dir, CAMERA))
    recorder = segment_publish.recorder_of(site, db)
    site.patiently("recovery", recorder.recover)
    db.close()
