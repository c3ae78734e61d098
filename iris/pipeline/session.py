"""One session's packets, placed in time and split into runs.

Between the packet source and those who take packets (the recorder's buffer, the taps). Holds the packets of the
first half second back, to find the least late of them and the first PTS; after that every packet passes at once.
One thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from iris.base.ids import RunId
from iris.base.timebase import US_PER_S
from iris.camera_ports import PacketTap
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from iris.domain.segment import GapReason, RunStart
from iris.media.parameter_sets import picture_format
from iris.media.timeline import ArrivedPacket, DiscontinuityError, PlacedPacket, Timeline
from iris.outbox.segments import RunRow
from iris.pipeline.packet_buffer import BeginRun, EndRun, PacketBuffer
from iris.pipeline.recorder import params_hash
from iris.ports import Clock, IdSource

OPENING_US = 500_000
# A wall clock that was set by more than this begins a new run; less is followed by none.
MOST_WALL_STEP_US = US_PER_S
# Added where pictures turn out to be reordered although the parameters did not say so.
MORE_REORDERING = 2


# libavformat gives a picture of an RTSP stream out when the next one begins (measured: one interval after it came).
HELD_BACK_COUNT = 1
# Two seconds of AAC at 48 kHz.
MOST_EARLY_SOUND_COUNT = 96


class SessionCounters:
    """What happened since the process started; written by the ingest thread, read by any."""

    def __init__(self) -> None:
        self.packets = 0
        self.keyframe_waits = 0
        self.audio_dropped = 0
        self.discontinuities = 0
        self.runs = 0


class Session:
    """Feeds one connection's packets on, run after run."""

    def __init__(
        self,
        buffer: PacketBuffer,
        taps: Sequence[PacketTap],
        clock: Clock,
        ids: IdSource,
        counters: SessionCounters,
        keyframe_interval_us: Callable[[], int | None],
    ) -> None:
        self._buffer = buffer
        self._taps = tuple(taps)
        self._clock = clock
        self._ids = ids
        self._counters = counters
        self._keyframe_interval_us = keyframe_interval_us
        self._streams: tuple[CodecParams, ...] = ()
        self._opening: list[ArrivedPacket] = []
        self._early_sound: deque[ArrivedPacket] = deque(maxlen=MOST_EARLY_SOUND_COUNT)
        self._timeline: Timeline | None = None
        self._wall_offset_us = 0
        self._reorder_hint: int | None = None
        self._in_run = False

    @property
    def recording(self) -> bool:
        """Whether a run is open."""
        return self._in_run

    def feed(self, packet: EncodedPacket, streams: tuple[CodecParams, ...], arrived_us: int) -> None:
        """Take the next packet; `streams` is what the source says now."""
        self._counters.packets += 1
        if streams is not self._streams:
            self._streams_changed(streams)
        if packet.is_keyframe and packet.kind is MediaKind.VIDEO:
            self._follow_wall_clock()
        self._route(packet, arrived_us)

    def end(self, reason: GapReason, sentence: str) -> None:
        """The session is over: pass on what is held back and end the run."""
        if self._opening:
            self._begin_timeline()
        self._timeline = None
        self._end_run(reason, sentence)

    def _route(self, packet: EncodedPacket, arrived_us: int) -> None:
        starts_gop = packet.is_keyframe and packet.kind is MediaKind.VIDEO
        if self._timeline is not None:
            self._place(self._timeline, packet, arrived_us, starts_gop=starts_gop)
        elif self._opening or (starts_gop and self._streams[0].extradata):
            self._opening.append(ArrivedPacket(packet, arrived_us))
            if self._early_sound:
                self._opening += self._early_sound
                self._early_sound.clear()
            if arrived_us - self._opening[0].arrived_us >= OPENING_US:
                self._begin_timeline()
        elif packet.kind is MediaKind.AUDIO:
            # Sound of the keyframe's time may come before it; the timeline drops what is older.
            self._early_sound.append(ArrivedPacket(packet, arrived_us))
        else:
            self._counters.keyframe_waits += 1

    def _begin_timeline(self) -> None:
        opening, self._opening = self._opening, []
        self._wall_offset_us = self._clock.wall_us() - self._clock.monotonic_us()
        self._timeline = Timeline(opening, self._hint(), self._wall_offset_us, HELD_BACK_COUNT)
        for item in opening:
            self._route(item.packet, item.arrived_us)  # where time jumps inside the opening, the rest opens anew

    def _hint(self) -> int | None:
        video = self._streams[0]
        form = picture_format(video.codec, video.extradata)
        said = form.reorder_count if form is not None else None
        if self._reorder_hint is None:
            return said
        return max(said or 0, self._reorder_hint)

    def _place(self, timeline: Timeline, packet: EncodedPacket, arrived_us: int, *, starts_gop: bool) -> None:
        try:
            placed = timeline.place(packet, arrived_us)
        except DiscontinuityError as error:
            self._jumped(error.kind, timeline)
            self._route(packet, arrived_us)
            return
        if placed is None:
            self._counters.audio_dropped += 1
            return
        if not self._in_run:
            if not starts_gop:
                return
            self._begin_run(placed)
        self._buffer.put(placed)
        if packet.kind is MediaKind.VIDEO:
            for tap in self._taps:
                tap.packet(placed.packet, placed.wall_us)

    def _jumped(self, kind: str, timeline: Timeline) -> None:
        self._counters.discontinuities += 1
        if kind == "reorder":
            self._reorder_hint = timeline.reorder_count + MORE_REORDERING
        self._timeline = None
        self._end_run(GapReason.STREAM_CHANGED, "the camera's time stamps jumped")

    def _streams_changed(self, streams: tuple[CodecParams, ...]) -> None:
        if self._opening:
            self._begin_timeline()
        self._streams = streams
        if self._timeline is None:
            return
        # The packet that comes now is a keyframe with the new parameters: media time goes on without a hole.
        self._counters.discontinuities += 1
        self._timeline.restart_decode_order(self._hint())
        self._end_run(None, "the camera changed its picture")

    def _follow_wall_clock(self) -> None:
        offset_us = self._clock.wall_us() - self._clock.monotonic_us()
        if self._timeline is None or abs(offset_us - self._wall_offset_us) <= MOST_WALL_STEP_US:
            return
        self._wall_offset_us = offset_us
        self._counters.discontinuities += 1
        self._timeline.step_wall(offset_us)
        self._end_run(GapReason.STREAM_CHANGED, "the clock of this machine was set")

    def _begin_run(self, first: PlacedPacket) -> None:
        video = self._streams[0]
        audio = self._streams[1] if len(self._streams) > 1 else None
        start = RunStart(RunId(self._ids.new_id()), video, audio, self._keyframe_interval_us())
        row = RunRow(
            start.run_id,
            first.wall_us,
            params_hash(video, audio),
            video.codec,
            video.width_px,
            video.height_px,
            audio.codec if audio is not None else "",
        )
        self._counters.runs += 1
        self._in_run = True
        self._buffer.mark(BeginRun(start, row))
        for tap in self._taps:
            tap.run_started(start)

    def _end_run(self, reason: GapReason | None, sentence: str) -> None:
        if not self._in_run:
            return
        self._in_run = False
        self._buffer.mark(EndRun(reason))
        for tap in self._taps:
            tap.run_ended(reason or GapReason.STREAM_CHANGED, sentence)
