"""A detector that sees what it is told, and pictures without pixels of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from iris.base.errors import InferenceError
from iris.camera_ports import Detector
from iris.domain.detection import Detections, DetectorReport
from iris.domain.frame import Frame, UInt8Array
from iris.domain.packet import CodecParams, EncodedPacket

PERSON = ("person",)


def one_person(score: float = 0.9) -> Detections:
    """A person in the left half of a 640 x 360 picture."""
    return Detections(
        np.array([[100, 50, 200, 300]], np.float32), np.array([score], np.float32), np.zeros(1, np.int32), PERSON
    )


class FakeDetector:
    """Implements `iris.ports.Detector`: `sees` is asked for each picture; None means that the network fails."""

    def __init__(self, sees: Callable[[UInt8Array], Detections | None]) -> None:
        self._sees = sees
        self.call_count = 0
        self.open_count = 0

    @property
    def class_names(self) -> tuple[str, ...]:
        return PERSON

    @property
    def input_size_px(self) -> tuple[int, int]:
        return 640, 384

    def detect(self, rgb: UInt8Array) -> Detections:
        self.call_count += 1
        found = self._sees(rgb)
        if found is None:
            raise InferenceError("the network failed on cuda")
        return found

    def open(self) -> tuple[Detector | None, DetectorReport]:
        self.open_count += 1
        return self, DetectorReport(backend="onnx", device="cpu", onnx_providers=("CPUExecutionProvider",))


class FakePicture:
    """Implements `iris.ports.Picture`: one shade of grey all over."""

    def __init__(self, wall_us: int, shade: int = 90, size_px: tuple[int, int] = (1920, 1080)) -> None:
        self.wall_us = wall_us
        self.size_px = size_px
        self._shade = shade

    def frame(self) -> Frame:
        return Frame(self.scaled_rgb(self.size_px), self.wall_us, Fraction(1, 1_000_000), self.wall_us)

    def scaled_rgb(self, size_px: tuple[int, int]) -> UInt8Array:
        return np.full((size_px[1], size_px[0], 3), self._shade, np.uint8)

    def luma(self, size_px: tuple[int, int]) -> UInt8Array:
        return np.full((size_px[1], size_px[0]), self._shade, np.uint8)


class FakeDecoder:
    """Implements `iris.ports.FrameDecoder`: a picture for each packet, its first byte is the shade."""

    def __init__(self) -> None:
        self.damaged_count = 0
        self.fed: list[tuple[int, bool]] = []
        self.flush_count = 0

    def decode(self, packet: EncodedPacket, wall_us: int) -> Sequence[FakePicture]:
        self.fed.append((wall_us, False))
        return [FakePicture(wall_us, packet.payload[0])]

    def decode_keyframe(self, packet: EncodedPacket, wall_us: int) -> FakePicture | None:
        self.fed.append((wall_us, True))
        return FakePicture(wall_us, packet.payload[0])

    def flush(self) -> None:
        self.flush_count += 1


class FakeDecoderOpener:
    """Implements `iris.ports.FrameDecoderOpener`; keeps the decoders it opened."""

    def __init__(self) -> None:
        self.decoders: list[FakeDecoder] = []

    def open(self, video: CodecParams) -> FakeDecoder:
        self.decoders.append(FakeDecoder())
        return self.decoders[-1]
