"""One RTSP session with a camera by PyAV: TCP, one connection, packets as they come.

Owns the connection, its time-outs, the parameters of the media streams and the translation of every failure into a
`CameraError` with a sentence for people. It decodes nothing but sound that has to become AAC. Packets before the
first keyframe come, too; the recorder drops them.

Concurrency: one thread iterates, any thread may `close`. A closed session's iterator just ends.
Measured: the first packet of each media stream has no PTS; `fflags=nobuffer` would throw away the whole first GOP;
PyAV's texts hold the address with its password.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from iris.adapters.av_sound import AacEncoder
from iris.base.errors import (
    CameraAuthError,
    CameraError,
    CameraStalledError,
    CameraStreamError,
    CameraUnreachableError,
)
from iris.base.timebase import seconds_to_us
from iris.domain.packet import CodecParams, EncodedPacket, MediaKind
from iris.domain.rtsp_url import parse_rtsp_url
from iris.media.parameter_sets import has_picture_parameters, in_band_parameter_sets, picture_format
from iris.ports import Clock

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet

VIDEO_CODECS = ("h264", "hevc")
_TRANSCODABLE = ("pcm_alaw", "pcm_mulaw", "pcm_s16be", "adpcm_g726", "adpcm_g726le", "opus", "mp3", "mp2")
# A description without parameter sets is no reason to wait: they come with the first keyframe.
_PROBE_US = 0
_PROBE_BYTES = 32
_NO_DECODING: list[Any] = [{"skip_frame": "all", "threads": "1"}] * 4
_MOST_BLIND_KEYFRAMES = 3
_TIMER_SLACK_US = 200_000
_STALLED = "the connection stands, but the camera sends nothing; it is tried again"
_RTP_BASE = Fraction(1, 90_000)


class AvPacketSourceOpener:
    """Implements `iris.ports.PacketSourceOpener`."""

    def __init__(self, clock: Clock, *, stall_timeout_s: float = 8.0) -> None:
        self._clock = clock
        self._stall_timeout_s = stall_timeout_s

    def open(self, url: str) -> AvPacketSource:
        """Connect and read the stream description; takes the stall time-out at most, also where the camera drips.

        Raises:
            CameraError: With a redacted sentence for people.
        """
        parsed = parse_rtsp_url(url)
        options = {
            "rtsp_transport": "tcp",
            "protocol_whitelist": "rtsp,rtsps,rtp,tcp,tls",
            "allowed_media_types": "video+audio",
            # Of the socket, for each step. PyAV's own time-out holds for the whole opening only: of reads it would
            # call back into Python before each, 10 % of the cost of receiving (measured). Whoever reads packets minds
            # the time between them (`Ingest` does).
            "timeout": str(seconds_to_us(self._stall_timeout_s)),
            "analyzeduration": str(_PROBE_US),
            "probesize": str(_PROBE_BYTES),
        }
        before = _sockets_to(parsed.port)
        began_us = self._clock.monotonic_us()
        try:
            container = av.open(
                url,
                format="rtsp",
                options=options,
                stream_options=_NO_DECODING,
                timeout=(self._stall_timeout_s, None),
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            silent = self._clock.monotonic_us() - began_us >= seconds_to_us(self._stall_timeout_s) - _TIMER_SLACK_US
            if silent:  # libavformat calls a time-out invalid data at times
                raise CameraUnreachableError(_NO_ANSWER) from None
            ours = camera_error(error, opening=True)
            if isinstance(ours, CameraAuthError) and not parsed.has_credentials:
                ours = CameraAuthError("the camera asks for a user name and a password; add them to the address")
            raise ours from None  # its text holds the password
        connections = _sockets_to(parsed.port) - before
        try:
            return AvPacketSource(container, connections, self._clock, self._stall_timeout_s)
        except BaseException:
            container.close()
            raise


class AvPacketSource:
    """Implements `iris.ports.PacketSource`.

    `streams` is complete before the first packet is yielded and is replaced by a new tuple before the first packet
    that it does not describe any more.
    """

    def __init__(
        self, container: InputContainer, connections: frozenset[int], clock: Clock, stall_timeout_s: float
    ) -> None:
        self._container = container
        self._connections = connections
        self._clock = clock
        self._stall_us = seconds_to_us(stall_timeout_s)
        self._lock = threading.Lock()
        self._closed = False
        self._iterating = False
        self._video = _choose_video(container)
        self._codec = self._video.codec_context.name
        self._sound_note = ""
        self._encoder: AacEncoder | None = None
        self._audio, audio = self._choose_audio()
        self._blind_keyframe_count = 0
        self._sets = in_band_parameter_sets(self._codec, self._video.codec_context.extradata or b"")
        self._streams: tuple[CodecParams, ...] = (self._video_params(self._sets),)
        if audio is not None:
            self._streams += (audio,)

    @property
    def streams(self) -> tuple[CodecParams, ...]:
        """One video, at most one audio (always AAC)."""
        return self._streams

    @property
    def note(self) -> str:
        """What people should know of this stream, such as sound that is not recorded; empty as a rule."""
        return self._sound_note

    def packets(self) -> Iterator[EncodedPacket]:
        """Packets in the order of arrival.

        Raises:
            CameraStalledError: No picture came for the stall time-out.
            CameraUnreachableError: The camera ended the session or the connection broke.
            CameraStreamError: What comes cannot be read.
        """
        with self._lock:
            if self._closed:
                return
            self._iterating = True
        try:
            yield from self._packets()
        except (av.FFmpegError, OSError, ValueError) as error:
            if not self._closed:
                raise camera_error(error, opening=False) from None  # its text holds the password
        finally:
            self._container.close()
        if not self._closed:
            raise CameraUnreachableError("the camera ended the stream; it is tried again")

    def close(self) -> None:
        """End the session; wakes a thread that waits for the camera."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._iterating:
                self._container.close()
                return
        for inode in self._connections:
            _shut_down(inode)

    def _packets(self) -> Iterator[EncodedPacket]:
        video, packet_us = self._video, self._clock.monotonic_us()
        picture_us = packet_us
        chosen = (video,) if self._audio is None else (video, self._audio)
        for packet in self._container.demux(chosen):
            if self._closed:
                return
            if packet.size == 0:  # the mark of the end
                continue
            before_us, packet_us = packet_us, self._clock.monotonic_us()
            if packet.stream is video:
                picture_us = packet_us
                yield self._picture(packet)
            else:
                yield from self._sound(packet)
            # At a time-out libavformat first gives out the picture that it held back, as if all were well.
            if packet_us - before_us >= self._stall_us - _TIMER_SLACK_US:
                raise CameraStalledError(_STALLED)
            if packet_us - picture_us > self._stall_us:
                raise CameraStalledError("the camera sends sound but no picture; check its settings or restart it")

    def _picture(self, packet: Packet[Any]) -> EncodedPacket:
        payload = bytes(packet)
        key = packet.is_keyframe
        if key:
            sets = in_band_parameter_sets(self._codec, payload)
            if sets and sets != self._sets and has_picture_parameters(self._codec, sets):
                self._sets = sets
                self._streams = (self._video_params(sets), *self._streams[1:])
            if not self._sets:
                self._blind_keyframe_count += 1
                if self._blind_keyframe_count >= _MOST_BLIND_KEYFRAMES:
                    raise CameraStreamError("the camera sends pictures without their parameters; restart the camera")
        # The stream's time base is every packet's; a packet makes a new fraction each time it is asked.
        base = self._streams[0].time_base
        return EncodedPacket(MediaKind.VIDEO, payload, packet.pts, packet.dts, base, key, packet.duration or 0)

    def _sound(self, packet: Packet[Any]) -> Iterator[EncodedPacket]:
        if self._encoder is not None:
            yield from self._encoder.encode(packet)
            return
        yield EncodedPacket(
            MediaKind.AUDIO,
            bytes(packet),
            packet.pts,
            packet.dts,
            packet.time_base,
            is_keyframe=True,
            duration=packet.duration or 0,
        )

    def _video_params(self, sets: bytes) -> CodecParams:
        base = self._video.time_base or _RTP_BASE
        params = CodecParams(MediaKind.VIDEO, self._codec, base, sets)
        form = picture_format(self._codec, sets)
        return params if form is None else replace(params, width_px=form.width_px, height_px=form.height_px)

    def _choose_audio(self) -> tuple[Any, CodecParams | None]:
        for stream in self._container.streams.audio:
            context: Any = stream.codec_context
            name = context.name if context is not None else "unknown"
            if name == "aac" and context.extradata and context.sample_rate:
                return stream, CodecParams(
                    MediaKind.AUDIO,
                    "aac",
                    stream.time_base or Fraction(1, context.sample_rate),
                    context.extradata,
                    sample_rate_hz=context.sample_rate,
                    channel_count=context.layout.nb_channels,
                )
            if name in _TRANSCODABLE:
                try:
                    self._encoder = AacEncoder(stream)
                except (av.FFmpegError, ValueError):
                    self._encoder = None
                else:
                    return stream, self._encoder.params
            self._sound_note = f"the camera's sound ({name}) cannot be recorded; choose AAC or G.711 in its settings"
        return None, None


