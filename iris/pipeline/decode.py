"""From packets to pictures, beside the recorder and never in its way.

`PacketQueue` is the door: the ingest thread puts, the analysis thread takes. Its bound is about one GOP; what
goes first is everything up to the next keyframe, counted. `DecodeStage` decodes on the analysis thread what
`iris.media.sampling` decides.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from iris.base.errors import CameraError
from iris.camera_ports import FrameDecoder, FrameDecoderOpener, Picture
from iris.domain.packet import EncodedPacket
from iris.domain.segment import RunStart
from iris.media.sampling import DecodePlan, Step

# Ten seconds at 25 frames a second: the longest GOP that cameras are set to. Decoding a backlog without looking
# at it is five times faster than real time.
QUEUE_MAX_PACKETS = 256
QUEUE_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class TimedPacket:
    """One video packet with the wall time of its PTS."""

    packet: EncodedPacket
    wall_us: int


@dataclass(frozen=True, slots=True)
class PacketsDropped:
    """A hole in the queue: nothing is decodable until the next keyframe, which follows."""


QueueItem = RunStart | TimedPacket | PacketsDropped


class PacketQueue:
    """Hands packets from one thread to another; putting never waits.

    Args:
        max_packets: Bound; beyond it everything queued goes, and packets up to the next keyframe.
        max_bytes: The same for their size.
    """

    def __init__(self, *, max_packets: int = QUEUE_MAX_PACKETS, max_bytes: int = QUEUE_MAX_BYTES) -> None:
        self._max_packets = max_packets
        self._max_bytes = max_bytes
        self._filled = threading.Condition()
        self._items: deque[QueueItem] = deque()
        self._packet_count = 0
        self._bytes = 0
        self._wait_keyframe = True
        self._stirred = False
        self.overflow_count = 0
        self.dropped_count = 0

    def put_run(self, run: RunStart) -> None:
        """A new run: what is queued of the one before is still handed out."""
        with self._filled:
            self._items.append(run)
            self._wait_keyframe = True
            self._filled.notify()

    def put(self, packet: EncodedPacket, wall_us: int) -> None:
        """One packet of the run; dropped until a keyframe came."""
        with self._filled:
            if self._wait_keyframe and not packet.is_keyframe:
                self.dropped_count += 1
                return
            full = self._packet_count >= self._max_packets or self._bytes + len(packet.payload) > self._max_bytes
            if self._packet_count and full:
                self._overflow()
                if not packet.is_keyframe:
                    self.dropped_count += 1
                    return
            self._wait_keyframe = False
            self._items.append(TimedPacket(packet, wall_us))
            self._packet_count += 1
            self._bytes += len(packet.payload)
            self._filled.notify()

    def take_all(self, timeout_s: float) -> list[QueueItem]:
        """Everything queued, in order; waits for something at most `timeout_s`."""
        with self._filled:
            self._filled.wait_for(lambda: bool(self._items) or self._stirred, timeout_s)
            items = list(self._items)
            self._items.clear()
            self._packet_count = self._bytes = 0
            self._stirred = False
            return items

    def stir(self) -> None:
        """Wake the taker though there is nothing to take."""
        with self._filled:
            self._stirred = True
            self._filled.notify()

    def _overflow(self) -> None:
        """Drop what is queued; of several runs only the newest is worth a decoder."""
        runs = [item for item in self._items if isinstance(item, RunStart)]
        self.overflow_count += 1
        self.dropped_count += self._packet_count
        self._items.clear()
        self._items.extend(runs[-1:] or [PacketsDropped()])
        self._packet_count = self._bytes = 0
        self._wait_keyframe = True


@dataclass(frozen=True, slots=True)
class Sight:
    """A picture out of the decoder; a `glance` is a keyframe decoded by itself while the scene is idle."""

    picture: Picture
    glance: bool


class DecodeStage:
    """The decoder of the current run, and the plan of what it decodes. For the analysis thread only."""

    def __init__(self, opener: FrameDecoderOpener) -> None:
        self._opener = opener
        self._decoder: FrameDecoder | None = None
        self._plan = DecodePlan()
        self._damaged_before = 0
        self.decoded_count = 0
        self.sentence = ""

    @property
    def keyframes_only(self) -> bool:
        """Whether packets between keyframes are left out now."""
        return self._plan.keyframes_only

    @property
    def damaged_count(self) -> int:
        """Packets that could not be decoded, over all runs."""
        return self._damaged_before + (self._decoder.damaged_count if self._decoder else 0)

    def run_started(self, run: RunStart) -> None:
        """Make the decoder anew. Without one for this codec nothing is decoded, and `sentence` says so."""
        self._damaged_before = self.damaged_count
        self._plan = DecodePlan(run.keyframe_interval_us)
        self.sentence = ""
        try:
            self._decoder = self._opener.open(run.video)
        except CameraError as error:
            self._decoder = None
            self.sentence = str(error)

    def dropped(self) -> None:
        """There is a hole before the next packet."""
        self._plan.dropped()
        if self._decoder is not None:
            self._decoder.flush()

    def feed(self, item: TimedPacket, *, idle: bool, due: bool) -> Iterator[Sight]:
        """Decode what the plan wants of one packet."""
        return self._decode(self._plan.feed(item.packet, item.wall_us, idle=idle, due=due))

    def resume(self) -> Iterator[Sight]:
        """Decode what was left out lately, oldest first; from now on everything is decoded."""
        return self._decode(self._plan.resume())

    def _decode(self, steps: list[Step]) -> Iterator[Sight]:
        if self._decoder is None:
            return
        for step in steps:
            if step.alone:
                picture = self._decoder.decode_keyframe(step.packet, step.wall_us)
                pictures = [] if picture is None else [picture]
            else:
                pictures = list(self._decoder.decode(step.packet, step.wall_us))
            self.decoded_count += len(pictures)
            for picture in pictures:
                yield Sight(picture, glance=step.alone)
