from pathlib import Path

import pytest

from iris.adapters.weights import effective_backend, read_manifest, weights_sentence
from iris.base.errors import ConfigError
from iris.domain.camera import DetectorBackend
from tests.assets import model

MODELS_DIR = Path(__file__).resolve().parents[3] / "models"


def test_manifest_names_the_files_that_the_tests_use() -> None:
    manifest = read_manifest(MODELS_DIR)
    assert {entry.name for entry in manifest} >= {"yolov8n.onnx", "yolov8n_static_640x384.onnx"}
    for name in ("yolov8n_int8.onnx", "yolov8n_static_640x384.onnx"):
        assert weights_sentence(model(name), manifest) == ""
    assert all(entry.licence and entry.source for entry in manifest)


def test_weights_are_noted_when_they_are_others_than_the_manifest_says(tmp_path: Path) -> None:
    manifest = read_manifest(MODELS_DIR)
    for name, expected in (("yolov8n_int8.onnx", "another file"), ("own.onnx", "not in the manifest")):
        (tmp_path / name).write_bytes(b"mine")
        assert expected in weights_sentence(tmp_path / name, manifest)


@pytest.mark.parametrize("text", ["not toml", "[[weights]]\nname = 'x'", "weights = 3"])
def test_manifest_is_refused_with_its_path_when_unreadable(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"manifest\.toml"):
        read_manifest(tmp_path)


def test_manifest_may_be_absent(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) == ()


def test_backend_falls_back_to_motion_only_where_a_model_is_needed_and_absent(tmp_path: Path) -> None:
    missing, there = tmp_path / "no.onnx", tmp_path / "yes.onnx"
    there.touch()
    assert effective_backend(DetectorBackend.ONNX, there) == (DetectorBackend.ONNX, "")
    assert effective_backend(DetectorBackend.NONE, missing) == (DetectorBackend.NONE, "")
    assert effective_backend(DetectorBackend.MOTION, None) == (DetectorBackend.MOTION, "")
    backend, sentence = effective_backend(DetectorBackend.CPU, missing)
    assert backend is DetectorBackend.MOTION
    assert "no.onnx" in sentence
