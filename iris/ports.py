"""Every port of Iris: small protocols named by role. Adapters implement them, fakes stand in for tests.

Values that cross are of `iris.domain` or `iris.contracts`; errors are of `iris.base.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

# Ports are types: naming one loads nothing, so that a process that only starts others stays light.
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from iris.base.ids import CameraId
    from iris.contracts.events import (
        AssembleClip,
        ClipResult,
        EventMessage,
        EventRef,
        FinaliseEvent,
        RecordedEvent,
        ThumbnailResult,
    )
    from iris.domain.detection import Detections
    from iris.domain.event import OpenEvent
    from iris.domain.frame import Frame, UInt8Array
    from iris.domain.packet import CodecParams, EncodedPacket
    from iris.domain.segment import Gap, GapReason, RunStart, Segment
    from iris.domain.status import CameraStatus, GpuMemory, NodeFacts
    from iris.domain.track import Track


class Clock(Protocol):
    """The only source of time."""

    def wall_us(self) -> int:
        """Wall time, microseconds UTC; may step."""
        ...

    def monotonic_us(self) -> int:
        """Monotonic time in microseconds; never steps."""
        ...


class IdSource(Protocol):
    """Mints ids."""

    def new_id(self) -> str:
        """A new uuid7 string."""
        ...


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


class SegmentIndexReader(Protocol):
    """What the node reads of a camera's own file; a camera that never recorded reads as empty."""

    def segments_between(self, camera_id: CameraId, start_us: int, end_us: int) -> list[Segment]:
        """Durable segments that overlap the span, by start."""
        ...

    def gaps_between(self, camera_id: CameraId, start_us: int, end_us: int) -> list[Gap]:
        """Gaps that overlap the span, by start; an open gap has `end_us` None."""
        ...

    def newest_end_us(self, camera_id: CameraId) -> int | None:
        """End of the newest durable segment."""
        ...

    def first_start_us(self, camera_id: CameraId) -> int | None:
        """When the camera's first run began; None where it never recorded."""
        ...


class OutboxReader(Protocol):
    """What the node reads of a camera's outbox."""

    def camera_ids(self) -> list[CameraId]:
        """Cameras that have a file on this node, running or not."""
        ...

    def rows_after(self, camera_id: CameraId, row_id: int, limit: int) -> list[tuple[int, EventMessage]]:
        """Rows with an id above `row_id`, oldest first, as (row id, message)."""
        ...

    def rows_of_event(self, camera_id: CameraId, event_id: str) -> list[tuple[int, EventMessage]]:
        """All rows of one event, oldest first."""
        ...

    def open_event(self, camera_id: CameraId) -> OpenEvent | None:
        """The event that the camera process holds open, if any."""
        ...


class WorkflowStarter(Protocol):
    """Hands an outbox row over to Temporal."""

    async def deliver(self, message: EventMessage) -> None:
        """Signal-with-start of `event:<id>`; returns when acknowledged or when the event is already done.

        Raises:
            UnavailableError: Try again later.
            InputError: It will never be accepted (dead letter).
            ConfigError: Nobody's messages are accepted (permission, namespace); the relay stops and says so.
        """
        ...

    async def knows(self, event_id: str) -> bool:
        """Whether a workflow of this event exists (running or closed).

        Raises:
            UnavailableError: Try again later.
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


class EventRecords(Protocol):
    """The events of the main database, as activities need them (implemented by `iris.store`)."""

    def record(self, message: EventMessage) -> RecordedEvent:
        """Insert or update; never leaves a terminal state, never lowers a sequence number."""
        ...

    def finalise(self, request: FinaliseEvent) -> RecordedEvent:
        """Terminal state with clip rows and gaps, once."""
        ...


class ClipWorkshop(Protocol):
    """Files of one node, as activities need them (implemented by adapters, built by wiring)."""

    def settled(self, request: AssembleClip) -> bool:
        """Whether nothing more can come for the window: its end is durable, or known to be missing."""
        ...

    def assemble(self, request: AssembleClip, progress: ProgressSink) -> ClipResult:
        """Assemble, verify, publish."""
        ...

    def publish_thumbnail(self, ref: EventRef) -> ThumbnailResult:
        """Best shot to its final place."""
        ...

    def release(self, ref: EventRef) -> None:
        """Unlink pins; mark the event terminal for the relay."""
        ...

    def close_abandoned(self, ref: EventRef) -> EventMessage | None:
        """The closing message of an event nobody holds any more; None while it is held open."""
        ...


class ProgressSink(Protocol):
    """Takes word of progress; raises where the work was cancelled."""

    def __call__(self, step: str, done: int, total: int) -> None:
        """`done` of `total` of a named step."""
        ...


class FrameSink(Protocol):
    """Takes the newest picture for viewers."""

    def publish(self, frame: Frame) -> None:
        """Replace the newest picture; cheap when nobody watches."""
        ...


class NodeLink(Protocol):
    """The api's door to a node."""

    async def camera_status(self) -> Sequence[CameraStatus]:
        """Live status of all cameras of the node.

        Raises:
            UnavailableError: The node does not answer.
        """
        ...

    async def snapshot(self, camera_id: CameraId) -> bytes:
        """Newest picture as JPEG.

        Raises:
            NotFoundError: The camera runs on no process here or has no picture yet.
            UnavailableError: The node does not answer.
        """
        ...

    async def changed(self) -> None:
        """Best effort word that the cameras in the database changed; never raises."""
        ...

    async def facts(self) -> NodeFacts:
        """What the node says of its detector and outbox.

        Raises:
            UnavailableError: The node does not answer.
        """
        ...


class AddressVault(Protocol):
    """Seals camera addresses for the database; `context` is the camera's id, sealed with them."""

    def seal(self, text: str, context: str) -> bytes:
        """Encrypt for one context."""
        ...

    def open(self, sealed: bytes, context: str) -> str:
        """Decrypt what was sealed for the same context.

        Raises:
            ConfigError: Another key or context sealed it, or it is damaged.
        """
        ...


class TemporalProbe(Protocol):
    """Asks Temporal for a sign of life."""

    async def answers(self) -> bool:
        """Whether Temporal serves requests now; bounded in time, never raises."""
        ...


class GpuProbe(Protocol):
    """Asks the driver about the GPU."""

    def memory(self) -> GpuMemory | None:
        """Memory of the first GPU, None where there is none; may block for seconds."""
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
