"""Scripted cameras: each connection plays a list of packets, moves the clock, and ends as told."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from iris.base.errors import CameraError, CameraUnreachableError
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from tests.fakes.clock import SimulatedClock


@dataclass(frozen=True, slots=True)
class Streams:
    """From here on the source has these streams."""

    streams: tuple[CodecParams, ...]


@dataclass(slots=True)
class Wait:
    """The source sends nothing until `go` is set or it is closed."""

    reached: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Elapse:
    """Time passes without a packet."""

    seconds: float


Step = EncodedPacket | Streams | Wait | Elapse | CameraError


class ScriptedSource:
    """Implements `iris.ports.PacketSource`; the clock passes with the pictures' time."""

    def __init__(self, streams: tuple[CodecParams, ...], steps: Sequence[Step], clock: SimulatedClock) -> None:
        self._streams = streams
        self._steps = steps
        self._clock = clock
        self._closed = threading.Event()

    @property
    def streams(self) -> tuple[CodecParams, ...]:
        return self._streams

    def packets(self) -> Iterator[EncodedPacket]:
        for step in self._steps:
            if self._closed.is_set():
                return
            if isinstance(step, CameraError):
                raise step
            if isinstance(step, Streams):
                self._streams = step.streams
            elif isinstance(step, Elapse):
                self._clock.advance_s(step.seconds)
            elif isinstance(step, Wait):
                step.reached.set()
                while not step.go.wait(0.01) and not self._closed.is_set():
                    pass
            else:
                yield step
                if step.kind is MediaKind.VIDEO:
                    self._clock.advance_us(step.duration * 1_000_000 // step.time_base.denominator)
        raise CameraUnreachableError("the script is over")

    def close(self) -> None:
        self._closed.set()


class ScriptedOpener:
    """Implements `iris.ports.PacketSourceOpener`: one script after the other, then for ever the last error."""

    def __init__(self, *connections: ScriptedSource | CameraError) -> None:
        self._connections = list(connections)
        self.open_count = 0

    def open(self, url: str) -> ScriptedSource:
        self.open_count += 1
        if not self._connections:
            raise CameraUnreachableError("nobody answers")
        connection = self._connections.pop(0)
        if isinstance(connection, CameraError):
            raise connection
        return connection
