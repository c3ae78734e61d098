"""Feeds the analysis from a second stream of the camera (`detect_url`), while the main stream is recorded.

One thread, one connection, nothing written. A substream that is away costs detections and nothing else: it is tried
again with back-off, and the tap hears why.
"""

from __future__ import annotations

import threading

from iris.base.backoff import backoff_delay_s
from iris.base.errors import CameraAuthError, CameraError, CameraStalledError
from iris.base.ids import RunId
from iris.base.log import get_logger
from iris.base.timebase import media_to_us
from iris.camera_ports import PacketSource, PacketSourceOpener, PacketTap
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from iris.domain.segment import GapReason, RunStart
from iris.ports import Clock, IdSource

# A packet further from its arrival than this belongs to a timeline that jumped.
_JUMP_US = 2_000_000
# Clocks of cameras run slow or fast by up to this; the anchor follows no faster.
_SLEW_PPM = 500
_RETRY_MOST_S = 60.0


class ArrivalAnchor:
    """Wall time of PTS by the quickest arrival seen: network delay only ever adds."""

    def __init__(self) -> None:
        self._offset_us: int | None = None
        self._arrival_us = 0

    def wall_us(self, pts_us: int, arrival_us: int) -> int:
        """Wall time of a packet.

        Args:
            pts_us: Its PTS in microseconds, on the camera's own timeline.
            arrival_us: Wall time of its arrival.

        >>> anchor = ArrivalAnchor()
        >>> anchor.wall_us(0, 1_000_000), anchor.wall_us(200_000, 1_350_000), anchor.wall_us(400_000, 1_400_000)
        (1000000, 1200175, 1400000)
        """
        offset_us = arrival_us - pts_us
        if self._offset_us is None or abs(offset_us - self._offset_us) > _JUMP_US:
            self._offset_us = offset_us
        else:
            drift_us = max(0, arrival_us - self._arrival_us) * _SLEW_PPM // 1_000_000
            # B frames are sent later than shown, so only the lower bound of the delay says anything.
            self._offset_us = min(self._offset_us + drift_us, offset_us)
        self._arrival_us = arrival_us
        return pts_us + self._offset_us


class SubstreamReader:
    """Reads a stream into a tap until stopped.

    Args:
        opener: Opens the stream.
        url: Its address.
        tap: The analysis.
        clock: For arrival times and delays.
        ids: For run ids, which nobody stores.
    """

    def __init__(self, opener: PacketSourceOpener, url: str, tap: PacketTap, clock: Clock, ids: IdSource) -> None:
        self._opener = opener
        self._url = url
        self._tap = tap
        self._clock = clock
        self._ids = ids
        self._stopping = threading.Event()
        self._source: PacketSource | None = None
        self._thread = threading.Thread(target=self._run, name="substream", daemon=True)
        self.connected_count = 0
        self.sentence = ""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Close the connection and end the thread; false when it still runs after `timeout_s`."""
        self._stopping.set()
        source = self._source
        if source is not None:
            source.close()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        attempt = 0
        while not self._stopping.is_set():
            connected_before = self.connected_count
            try:
                self._read_once()
            except CameraError as error:
                self.sentence = f"the detection stream: {error}"
                self._tap.run_ended(_reason_of(error), self.sentence)
            except Exception:  # noqa: BLE001 - the boundary of the thread: the stream is tried again
                self.sentence = "the detection stream failed; the log says why"
                self._tap.run_ended(GapReason.UNKNOWN, self.sentence)
                get_logger().exception("substream_failed")
            attempt = 1 if self.connected_count > connected_before else attempt + 1
            jitter = self._clock.monotonic_us() % 1000 / 1000
            if not self._stopping.is_set():
                get_logger().warning("substream_away", error=self.sentence, attempt=attempt)
            self._stopping.wait(backoff_delay_s(attempt, most_s=_RETRY_MOST_S, jitter=jitter))

    def _read_once(self) -> None:
        source = self._opener.open(self._url)
        self._source = source
        try:
            video = next(stream for stream in source.streams if stream.kind is MediaKind.VIDEO)
            self._follow(source, video)
        finally:
            self._source = None
            source.close()

    def _follow(self, source: PacketSource, video: CodecParams) -> None:
        anchor = ArrivalAnchor()
        epoch_us = self._clock.wall_us() - self._clock.monotonic_us()
        self._tap.run_started(RunStart(RunId(self._ids.new_id()), video, None))
        for packet in source.packets():
            if self._stopping.is_set():
                return
            if packet.kind is not MediaKind.VIDEO:
                continue
            if self.sentence or not self.connected_count:
                self.connected_count += 1
                self.sentence = ""
            arrival_us = epoch_us + self._clock.monotonic_us()
            self._tap.packet(packet, _wall_us(anchor, packet, arrival_us))


def _wall_us(anchor: ArrivalAnchor, packet: EncodedPacket, arrival_us: int) -> int:
    if packet.pts is None:
        return arrival_us
    return anchor.wall_us(media_to_us(packet.pts, packet.time_base), arrival_us)


def _reason_of(error: CameraError) -> GapReason:
    if isinstance(error, CameraAuthError):
        return GapReason.CAMERA_AUTH
    return GapReason.CAMERA_STALLED if isinstance(error, CameraStalledError) else GapReason.CAMERA_OFFLINE
