"""Ports of a camera process: small protocols named by role; the others are in `iris.ports`.

Adapters implement them, fakes stand in for tests.

Values that cross are of `iris.domain` or `iris.contracts`; errors are of `iris.base.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

# Ports are types: naming one loads nothing, so that a process that only starts others stays light.
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iris.domain.detection import Detections
    from iris.domain.frame import Frame, UInt8Array
    from iris.domain.packet import CodecParams, EncodedPacket
    from iris.domain.segment import GapReason, RunStart, Segment
    from iris.domain.track import Track


class PacketSource(Protocol):
    """One open session with a camera; iterate until it raises a `CameraError` or is closed."""

    @property
    def streams(self) -> tuple[CodecParams, ...]:
        """Parameters of the media streams in use: exactly one video, at most one audio."""
        ...

    def packets(self) -> Iterator[EncodedPacket]:
        """Packets in the order of arrival; ends with `CameraError`, never silently."""
        ...

    def close(self) -> None:
        """Close the connection; idempotent, callable from another thread."""
        ...


class PacketSourceOpener(Protocol):
    """Opens a camera."""

    def open(self, url: str) -> PacketSource:
        """Connect and read the stream description.

        Raises:
            CameraError: With a redacted sentence for people.
        """
        ...


class Detector(Protocol):
    """Finds objects in one frame."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes it can see."""
        ...

    @property
    def input_size_px(self) -> tuple[int, int]:
        """(width, height) that frames are best scaled to before `detect`."""
        ...

    def detect(self, rgb: UInt8Array) -> Detections:
        """Detect in a (H, W, 3) uint8 RGB picture; boxes in pixels of that picture.

        Raises:
            InferenceError: The network failed; recording is not touched by it.
        """
        ...


class FrameSink(Protocol):
    """Takes the newest picture for viewers."""

    def publish(self, frame: Frame) -> None:
        """Replace the newest picture; cheap when nobody watches."""
        ...


class PacketTap(Protocol):
    """Follows the video packets of a camera beside the recorder; must never block its caller."""

    def run_started(self, run: RunStart) -> None:
        """A new run began; decoders are made anew."""
        ...

    def packet(self, packet: EncodedPacket, wall_us: int) -> None:
        """One video packet with the wall time of its PTS."""
        ...

    def run_ended(self, reason: GapReason, sentence: str) -> None:
        """The run is over; `sentence` is for people."""
        ...


class SegmentListener(Protocol):
    """Hears of segments; called on the writer's thread."""

    def segment_published(self, segment: Segment) -> None:
        """The segment is durable (P1) and in the index."""
        ...

    def run_ended(self, end_us: int, reason: GapReason) -> None:
        """No further segment of this run will come; what was recorded reaches to `end_us`."""
        ...


class Picture(Protocol):
    """One decoded picture whose pixels are converted only when asked for.

    Valid while the call lasts that handed it over: keep an array, never the picture (3 MB each at 1080p).
    """

    @property
    def wall_us(self) -> int:
        """When it was taken, wall time in microseconds."""
        ...

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of the source; boxes of tracks are in these pixels."""
        ...

    def frame(self) -> Frame:
        """The picture at full size as RGB."""
        ...

    def scaled_rgb(self, size_px: tuple[int, int]) -> UInt8Array:
        """The whole picture scaled to (width, height), both even, as (H, W, 3) uint8 RGB."""
        ...

    def luma(self, size_px: tuple[int, int]) -> UInt8Array:
        """Brightness scaled to (width, height), as (H, W) uint8."""
        ...


class JpegEncoder(Protocol):
    """Encodes a picture for people."""

    def __call__(self, rgb: UInt8Array) -> bytes:
        """A (H, W, 3) uint8 RGB picture as JPEG."""
        ...


class FrameDecoder(Protocol):
    """Decodes the video packets of one run, in one thread."""

    @property
    def damaged_count(self) -> int:
        """Packets that could not be decoded."""
        ...

    def decode(self, packet: EncodedPacket, wall_us: int) -> Sequence[Picture]:
        """Feed a packet; pictures that came out, in the order of presentation. Damaged data gives none."""
        ...

    def decode_keyframe(self, packet: EncodedPacket, wall_us: int) -> Picture | None:
        """Decode a keyframe by itself; the next packet fed must be a keyframe."""
        ...

    def flush(self) -> None:
        """Forget references after dropped packets; the next packet fed must be a keyframe."""
        ...


class FrameDecoderOpener(Protocol):
    """Opens decoders."""

    def open(self, video: CodecParams) -> FrameDecoder:
        """A decoder for one run.

        Raises:
            CameraStreamError: No decoder for this codec.
        """
        ...


class PresenceObserver(Protocol):
    """Turns tracks into events; called on the detect loop's thread, returns at once."""

    def observe(self, tracks: Sequence[Track], picture: Picture, now_us: int) -> None:
        """Tracks after one analysed picture. `picture.wall_us` is when it was taken, `now_us` the wall time now.

        Call `picture.frame()` only where its pixels are needed (a better best shot): it costs 2 ms at 1080p.
        """
        ...

    def tick(self, now_us: int) -> None:
        """Time passed without a frame (camera away, scene idle); called at least every second."""
        ...
