"""The detectors that run in this process: a YOLOv8 network through ONNX Runtime, and plain motion.

Each belongs to one camera and one thread. `DetectorOpener` builds what a camera asks for and reports what it got.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from iris.adapters.onnx import OnnxSession
from iris.adapters.weights import fallback_sentence
from iris.base.errors import InferenceError
from iris.camera_ports import Detector
from iris.domain.camera import DetectorBackend
from iris.domain.detection import Detections, DetectorReport
from iris.domain.frame import UInt8Array
from iris.ports import Clock
from iris.vision.motion import BOXES_SIZE_PX, MotionBoxes
from iris.vision.postprocess import YoloHead
from iris.vision.preprocess import Letterbox, fit_size, scale_boxes

MOTION_LABEL = "motion"
# The tracker goes on with a track on weak detections; it begins none with them.
SCORE_MIN = 0.1


class YoloDetector:
    """Implements `iris.ports.Detector` with a YOLOv8 network; sizes and names come from its file.

    Args:
        session: The loaded network.
        wanted: Names of the classes to report; unknown names are ignored (see `unknown_of`).

    Raises:
        InferenceError: The file is no YOLOv8 detection network, or its first run failed.
    """

    def __init__(self, session: OnnxSession, wanted: Sequence[str]) -> None:
        self._session = session
        self._names = _class_names(session.metadata)
        self._input_px = _input_size(session)
        self._head = YoloHead(
            class_names=self._names,
            wanted_ids=tuple(index for index, name in enumerate(self._names) if name in set(wanted)),
            score_min=SCORE_MIN,
        )
        self._placement = Letterbox(self._input_px, self._input_px)
        self._tensor = self._placement.new_tensor()
        # The first run allocates and, on a GPU, picks its kernels: not on the first person's account.
        self.detect(np.zeros((self._input_px[1], self._input_px[0], 3), np.uint8))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes it can see."""
        return self._names

    @property
    def input_size_px(self) -> tuple[int, int]:
        """(width, height) of the network's input."""
        return self._input_px

    def unknown_of(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Names that this network cannot see."""
        return tuple(name for name in wanted if name not in self._names)

    def detect(self, rgb: UInt8Array) -> Detections:
        """Detect in a (H, W, 3) uint8 RGB picture; boxes in pixels of that picture.

        Raises:
            InferenceError: The network failed.
        """
        size = (rgb.shape[1], rgb.shape[0])
        fitted = fit_size(size, self._input_px)
        if fitted != size:
            rgb = np.asarray(cv2.resize(rgb, fitted, interpolation=cv2.INTER_LINEAR), np.uint8)
        if self._placement.image_px != fitted:
            self._placement = Letterbox(fitted, self._input_px)
            self._tensor = self._placement.new_tensor()
        self._placement.fill(rgb, self._tensor)
        output = self._session.run(self._tensor)[0]
        try:
            found = self._head.read(output, self._placement)
        except ValueError as error:
            raise InferenceError(f"the model is no YOLOv8 detection network: {error}") from error
        return replace(found, boxes_xyxy=scale_boxes(found.boxes_xyxy, fitted, size))


class MotionDetector:
    """Implements `iris.ports.Detector` without a network: what moves is one object of the class `motion`.

    Keeps the empty scene in mind, so pictures come in order and from one camera. Ignores trigger classes.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._boxes = MotionBoxes()
        self._last_us: int | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Only `motion`."""
        return (MOTION_LABEL,)

    @property
    def input_size_px(self) -> tuple[int, int]:
        """(width, height) at which motion is looked for."""
        return BOXES_SIZE_PX

    def detect(self, rgb: UInt8Array) -> Detections:
        """Where a (H, W, 3) uint8 RGB picture differs from the empty scene; boxes in pixels of that picture."""
        now_us = self._clock.monotonic_us()
        elapsed_us = 0 if self._last_us is None else now_us - self._last_us
        self._last_us = now_us
        luma = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)
        boxes = self._boxes.update(luma, elapsed_us)
        return Detections(boxes, np.ones(len(boxes), np.float32), np.zeros(len(boxes), np.int32), self.class_names)


@dataclass(frozen=True, slots=True)
class DetectorOpener:
    """Builds the detector of one camera and says what it became.

    Attributes:
        backend: What the camera asks for.
        model_path: The YOLO file; needed for `onnx` and `cpu`.
        device: `cuda` or `cpu`; the backend `cpu` overrides it.
        wanted: The trigger classes.
        clock: For the motion backend.
    """

    backend: DetectorBackend
    model_path: Path | None
    device: str
    wanted: tuple[str, ...]
    clock: Clock

    def open(self) -> tuple[Detector | None, DetectorReport]:
        """Load what is asked for; without the model's file, motion detection with a sentence that says so.

        Raises:
            InferenceError: The file is there and cannot be used.
        """
        if self.backend is DetectorBackend.NONE:
            return None, DetectorReport(backend=DetectorBackend.NONE.value)
        sentence = fallback_sentence(self.backend, self.model_path)
        if self.backend is DetectorBackend.MOTION or sentence or self.model_path is None:
            return MotionDetector(self.clock), DetectorReport(
                backend=DetectorBackend.MOTION.value,
                device="cpu",
                sentence=sentence or "motion detection: no model looks at the pictures, trigger classes are ignored",
            )
        device = "cpu" if self.backend is DetectorBackend.CPU else self.device
        session = OnnxSession(self.model_path, device=device)
        detector = YoloDetector(session, self.wanted)
        return detector, DetectorReport(
            backend=self.backend.value,
            device=session.device,
            onnx_providers=session.providers,
            sentence=". ".join(filter(None, (session.sentence, _unknown_sentence(detector.unknown_of(self.wanted))))),
        )


def _unknown_sentence(unknown: tuple[str, ...]) -> str:
    return f"the model does not know the trigger classes {', '.join(unknown)}" if unknown else ""


def _class_names(metadata: dict[str, str]) -> tuple[str, ...]:
    """The names that Ultralytics' exporter wrote into the file, a Python dict of index to name."""
    try:
        names = ast.literal_eval(metadata["names"])
        return tuple(str(names[index]) for index in range(len(names)))
    except (KeyError, ValueError, SyntaxError, TypeError) as error:
        raise InferenceError("the model carries no class names; export it with Ultralytics' ONNX exporter") from error


def _input_size(session: OnnxSession) -> tuple[int, int]:
    """(width, height) of the input: the file's, or of its metadata where the file leaves it open."""
    shape = session.input_shape
    if len(shape) != 4 or shape[0] not in (1, None) or shape[1] != 3:
        raise InferenceError(f"the model takes an input of {shape}, expected (1, 3, height, width)")
    height, width = shape[2], shape[3]
    if height is None or width is None:
        try:
            height, width = (int(size) for size in ast.literal_eval(session.metadata["imgsz"]))
        except (KeyError, ValueError, SyntaxError, TypeError) as error:
            raise InferenceError("the model leaves its input size open and carries no imgsz") from error
    return width, height
