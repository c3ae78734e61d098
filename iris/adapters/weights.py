"""Weights on disk: the manifest that names them, and what to do when they are not there."""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path

from iris.base.errors import ConfigError
from iris.domain.camera import DetectorBackend

MANIFEST_NAME = "manifest.toml"


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of the manifest.

    `sha256` holds every known good file; it is empty where each exporter run makes another file.
    """

    name: str
    task: str
    size_bytes: int
    sha256: tuple[str, ...]
    licence: str
    source: str


def read_manifest(models_dir: Path) -> tuple[Weights, ...]:
    """The weights that `manifest.toml` names; none where there is no manifest.

    Raises:
        ConfigError: The manifest cannot be read.
    """
    path = models_dir / MANIFEST_NAME
    try:
        entries = tomllib.loads(path.read_text("utf-8")).get("weights", [])
        return tuple(
            Weights(
                name=entry["name"],
                task=entry["task"],
                size_bytes=entry["size_bytes"],
                sha256=tuple(entry["sha256"]),
                licence=entry["licence"],
                source=entry["source"],
            )
            for entry in entries
        )
    except FileNotFoundError:
        return ()
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error


def weights_sentence(path: Path, manifest: tuple[Weights, ...]) -> str:
    """What a person should know about a weights file; empty when it is the one of the manifest.

    A file of one's own is welcome, so this is a note, never a refusal.
    """
    known = next((entry for entry in manifest if entry.name == path.name), None)
    if known is None:
        return f"{path.name} is not in the manifest: its licence and origin are yours to know"
    if not known.sha256:
        return ""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return "" if digest in known.sha256 else f"{path.name} is another file than the manifest's"


def fallback_sentence(backend: DetectorBackend, model_path: Path | None) -> str:
    """Why motion detection must stand in for the network that was asked for; empty when it need not."""
    if backend not in (DetectorBackend.ONNX, DetectorBackend.CPU):
        return ""
    if model_path is None:
        return "motion detection: no model is named; put a YOLOv8 ONNX file into MODELS_DIR and set DETECTOR_MODEL"
    if not model_path.is_file():
        return (
            f"motion detection: there is no model file {model_path}; put a YOLOv8 ONNX file there "
            "(see the guide), or set DETECTOR_MODEL"
        )
    return ""


def effective_backend(backend: DetectorBackend, model_path: Path | None) -> tuple[DetectorBackend, str]:
    """The backend that will run for what was asked, with the sentence that says why it differs."""
    sentence = fallback_sentence(backend, model_path)
    return (DetectorBackend.MOTION, sentence) if sentence else (backend, "")
