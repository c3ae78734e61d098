"""Rows of cameras. Addresses are sealed before they come here and unsealed after they leave."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, TypedDict

from sqlalchemy import Connection, Row, delete, select, update

from iris.base.errors import ConflictError, NotFoundError
from iris.base.ids import CameraId, NodeId
from iris.domain.camera import DetectorBackend
from iris.store.cursors import check_limit, decode_cursor, encode_cursor
from iris.store.statements import insert
from iris.store.tables import cameras

_STAYS = cameras.c.deleting_us.is_(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraDraft:
    """What a new camera is made of. All durations in seconds; `node_id` None means the only node there is."""

    name: str
    rtsp_url_sealed: bytes = field(repr=False)
    rtsp_url_masked: str
    detect_url_sealed: bytes | None = field(default=None, repr=False)
    detect_url_masked: str | None = None
    node_id: NodeId | None = None
    enabled: bool = True
    recording_mode: str = "track"
    trigger_classes: tuple[str, ...] = ("person",)
    detect_conf: float = 0.5
    detect_fps: float = 5.0
    pre_seconds: float = 5.0
    post_seconds: float = 10.0
    trigger_cooldown: float = 15.0
    detector_backend: DetectorBackend | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraRow(CameraDraft):
    """A camera as the database has it. `version` rises with each change; times are wall time in microseconds.

    `deleting_us`, `purging_us`: since when it is being deleted, or its old footage removed; it does not run then.
    """

    camera_id: CameraId
    created_us: int
    updated_us: int
    version: int
    deleting_us: int | None = None
    purging_us: int | None = None
    address_count: int = 1


class CameraPatch(TypedDict, total=False):
    """Changes to a camera; what is left out stays. None is a value where the column can be null."""

    name: str
    rtsp_url_sealed: bytes
    rtsp_url_masked: str
    detect_url_sealed: bytes | None
    detect_url_masked: str | None
    node_id: NodeId | None
    enabled: bool
    recording_mode: str
    trigger_classes: tuple[str, ...]
    detect_conf: float
    detect_fps: float
    pre_seconds: float
    post_seconds: float
    trigger_cooldown: float
    detector_backend: DetectorBackend | None
    purging_us: int | None
    address_count: int


class CameraRepository:
    """Cameras over one connection in a transaction; never commits. A camera that is being deleted is not there."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, camera_id: CameraId, draft: CameraDraft, now_us: int) -> CameraRow:
        """Insert a camera with version 1.

        Raises:
            ConflictError: There is a camera of this id.
        """
        values = _columns(asdict(draft))
        statement = insert(self._connection, cameras).values(
            **values, camera_id=camera_id, created_us=now_us, updated_us=now_us, version=1
        )
        made = statement.on_conflict_do_nothing().returning(cameras.c.camera_id)
        if self._connection.execute(made).first() is None:
            raise ConflictError(f"camera {camera_id} exists already")
        return self.get(camera_id)

    def get(self, camera_id: CameraId) -> CameraRow:
        """One camera.

        Raises:
            NotFoundError: There is none of this id.
        """
        return _domain(self._row(camera_id, lock=False))

    def lock(self, camera_id: CameraId) -> CameraRow:
        """One camera that nobody else changes until this transaction ends.

        Raises:
            NotFoundError: There is none of this id.
        """
        return _domain(self._row(camera_id, lock=True))

    def page(self, *, limit: int = 100, cursor: str | None = None) -> tuple[list[CameraRow], str | None]:
        """A page of cameras, oldest first, and the cursor of the next page (None at the end).

        Raises:
            InputError: `limit` or `cursor` is not acceptable.
        """
        check_limit(limit)
        query = select(cameras).where(_STAYS).order_by(cameras.c.camera_id).limit(limit + 1)
        if cursor is not None:
            query = query.where(cameras.c.camera_id > decode_cursor(cursor)[1])
        rows = [_domain(row) for row in self._connection.execute(query)]
        more = len(rows) > limit
        rows = rows[:limit]
        return rows, encode_cursor(rows[-1].created_us, rows[-1].camera_id) if more else None

    def all(self) -> list[CameraRow]:
        """Every camera, oldest first; a system has hundreds, not millions."""
        query = select(cameras).where(_STAYS).order_by(cameras.c.camera_id)
        return [_domain(row) for row in self._connection.execute(query)]

    def update(self, camera_id: CameraId, patch: CameraPatch, now_us: int) -> CameraRow:
        """Apply changes; the version rises only where a value really changed.

        Raises:
            NotFoundError: There is no such camera.
        """
        row = self._row(camera_id, lock=True)
        changed = {name: value for name, value in _columns(dict(patch)).items() if row._mapping[name] != value}
        if not changed:
            return _domain(row)
        self._connection.execute(
            update(cameras)
            .where(cameras.c.camera_id == camera_id)
            .values(**changed, updated_us=max(now_us, row.updated_us), version=row.version + 1)
        )
        return self.get(camera_id)

    def set_enabled(self, camera_id: CameraId, *, enabled: bool, now_us: int) -> CameraRow:
        """Switch a camera on or off.

        Raises:
            NotFoundError: There is no such camera.
        """
        return self.update(camera_id, {"enabled": enabled}, now_us)

    def mark_deleting(self, camera_id: CameraId, now_us: int) -> None:
        """From now on it is in no list and does not run; what is left to do is an operation's."""
        self._connection.execute(
            update(cameras)
            .where(cameras.c.camera_id == camera_id)
            .values(deleting_us=now_us, updated_us=now_us, version=cameras.c.version + 1)
        )

    def delete(self, camera_id: CameraId) -> None:
        """Remove the row, also of one that is being deleted; events and files of the camera are not touched.

        Raises:
            NotFoundError: There is no such camera.
        """
        if self._connection.execute(delete(cameras).where(cameras.c.camera_id == camera_id)).rowcount != 1:
            raise NotFoundError(f"there is no camera {camera_id}")

    def _row(self, camera_id: CameraId, *, lock: bool) -> Row[Any]:
        query = select(cameras).where(cameras.c.camera_id == camera_id, _STAYS)
        row = self._connection.execute(query.with_for_update() if lock else query).one_or_none()
        if row is None:
            raise NotFoundError(f"there is no camera {camera_id}")
        return row


def _columns(values: dict[str, object]) -> dict[str, object]:
    if "trigger_classes" in values:
        values["trigger_classes"] = json.dumps(values["trigger_classes"])
    backend = values.get("detector_backend")
    if isinstance(backend, DetectorBackend):  # psycopg writes an enum by its name, not its value
        values["detector_backend"] = backend.value
    return values


def _domain(row: Row[Any]) -> CameraRow:
    values = dict(row._mapping)
    values["trigger_classes"] = tuple(json.loads(row.trigger_classes))
    values["detector_backend"] = None if row.detector_backend is None else DetectorBackend(row.detector_backend)
    return CameraRow(**values)
