"""Ports of Iris: small protocols named by role; those of a camera process are in `iris.camera_ports`.

Adapters implement them, fakes stand in for tests.

Values that cross are of `iris.domain` or `iris.contracts`; errors are of `iris.base.errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

# Ports are types: naming one loads nothing, so that a process that only starts others stays light.
if TYPE_CHECKING:
    from collections.abc import Sequence

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
    from iris.domain.event import OpenEvent
    from iris.domain.recording import ManualRecording
    from iris.domain.segment import Gap, Segment
    from iris.domain.status import CameraStatus, GpuMemory, NodeFacts


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

    def open_events(self, camera_id: CameraId) -> list[OpenEvent]:
        """The events that the camera process holds open: a presence, a manual recording."""
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

    async def record(
        self, camera_id: CameraId, action: str, most_seconds: float | None = None
    ) -> ManualRecording | None:
        """`start` or `stop` the manual recording of a camera; durable when this returns. None: nothing to stop.

        Raises:
            NotFoundError: The camera runs on no process here.
            UnavailableError: The node or the camera process does not answer, or its disk refused it.
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
