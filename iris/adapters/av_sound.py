"""Turns a camera's sound into AAC where it is something else (G.711 as a rule). One thread."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from iris.domain.packet import CodecParams, EncodedPacket, MediaKind

if TYPE_CHECKING:
    from av.packet import Packet

_BIT_RATE_PER_CHANNEL = 48_000
# A camera's sound clock may be off by this much before the encoder's stamps are set anew.
_MOST_APART_S = Fraction(1, 20)


class AacEncoder:
    """Decodes one sound stream and encodes it as AAC with the same time."""

    def __init__(self, stream: Any) -> None:
        """Prepare for a sound stream of an open session.

        Raises:
            ValueError: Decoder or encoder do not take it.
        """
        source = stream.codec_context
        rate = source.sample_rate or 8000
        channel_count = source.layout.nb_channels or 1
        self._base = Fraction(1, rate)
        self._decoder: Any = av.CodecContext.create(source.name, "r")
        self._decoder.sample_rate = rate
        self._decoder.layout = source.layout if source.layout.nb_channels else "mono"
        self._encoder: Any = av.CodecContext.create("aac", "w")
        self._encoder.sample_rate = rate
        self._encoder.layout = "stereo" if channel_count > 1 else "mono"
        self._encoder.format = "fltp"
        self._encoder.bit_rate = _BIT_RATE_PER_CHANNEL * min(2, channel_count)
        self._encoder.time_base = self._base
        # The description is in the file's header, not in the packets.
        self._encoder.flags |= av.codec.context.Flags.global_header
        self._encoder.open()
        self._fifo = av.AudioFifo()
        self._resampler = av.AudioResampler(format="fltp", layout=self._encoder.layout, rate=rate)
        self._next: int | None = None
        self.params = CodecParams(
            MediaKind.AUDIO,
            "aac",
            self._base,
            self._encoder.extradata or b"",
            sample_rate_hz=rate,
            channel_count=min(2, channel_count),
        )

    def encode(self, packet: Packet[Any]) -> Iterator[EncodedPacket]:
        """AAC packets that this packet completes; broken sound is left out."""
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            return
        for frame in frames:
            if packet.pts is None and self._next is None:
                continue  # the first packet of a session has no time: one packet of sound is left out
            if packet.pts is not None:
                self._follow(packet)
            for resampled in self._resampler.resample(frame):
                resampled.pts = None
                self._fifo.write(resampled)
            while (whole := self._fifo.read(1024)) is not None:
                whole.pts, whole.time_base = self._next, self._base
                self._next = (self._next or 0) + 1024
                yield from (self._packet(encoded) for encoded in self._encoder.encode(whole))

    def _follow(self, packet: Packet[Any]) -> None:
        """Set the clock by the camera's where it is not set yet or both are too far apart."""
        stamp = int((packet.pts or 0) * packet.time_base / self._base)
        expected = None if self._next is None else self._next + self._fifo.samples
        if expected is None or abs(stamp - expected) * self._base > _MOST_APART_S:
            self._next = stamp - self._fifo.samples

    def _packet(self, encoded: Packet[Any]) -> EncodedPacket:
        stamp = encoded.pts
        return EncodedPacket(MediaKind.AUDIO, bytes(encoded), stamp, stamp, self._base, is_keyframe=True, duration=1024)
