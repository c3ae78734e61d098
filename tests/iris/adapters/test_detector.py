import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from iris.adapters.detector import DetectorOpener
from iris.base.errors import InferenceError
from iris.camera_ports import Detector
from iris.domain.camera import DetectorBackend
from iris.domain.detection import DetectorReport
from iris.domain.frame import UInt8Array
from tests.assets import film, model
from tests.builders.film_packets import grey_with_box
from tests.fakes.clock import SimulatedClock
from tests.fakes.detection import FakeDetector, one_person

MODELS = ("yolov8n_static_640x384.onnx", "yolov8n_int8.onnx", "yolov8n.onnx")


def opener(
    backend: str = "onnx", path: Path | None = None, *, device: str = "cpu", wanted: tuple[str, ...] = ("person",)
) -> DetectorOpener:
    return DetectorOpener(DetectorBackend(backend), path, device, wanted, SimulatedClock())


def opened(opener: DetectorOpener) -> tuple[Detector, DetectorReport]:
    detector, report = opener.open()
    assert detector is not None
    return detector, report


def group_photo() -> UInt8Array:
    bgr = cv2.imread(str(film("group-photo.jpg")))
    assert bgr is not None
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


@pytest.mark.parametrize(("name", "input_px"), [*zip(MODELS, [(640, 384), (640, 640), (640, 640)], strict=True)])
def test_network_finds_six_people_whatever_its_size_and_precision(name: str, input_px: tuple[int, int]) -> None:
    detector, report = opened(opener(path=model(name)))
    assert detector.input_size_px == input_px
    assert detector.class_names[:2] == ("person", "bicycle")
    assert len(detector.class_names) == 80
    photo = group_photo()
    found = detector.detect(photo)
    sure = found.boxes_xyxy[found.scores >= 0.5]
    assert len(sure) == 6
    assert (sure[:, 2:] <= [photo.shape[1], photo.shape[0]]).all()
    assert report == DetectorReport("onnx", "cpu", ("CPUExecutionProvider",), "")


def test_network_gives_the_same_boxes_when_the_picture_comes_scaled() -> None:
    detector, _ = opened(opener(path=model(MODELS[0])))
    photo = group_photo()
    half = np.asarray(cv2.resize(photo, (photo.shape[1] // 2, photo.shape[0] // 2)), np.uint8)
    big, small = detector.detect(photo), detector.detect(half)
    keep = [np.sort(d.boxes_xyxy[d.scores >= 0.5][:, 0]) for d in (big, small)]
    assert keep[1] * 2 == pytest.approx(keep[0], abs=12)


def test_network_reports_nothing_in_an_empty_picture_and_only_wanted_classes() -> None:
    detector, _ = opened(opener(path=model(MODELS[0])))
    assert detector.detect(grey_with_box(None)).boxes_xyxy.shape == (0, 4)
    ties, report = opened(opener(path=model(MODELS[0]), wanted=("tie", "unicorn")))
    found = ties.detect(group_photo())
    assert {found.class_names[i] for i in found.class_ids} <= {"tie"}
    assert report.sentence == "the model does not know the trigger classes unicorn"


def test_report_says_so_when_cuda_is_asked_for_and_not_to_be_had() -> None:
    _, report = opened(opener(path=model(MODELS[0]), device="cuda"))
    if report.device == "cuda":
        assert report.onnx_providers[0] == "CUDAExecutionProvider"
    else:
        assert report.onnx_providers == ("CPUExecutionProvider",)
        assert report.sentence.startswith("the detector runs on the CPU")


def test_backend_cpu_never_asks_for_cuda() -> None:
    _, report = opened(opener("cpu", model(MODELS[0]), device="cuda"))
    assert report == DetectorReport("cpu", "cpu", ("CPUExecutionProvider",), "")


@pytest.mark.parametrize("backend", ["onnx", "cpu"])
@pytest.mark.parametrize("path", [None, Path("nowhere/yolov8n.onnx")])
def test_motion_stands_in_and_says_so_when_there_is_no_model(backend: str, path: Path | None) -> None:
    detector, report = opened(opener(backend, path))
    assert detector.class_names == ("motion",)
    assert (report.backend, report.device, report.onnx_providers) == ("motion", "cpu", ())
    assert report.sentence.startswith("motion detection: ")


def test_backend_none_has_no_detector() -> None:
    assert opener("none").open() == (None, DetectorReport("none"))


@pytest.mark.parametrize("damage", ["text", "cut", "empty", "other"])
def test_opening_fails_with_a_sentence_when_the_file_is_no_detector(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "yolov8n.onnx"
    if damage == "other":
        shutil.copyfile(model("mobilefacenet.onnx"), path)
    else:
        whole = model(MODELS[0]).read_bytes()
        path.write_bytes({"text": b"<html>404</html>", "cut": whole[: len(whole) // 2], "empty": b""}[damage])
    with pytest.raises(InferenceError, match=r"model"):
        opener(path=path).open()


def test_motion_detector_boxes_what_moves_and_forgets_by_its_clock() -> None:
    clock = SimulatedClock()
    detector, report = opened(DetectorOpener(DetectorBackend.MOTION, None, "cpu", ("person",), clock))
    assert "trigger classes are ignored" in report.sentence
    assert len(detector.detect(grey_with_box(None))) == 0
    clock.advance_s(0.2)
    found = detector.detect(grey_with_box((100, 40, 140, 120)))
    assert found.boxes_xyxy[0] == pytest.approx([100, 40, 140, 120], abs=6)
    assert found.scores.tolist() == [1.0]
    for _ in range(300):
        clock.advance_s(0.2)
        found = detector.detect(grey_with_box((100, 40, 140, 120)))
    assert len(found) == 0


@pytest.mark.parametrize("kind", ["fake", "motion", "onnx"])
def test_every_detector_keeps_to_the_port(kind: str) -> None:
    if kind == "fake":
        detector: Detector = FakeDetector(lambda _: one_person())
    else:
        detector, _ = opened(opener(kind, model(MODELS[0]) if kind == "onnx" else None))
    for size_px in ((640, 360), (1920, 1080), (360, 640)):
        found = detector.detect(grey_with_box((100, 40, 140, 120), size_px))
        assert found.class_names == detector.class_names
        assert found.boxes_xyxy.dtype == np.float32
        assert found.scores.dtype == np.float32
        assert (found.class_ids < len(detector.class_names)).all()
