"""Where one segment ends and the next begins, and the sums of a segment. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from iris.base.timebase import media_to_us
from iris.domain.packet import EncodedPacket, MediaKind


@dataclass(frozen=True, slots=True)
class SegmentSums:
    """What the index keeps of a segment beside its bytes.

    `media_us` is from the first picture to the end of the last one shown.
    """

    video_packet_count: int
    audio_packet_count: int
    media_us: int
    max_gop_us: int


class Segmenter:
    """Follows the placed packets of a run; cuts at the first keyframe once a segment is long enough."""

    def __init__(self, segment_us: int) -> None:
        self._segment_us = segment_us
        self._start_us: int | None = None
        self._video_count = self._audio_count = self._max_gop_us = 0
        self._keyframe_us = self._end_us = 0

    def begins_segment(self, packet: EncodedPacket) -> bool:
        """Whether this packet must be the first of a new segment; asked before `add`."""
        if packet.kind is not MediaKind.VIDEO or not packet.is_keyframe or packet.pts is None:
            return False
        return self._start_us is None or self._pts_us(packet) - self._start_us >= self._segment_us

    def begin(self, packet: EncodedPacket) -> None:
        """Start the sums of a segment whose first packet this is."""
        self._video_count = self._audio_count = self._max_gop_us = 0
        self._start_us = self._keyframe_us = self._end_us = self._pts_us(packet)

    def end_run(self) -> None:
        """The next keyframe begins a segment, however short this one is."""
        self._start_us = None

    def add(self, packet: EncodedPacket) -> None:
        """Count a packet into the open segment."""
        if packet.kind is MediaKind.AUDIO:
            self._audio_count += 1
            return
        self._video_count += 1
        pts_us = self._pts_us(packet)
        if packet.is_keyframe:
            self._max_gop_us = max(self._max_gop_us, pts_us - self._keyframe_us)
            self._keyframe_us = pts_us
        self._end_us = max(self._end_us, pts_us + media_to_us(packet.duration, packet.time_base))

    def sums(self) -> SegmentSums:
        """Sums of the open segment so far."""
        start_us = self._start_us if self._start_us is not None else 0
        longest = max(self._max_gop_us, self._end_us - self._keyframe_us)
        return SegmentSums(self._video_count, self._audio_count, self._end_us - start_us, longest)

    @staticmethod
    def _pts_us(packet: EncodedPacket) -> int:
        return media_to_us(packet.pts or 0, packet.time_base)
