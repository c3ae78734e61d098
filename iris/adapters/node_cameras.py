"""`DATA_DIR/node/cameras.db`: the node's own last known copy of its cameras, so that recording needs no database.

Addresses stay sealed in it (the same bytes as in the main database). The node alone writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from iris.adapters.media_files import translated
from iris.base.errors import StorageError
from iris.base.ids import CameraId
from iris.base.log import get_logger
from iris.base.sqlite import connect, is_damage, storage_errors
from iris.domain.camera import CameraSpec, DetectorBackend

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cameras (
  camera_id TEXT PRIMARY KEY, version INTEGER NOT NULL, spec TEXT NOT NULL,
  rtsp_url_sealed BLOB NOT NULL, detect_url_sealed BLOB
) STRICT;
"""

_ASIDE = ".damaged"


@dataclass(frozen=True, slots=True)
class SealedCamera:
    """A camera as the database has it: spec without addresses, addresses sealed."""

    version: int
    spec: CameraSpec
    rtsp_url_sealed: bytes = field(repr=False)
    detect_url_sealed: bytes | None = field(default=None, repr=False)

    def opened(self, unseal: Callable[[bytes, str], str]) -> CameraSpec:
        """The spec with its addresses in clear, for the camera's own process only.

        Args:
            unseal: Opens a sealed address of a camera id (`AddressVault.open`).
        """
        values = _spec_values(self.spec)
        values["rtsp_url"] = unseal(self.rtsp_url_sealed, self.spec.camera_id)
        if self.detect_url_sealed is not None:
            values["detect_url"] = unseal(self.detect_url_sealed, self.spec.camera_id)
        return _spec(values)


def _spec_values(spec: CameraSpec) -> dict[str, object]:
    return {name: getattr(spec, name) for name in CameraSpec.__slots__}


def _spec(values: dict[str, object]) -> CameraSpec:
    values["detector_backend"] = DetectorBackend(cast("str", values["detector_backend"]))
    values["trigger_classes"] = tuple(cast("list[str]", values["trigger_classes"]))
    return CameraSpec(**values)  # type: ignore[arg-type]  # built from the fields of CameraSpec itself


class NodeCameras:
    """Reads and replaces the copy; one thread."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it; a damaged one is set aside, since it is but a copy.

        Raises:
            StorageError: It cannot be opened.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        try:
            self._open()
        except StorageError as error:
            if not is_damage(error):
                raise
            get_logger().error("the copy of the cameras is set aside, the database tells them", reason=str(error))
            with translated(f"set {path.name} aside"):
                for file in path.parent.glob(f"{path.name}*"):
                    if not file.name.endswith(_ASIDE):
                        file.replace(file.with_name(file.name + _ASIDE))
            self._open()

    def _open(self) -> None:
        with storage_errors(self._path):
            self._connection = connect(self._path)
            self._connection.executescript(_SCHEMA)

    def load(self) -> dict[CameraId, SealedCamera]:
        """The last known cameras.

        Raises:
            StorageError: They cannot be read.
        """
        with storage_errors(self._path):
            rows = self._connection.execute(
                "SELECT version, spec, rtsp_url_sealed, detect_url_sealed FROM cameras"
            ).fetchall()
        cameras = [SealedCamera(version, _spec(json.loads(spec)), a, b) for version, spec, a, b in rows]
        return {camera.spec.camera_id: camera for camera in cameras}

    def replace(self, cameras: dict[CameraId, SealedCamera]) -> None:
        """Make the copy equal to `cameras`, in one transaction.

        Raises:
            StorageError: It could not be written; the copy is as it was.
        """
        rows = [
            (camera_id, c.version, json.dumps(_spec_values(c.spec)), c.rtsp_url_sealed, c.detect_url_sealed)
            for camera_id, c in cameras.items()
        ]
        with storage_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.execute("DELETE FROM cameras")
                self._connection.executemany("INSERT INTO cameras VALUES (?, ?, ?, ?, ?)", rows)
                self._connection.execute("COMMIT")
            except BaseException:
                # A failed COMMIT (disk full) may or may not have ended the transaction by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
