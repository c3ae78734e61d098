from __future__ import annotations

import pytest

from iris.base.errors import ConflictError, InputError, NotFoundError, StoreError
from iris.base.ids import CameraId
from iris.domain.camera import DetectorBackend
from iris.store.cameras import CameraDraft
from iris.store.engine import Store
from tests.builders.events import uuid_of

GATE = CameraId(uuid_of(1, "c"))
DRAFT = CameraDraft(
    name="gate", rtsp_url_sealed=b"\x01\x00sealed", rtsp_url_masked="rtsp://***@192.0.2.1/a",
    trigger_classes=("person", "car"), detector_backend=DetectorBackend.MOTION,
)  # fmt: skip


def test_camera_reads_as_it_was_added(store: Store) -> None:
    with store.writing() as work:
        added = work.cameras.add(GATE, DRAFT, 5)
    with store.reading() as work:
        assert work.cameras.get(GATE) == added
    assert (added.version, added.created_us, added.updated_us) == (1, 5, 5)
    assert {name: getattr(added, name) for name in CameraDraft.__slots__} == {
        name: getattr(DRAFT, name) for name in CameraDraft.__slots__
    }


def test_camera_repr_holds_no_sealed_address(store: Store) -> None:
    with store.writing() as work:
        assert "sealed'" not in repr(work.cameras.add(GATE, DRAFT, 5))


def test_add_refuses_when_the_id_exists(store: Store) -> None:
    with store.writing() as work:
        work.cameras.add(GATE, DRAFT, 5)
        with pytest.raises(ConflictError):
            work.cameras.add(GATE, DRAFT, 6)


def test_update_raises_the_version_only_when_a_value_changed(store: Store) -> None:
    with store.writing() as work:
        work.cameras.add(GATE, DRAFT, 5)
        same = work.cameras.update(GATE, {"name": "gate", "trigger_classes": ("person", "car")}, 6)
        assert (same.version, same.updated_us) == (1, 5)
        changed = work.cameras.update(GATE, {"trigger_classes": ("person",), "detector_backend": None}, 7)
        assert (changed.version, changed.updated_us) == (2, 7)
        assert (changed.trigger_classes, changed.detector_backend, changed.name) == (("person",), None, "gate")
        assert work.cameras.set_enabled(GATE, enabled=False, now_us=8).version == 3
        assert work.cameras.get(GATE).enabled is False


def test_missing_camera_is_not_found(store: Store) -> None:
    with store.writing() as work:
        with pytest.raises(NotFoundError):
            work.cameras.get(GATE)
        with pytest.raises(NotFoundError):
            work.cameras.update(GATE, {"name": "x"}, 1)
        with pytest.raises(NotFoundError):
            work.cameras.delete(GATE)


def test_deleted_camera_is_gone(store: Store) -> None:
    with store.writing() as work:
        work.cameras.add(GATE, DRAFT, 5)
        work.cameras.delete(GATE)
        assert work.cameras.all() == []


def test_pages_show_every_camera_once_when_followed(store: Store) -> None:
    ids = [CameraId(uuid_of(number, "c")) for number in range(1, 6)]
    with store.writing() as work:
        for camera_id in reversed(ids):
            work.cameras.add(camera_id, DRAFT, 5)
    seen, cursor, pages = [], None, 0
    with store.reading() as work:
        while pages == 0 or cursor is not None:
            rows, cursor = work.cameras.page(limit=2, cursor=cursor)
            seen += [row.camera_id for row in rows]
            pages += 1
    assert (seen, pages) == (ids, 3)


@pytest.mark.parametrize("cursor", ["x", "", "MTox", "9" * 300, "é"])
def test_page_refuses_when_the_cursor_is_foreign(store: Store, cursor: str) -> None:
    with store.reading() as work, pytest.raises(InputError, match="cursor"):
        work.cameras.page(cursor=cursor)


@pytest.mark.parametrize(
    "patch",
    [{"name": ""}, {"detect_conf": 1.0}, {"detect_fps": 31.0}, {"pre_seconds": -1.0}, {"recording_mode": "always"}],
)
def test_database_refuses_when_a_value_breaks_its_check(store: Store, patch: object) -> None:
    with store.writing() as work:
        work.cameras.add(GATE, DRAFT, 5)
    with pytest.raises(StoreError), store.writing() as work:
        work.cameras.update(GATE, patch, 6)  # type: ignore[arg-type]  # wrong on purpose
    with store.reading() as work:
        assert work.cameras.get(GATE).version == 1
