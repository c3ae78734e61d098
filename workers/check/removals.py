"""Rules of removals: a tombstone's files go soon, and of a deleted camera nothing is left."""

from __future__ import annotations

from pathlib import Path

from iris.base.errors import InputError
from iris.base.ids import parse_id
from iris.base.timebase import US_PER_S
from iris.domain.operation import OperationKind
from workers.check.view import CheckTask, View
from workers.check_report import Findings

# From the row to the files takes seconds; a host that is being started again takes a minute or two.
_BURIAL_US = 15 * 60 * US_PER_S
_FOLDERS = ("recordings", "segments", "hls")


def tombstones(task: CheckTask, view: View, found: Findings) -> None:
    """Its problems with files are found where the files are walked (`workers.check.files`)."""
    found.rule("tombstone", "a removed event has no row, and its files are gone soon after")
    removals = view.removals
    found.looked("tombstone", len(removals.unburied) + len(removals.buried))
    for event_id in removals.risen:
        found.problem("tombstone", f"event {event_id} has a row and a tombstone")
    under_way = {row.operation_id for row in removals.operations}
    for event_id, stone in removals.unburied.items():
        elsewhere = view.node_id is not None and stone.node_id != view.node_id
        late = task.now_us() - stone.created_us > _BURIAL_US
        if late and not elsewhere and stone.operation_id not in under_way:
            found.problem("tombstone", f"event {event_id} was removed, and its files may still be there")


def cameras(task: CheckTask, view: View, found: Findings) -> None:
    """Deleted cameras, cameras being deleted, and node files of cameras that nobody knows."""
    found.rule("camera", "of a deleted camera nothing is left, and each camera's own file belongs to a camera")
    removals = view.removals
    found.looked("camera", len(removals.cameras) + len(removals.deleted_cameras))
    for event_id in removals.events_of_deleted:
        found.problem("camera", f"event {event_id} is of a camera that was deleted")
    for camera_id in sorted(removals.deleted_cameras):
        for text in _left_of(task.data_dir, camera_id, has_row=camera_id in removals.cameras):
            found.problem("camera", f"camera {camera_id} was deleted, but {text}")
    under_way = {(row.camera_id, row.kind) for row in removals.operations}
    for camera_id, mark in removals.cameras.items():
        if mark.deleting_us is not None and (camera_id, OperationKind.CAMERA_DELETION) not in under_way:
            found.problem("camera", f"camera {camera_id} is marked as being deleted, but nobody deletes it")
        if mark.purging_us is not None and (camera_id, OperationKind.CAMERA_REPOINT) not in under_way:
            found.problem("camera", f"camera {camera_id} is marked as being purged, but nobody purges it")
    for name in unknown_node_files(task, view):
        found.problem("camera", f"node/{name} belongs to no camera")


def _left_of(data_dir: Path, camera_id: str, *, has_row: bool) -> list[str]:
    left = [f"{name}/{camera_id} is there" for name in _FOLDERS if (data_dir / name / camera_id).exists()]
    left += [f"node/{path.name} is there" for path in sorted((data_dir / "node").glob(f"{camera_id}.db*"))]
    return [*left, "its row is there"] if has_row else left


def unknown_node_files(task: CheckTask, view: View) -> list[str]:
    """Names of camera processes' files that belong to no camera; one whose events are not finished has work to do."""
    at_work = {
        camera.camera_id
        for camera in view.cameras
        if any(view.in_outbox(event_id) for event_id in (*camera.outbox, *camera.closed_windows))
        or camera.open_event_ids
    }
    known = {*view.removals.cameras, *view.removals.deleted_cameras, *view.removals.cameras_under_way, *at_work}
    paths = sorted((task.data_dir / "node").glob("*.db"))
    return [path.name for path in paths if _is_id(path.stem) and path.stem not in known]


def _is_id(name: str) -> bool:
    try:
        parse_id(name)
    except InputError:
        return False
    return True