def _choose_video(container: InputContainer) -> Any:
    for stream in container.streams.video:
        context = stream.codec_context
        if context is not None and context.name in VIDEO_CODECS:
            return stream
    if len(container.streams.video) == 0:
        raise CameraStreamError("the camera sends no video at this address; check the path of the stream")
    context = container.streams.video[0].codec_context
    name = context.name if context is not None else "an unknown codec"
    raise CameraStreamError(f"the camera sends {name}; set it to H.264 or H.265")


_REFUSED = "the camera refused the user name or password; check them in the address"
_NO_ANSWER = "the camera does not answer; check host, port and network"
_BROKE = "the camera broke the connection; it is tried again"
# The first that fits counts. PyAV makes an answer 4xx no kind of its HTTPError.
_ERRORS: tuple[tuple[type[Exception], type[CameraError], str], ...] = (
    (av.HTTPUnauthorizedError, CameraAuthError, _REFUSED),
    (av.HTTPForbiddenError, CameraAuthError, _REFUSED),
    (
        av.HTTPNotFoundError,
        CameraStreamError,
        "the camera knows no such stream (404); check the path of the address",
    ),
    (
        av.HTTPClientError,
        CameraStreamError,
        "the camera refused the request; it may have too many viewers, or the path is wrong",
    ),
    (
        av.HTTPServerError,
        CameraUnreachableError,
        "the camera reports a fault of its own (5xx); it may be starting, it is tried again",
    ),
    (
        av.ConnectionRefusedError,
        CameraUnreachableError,
        "the camera refused the connection; check host and port, and that RTSP is switched on",
    ),
    (av.TimeoutError, CameraUnreachableError, _NO_ANSWER),
    (av.ExitError, CameraUnreachableError, _NO_ANSWER),
    (av.ConnectionResetError, CameraUnreachableError, _BROKE),
    (av.ConnectionAbortedError, CameraUnreachableError, _BROKE),
    (av.BrokenPipeError, CameraUnreachableError, _BROKE),
    (av.EOFError, CameraUnreachableError, "the camera ended the connection; it is tried again"),
    # Name resolution fails with EIO, a missing route with EHOSTUNREACH or ENETUNREACH.
    (
        OSError,
        CameraUnreachableError,
        "the camera cannot be reached; check its host name or address and the network",
    ),
    (
        av.InvalidDataError,
        CameraStreamError,
        "what answers there is no RTSP stream that can be read; check the address",
    ),
)


