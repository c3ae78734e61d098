"""Encodes a generated scene once into a film that can be sent again and again."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext

from workers.camera_sim.film import (
    VIDEO_CLOCK_HZ,
    AccessUnit,
    Film,
    MediaStream,
    RawPacket,
    assemble,
    audio_units,
    parameter_sets_of,
    video_units,
)
from workers.camera_sim.scene import ScenePainter, SceneSpec

_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_SAMPLE_RATE_HZ = {"aac": 48_000, "pcm_mulaw": 8_000}
_TONE_HZ = 440
_SOUND_FRAME_SAMPLES = {"aac": 1024, "pcm_mulaw": 160}


def encode_scene(spec: SceneSpec) -> Film:
    """Draw and encode every picture (and the sound) of one loop of `spec`."""
    units = video_units(0, spec.codec, _encode_pictures(spec))
    streams = [MediaStream(spec.codec, VIDEO_CLOCK_HZ, parameter_sets_of(spec.codec, units))]
    if spec.sound != "none":
        stream, sounds = _encode_sound(spec)
        streams.append(stream)
        units += sounds
    return assemble(streams, units, round(spec.picture_count * 1_000_000 / spec.fps))


def _encode_pictures(spec: SceneSpec) -> list[RawPacket]:
    context = av.CodecContext.create(_ENCODERS[spec.codec], "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height = spec.width_px, spec.height_px
    context.pix_fmt = "yuv420p"
    context.framerate = Fraction(spec.fps)
    context.time_base = Fraction(1, spec.fps)
    keyframe_every = max(1, round(spec.keyframe_interval_s * spec.fps))
    if spec.bit_rate_bps is not None:
        context.bit_rate = spec.bit_rate_bps
    context.options = _options(spec, keyframe_every)
    painter = ScenePainter(spec)
    packets: list[RawPacket] = []
    for number in range(spec.picture_count):
        frame = av.VideoFrame.from_ndarray(painter.picture(number), format="yuv420p")
        frame.pts = number
        frame.time_base = context.time_base
        packets += [_raw(packet) for packet in context.encode(frame)]
    return packets + [_raw(packet) for packet in context.encode(None)]


def _options(spec: SceneSpec, keyframe_every: int) -> dict[str, str]:
    parameters = f"keyint={keyframe_every}:min-keyint={keyframe_every}:scenecut=0:bframes={spec.b_frame_count}"
    if spec.bit_rate_bps is not None:
        kbit = max(1, spec.bit_rate_bps // 1000)
        parameters += f":vbv-maxrate={kbit}:vbv-bufsize={kbit}"
    # B frames need a preset that knows them; otherwise the cheapest one, since the loop is drawn at every start.
    options = {"preset": "veryfast" if spec.b_frame_count else "ultrafast"}
    if spec.codec == "hevc":
        options["x265-params"] = parameters + ":open-gop=0:repeat-headers=1:log-level=error:b-adapt=0"
    else:
        options["x264-params"] = parameters + ":open-gop=0:b-adapt=0"
    return options


def _raw(packet: av.Packet[Stream]) -> RawPacket:
    if packet.pts is None or packet.dts is None:
        raise ValueError("the encoder gave a packet without a time")
    return RawPacket(packet.pts, packet.dts, packet.time_base, bytes(packet), packet.is_keyframe)


def _encode_sound(spec: SceneSpec) -> tuple[MediaStream, list[AccessUnit]]:
    rate_hz = _SAMPLE_RATE_HZ[spec.sound]
    context = av.CodecContext.create(spec.sound, "w")
    assert isinstance(context, AudioCodecContext)
    context.sample_rate = rate_hz
    context.layout = "mono"
    context.format = "fltp" if spec.sound == "aac" else "s16"
    context.time_base = Fraction(1, rate_hz)
    if spec.sound == "aac":
        context.bit_rate = 64_000
    frame_samples = _SOUND_FRAME_SAMPLES[spec.sound]
    packets: list[RawPacket] = []
    for start in range(0, round(spec.loop_s * rate_hz), frame_samples):
        packets += [_raw(p) for p in context.encode(_beep(start, frame_samples, context))]
    packets += [_raw(p) for p in context.encode(None)]
    stream = MediaStream(spec.sound, rate_hz, (), context.extradata or b"", 1)
    return stream, audio_units(1, rate_hz, packets, Fraction(0))


def _beep(start: int, count: int, context: AudioCodecContext) -> av.AudioFrame:
    moment_s = (start + np.arange(count)) / context.sample_rate
    wave = np.sin(2 * np.pi * _TONE_HZ * moment_s) * 0.3 * ((moment_s % 1.0) < 0.1)
    if context.format.name == "fltp":
        frame = av.AudioFrame.from_ndarray(wave.astype(np.float32)[None, :], format="fltp", layout="mono")
    else:
        frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None, :], format="s16", layout="mono")
    frame.sample_rate = context.sample_rate
    frame.pts = start
    frame.time_base = Fraction(1, context.sample_rate)
    return frame
