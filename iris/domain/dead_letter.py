"""A message about an event that Temporal will never accept."""

from __future__ import annotations

from dataclasses import dataclass

from iris.base.ids import CameraId


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One outbox row that was refused for good, with the reason in a sentence; `noted_us` is wall time."""

    event_id: str
    seq: int
    camera_id: CameraId
    reason: str
    noted_us: int