def camera_error(error: Exception, *, opening: bool) -> CameraError:
    """The error of ours for one of PyAV's; nothing of its text is used, as that holds the address.

    Args:
        error: What PyAV raised.
        opening: Whether it was raised while connecting.
    """
    if isinstance(error, av.ExitError | av.TimeoutError) and not opening:
        return CameraStalledError(_STALLED)
    for kind, ours, sentence in _ERRORS:
        if isinstance(error, kind):
            return ours(sentence)
    return CameraStreamError("the camera's stream cannot be read; check the address and the camera's settings")


def _sockets_to(port: int) -> frozenset[int]:
    """Inodes of this process's TCP connections to a port, to find the one that an open made."""
    found = set()
    for entry in _descriptors():
        with contextlib.suppress(OSError), _duplicate(entry) as connection:
            if connection.family in (socket.AF_INET, socket.AF_INET6) and connection.getpeername()[1] == port:
                found.add(os.fstat(connection.fileno()).st_ino)
    return frozenset(found)


def _shut_down(inode: int) -> None:
    """Wake whoever waits on this connection; its owner still closes it."""
    for entry in _descriptors():
        with contextlib.suppress(OSError), _duplicate(entry) as connection:
            if os.fstat(connection.fileno()).st_ino == inode:
                connection.shutdown(socket.SHUT_RDWR)


def _descriptors() -> Iterator[int]:
    """Descriptors of this process that are sockets; none where the system has no /proc."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return
    for entry in list(folder.iterdir()):
        with contextlib.suppress(OSError):
            if re.match(r"socket:", str(entry.readlink())):
                yield int(entry.name)


@contextlib.contextmanager
def _duplicate(descriptor: int) -> Iterator[socket.socket]:
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        yield connection
