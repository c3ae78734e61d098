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
    from iris.contracts.camera_removal import (
        CameraEventsPage,
        CameraRemains,
        CameraRemovalStart,
        CameraSurvey,
        EntombedRows,
        KnownEvents,
        NodeEvents,
        RemovalEnd,
        RemovalPlan,
        SurveyNote,
    )
    from iris.contracts.events import (
        AssembleClip,
        ClipResult,
        EventMessage,
        EventRef,
        FinaliseEvent,
        RecordedEvent,
        ThumbnailResult,
    )
    from iris.contracts.operations import OperationEnd, OperationProgress
    from iris.contracts.removal import (
        BurialPlace,
        BuriedEvents,
        EntombedPage,
        EventDeletionStart,
        PurgedFiles,
        RemovedEvents,
    )
    from iris.contracts.retention import EvictedEvents, EvictEvents, RetentionNodes, RetentionStart
    from iris.domain.event import OpenEvent
    from iris.domain.operation import OperationTask, WorkflowReport
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
        """When the camera's first run began, or the first try where it never recorded; None where it never ran."""
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
        """Whether a workflow of this event runs or has seen it through; one that was ended from outside has not.

        Raises:
            UnavailableError: Try again later.
        """
        ...


class OperationStarter(Protocol):
    """Starts the workflow of an operation, whose row is committed already."""

    async def start(self, task: OperationTask) -> None:
        """Start it; returns when acknowledged, or when a workflow of that id exists or existed.

        Raises:
            UnavailableError: Try again later.
            InputError: It will never be accepted.
            ConfigError: Temporal lets nobody in (permission, namespace).
        """
        ...

    async def report(self, workflow_id: str) -> WorkflowReport:
        """What became of a workflow.

        Raises:
            UnavailableError, ConfigError: As `start`.
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


class OperationRecords(Protocol):
    """The operations of the main database, as activities need them (implemented by `iris.store`)."""

    def progress(self, report: OperationProgress) -> None:
        """It runs, and so far did this; a finished one stays as it is."""
        ...

    def finish(self, end: OperationEnd) -> None:
        """Its end, once; a second call changes nothing."""
        ...


class EventRemovals(Protocol):
    """Removed events of the main database, as activities need them (implemented by `iris.store`)."""

    def entomb_page(self, start: EventDeletionStart) -> EntombedPage:
        """Remove the rows of the next page of what an event deletion selects, and leave tombstones."""
        ...

    def waiting_nodes(self, operation_id: str) -> tuple[str, ...]:
        """Nodes that may hold files of events which an operation removed."""
        ...

    def waiting_files(self, place: BurialPlace) -> RemovedEvents:
        """A page of removed events whose files may still be on a node."""
        ...

    def bury(self, buried: BuriedEvents) -> None:
        """Their files are gone for good; idempotent."""
        ...


class EventFiles(Protocol):
    """Files of events on one node (implemented by adapters)."""

    def purge(self, removed: RemovedEvents, progress: ProgressSink) -> PurgedFiles:
        """Remove every file of these events, for good; idempotent, durable."""
        ...


class CameraRemovalRecords(Protocol):
    """Removals of cameras in the main database, as activities need them (implemented by `iris.store`)."""

    def begin(self, start: CameraRemovalStart) -> RemovalPlan:
        """Whose turn it is, and which nodes may hold something of the camera."""
        ...

    def note_survey(self, note: SurveyNote) -> None:
        """Keep what was found on a node; what was kept before stays."""
        ...

    def entomb_known(self, known: KnownEvents) -> None:
        """Tombstones for events that a node knows and that have no row."""
        ...

    def entomb_page(self, start: CameraRemovalStart) -> EntombedRows:
        """Remove the next rows of the camera's events, whatever their state; leave tombstones, count."""
        ...

    def finish(self, start: CameraRemovalStart) -> RemovalEnd:
        """End it with its certificate unless rows are left; a second call answers the same."""
        ...


class CameraSwitch(Protocol):
    """Whether a node runs a camera (implemented by the node)."""

    def stop(self, camera_id: str) -> None:
        """Return when no process of the camera lives and none can be started; blocking.

        Raises:
            UnavailableError: The database still wants it, or a process has not ended yet; try again.
        """
        ...

    def resume(self, camera_id: str) -> None:
        """Look at the database now: the camera may run again."""
        ...


class CameraFootage(Protocol):
    """Everything of one camera on a node's disk; its process has ended."""

    def survey(self, camera_id: str, progress: ProgressSink) -> CameraSurvey:
        """Count what is there; removes nothing."""
        ...

    def events(self, page: CameraEventsPage) -> NodeEvents:
        """A page of the events that the camera's own file knows."""
        ...

    def purge(self, camera_id: str, progress: ProgressSink) -> None:
        """Remove all of it, for good; idempotent."""
        ...

    def remains(self, camera_id: str) -> CameraRemains:
        """What is still there."""
        ...


class RetentionRecords(Protocol):
    """Retention's side of the main database, as activities need it (implemented by `iris.store`)."""

    def plan(self, start: RetentionStart) -> RetentionNodes:
        """Which nodes have something to do; reads only."""
        ...


class EventEvictor(Protocol):
    """Removes events of one node by age and for space (implemented by `iris.pipeline`)."""

    def run(self, request: EvictEvents, progress: ProgressSink) -> EvictedEvents:
        """One pass, or the next part of a long one; idempotent."""
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

    def discard(self, ref: EventRef) -> None:
        """Remove every file of an event that was removed meanwhile, then release it."""
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
