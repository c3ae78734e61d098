"""Manual recording: what its camera answers."""

from __future__ import annotations

from dataclasses import dataclass

from iris.domain.event import OpenEvent


@dataclass(frozen=True, slots=True)
class ManualAnswer:
    """What became of a request to start or stop a manual recording.

    `event` is the recording it is about, None where there is none (a stop with nothing to stop). `fresh`: this request
    began it, or ended it (its `last_seen_us` is the end then). `failure` is a sentence where the disk refused it: a
    recording that was to begin does so as soon as the disk takes it, one that was to end goes on.
    """

    event: OpenEvent | None
    fresh: bool = False
    failure: str = ""


@dataclass(frozen=True, slots=True)
class ManualRecording:
    """A manual recording as the node tells of it; times are wall time in microseconds.

    `stops_us`: when it ends by itself. `ended_us`: when it ended, None while it runs. `fresh`: this request did it.
    """

    event_id: str
    started_us: int
    stops_us: int
    ended_us: int | None
    fresh: bool
