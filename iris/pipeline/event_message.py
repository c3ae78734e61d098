"""The outbox message of an event's state, as its camera knows it."""

from __future__ import annotations

from typing import Final

from iris.adapters.pending import PendingFiles
from iris.contracts.events import EventMessage
from iris.domain.camera import CameraSpec
from iris.domain.event import OpenEvent
from iris.presence.trigger import MOTION_LABEL

MANUAL_LABEL: Final = "manual"


class MessageComposer:
    """Makes messages of one camera's events; complete but for the sequence number, which the outbox mints."""

    def __init__(self, spec: CameraSpec, node_id: str, files: PendingFiles) -> None:
        self._spec = spec
        self._node_id = node_id
        self._files = files

    def __call__(
        self, kind: str, event: OpenEvent, *, window_end_us: int | None = None, end_reason: str | None = None
    ) -> EventMessage:
        """The message of an event as it stands."""
        # A network that is missing is stood in for by motion detection; the label is what really looked.
        looked = next((label for label in (MOTION_LABEL, MANUAL_LABEL) if label in event.labels), None)
        return EventMessage(
            kind=kind,
            event_id=event.event_id,
            camera_id=self._spec.camera_id,
            node_id=self._node_id,
            seq=0,
            started_us=event.started_us,
            last_seen_us=event.last_seen_us,
            window_start_us=event.window_start_us,
            labels=event.labels,
            window_end_us=window_end_us,
            end_reason=end_reason,
            continues=event.continues,
            has_thumbnail=self._files.has_thumbnail(event.event_id),
            backend=looked or self._spec.detector_backend.value,
        )
