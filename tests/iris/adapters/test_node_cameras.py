from pathlib import Path

from iris.adapters.node_cameras import NodeCameras, SealedCamera
from iris.base.ids import CameraId
from iris.domain.camera import CameraSpec, DetectorBackend

ID = CameraId("0193b0a0-0000-7000-8000-000000000001")
SPEC = CameraSpec(ID, "gate", "", detector_backend=DetectorBackend.MOTION, trigger_classes=("person",))


def test_cameras_read_back_as_written_after_reopening(tmp_path: Path) -> None:
    NodeCameras(tmp_path / "cameras.db").replace({ID: SealedCamera(3, SPEC, b"sealed", b"sub")})
    assert NodeCameras(tmp_path / "cameras.db").load() == {ID: SealedCamera(3, SPEC, b"sealed", b"sub")}


def test_replace_drops_what_is_no_longer_wanted(tmp_path: Path) -> None:
    cameras = NodeCameras(tmp_path / "cameras.db")
    cameras.replace({ID: SealedCamera(3, SPEC, b"sealed")})
    cameras.replace({})
    assert cameras.load() == {}


def test_opened_spec_holds_the_addresses_and_hides_them_from_repr() -> None:
    camera = SealedCamera(1, SPEC, b"main", b"sub")
    spec = camera.opened(lambda sealed, _camera_id: f"rtsp://user:secret@host/{sealed.decode()}")
    assert (spec.rtsp_url, spec.detect_url) == ("rtsp://user:secret@host/main", "rtsp://user:secret@host/sub")
    assert "secret" not in repr(spec)


def test_damaged_copy_is_set_aside_and_a_new_one_is_made(tmp_path: Path) -> None:
    path = tmp_path / "cameras.db"
    path.write_bytes(b"no database" * 1000)
    cameras = NodeCameras(path)
    assert cameras.load() == {}
    cameras.replace({ID: SealedCamera(3, SPEC, b"sealed")})
    assert set(NodeCameras(path).load()) == {ID}
    assert (tmp_path / "cameras.db.damaged").read_bytes() == b"no database" * 1000
