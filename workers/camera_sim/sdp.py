"""Describes a film as SDP (RFC 8866), with the formats of RFC 6184, 7798, 3640 and 3551. Pure."""

from __future__ import annotations

import base64

from workers.camera_sim.film import MediaStream
from workers.camera_sim.nal import nal_type

FIRST_PAYLOAD_TYPE = 96
_PCMU_PAYLOAD_TYPE = 0
# A name that no player knows, for the camera whose codec nobody supports.
UNKNOWN_ENCODING = "X-NOBODY-KNOWS"


def payload_type(stream_index: int, stream: MediaStream) -> int:
    """RTP payload type of a media stream."""
    return _PCMU_PAYLOAD_TYPE if stream.codec == "pcm_mulaw" else FIRST_PAYLOAD_TYPE + stream_index


def describe(streams: tuple[MediaStream, ...], *, video: bool = True, known_codec: bool = True) -> str:
    """The session description.

    Args:
        streams: Media streams of the film, in the order of their control names.
        video: False leaves the pictures out, as a camera with a broken configuration does.
        known_codec: False gives the pictures a name that no player knows.
    """
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=iris camera-sim", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*"]
    for index, stream in enumerate(streams):
        if stream.is_video and not video:
            continue
        kind = "video" if stream.is_video else "audio"
        number = payload_type(index, stream)
        lines += [f"m={kind} 0 RTP/AVP {number}", f"a=rtpmap:{number} {_encoding(stream, known_codec=known_codec)}"]
        parameters = _parameters(stream)
        if parameters:
            lines.append(f"a=fmtp:{number} {parameters}")
        lines.append(f"a=control:trackID={index}")
    return "\r\n".join(lines) + "\r\n"


def _encoding(stream: MediaStream, *, known_codec: bool) -> str:
    if stream.is_video:
        name = {"h264": "H264", "hevc": "H265"}[stream.codec] if known_codec else UNKNOWN_ENCODING
        return f"{name}/{stream.clock_hz}"
    if stream.codec == "aac":
        return f"mpeg4-generic/{stream.clock_hz}/{stream.channel_count}"
    return f"PCMU/{stream.clock_hz}"


def _parameters(stream: MediaStream) -> str:
    if stream.codec == "h264":
        sps = next(unit for unit in stream.parameter_sets if nal_type("h264", unit) == 7)
        sets = ",".join(_base64(unit) for unit in stream.parameter_sets)
        return f"packetization-mode=1;profile-level-id={sps[1:4].hex().upper()};sprop-parameter-sets={sets}"
    if stream.codec == "hevc":
        names = {32: "sprop-vps", 33: "sprop-sps", 34: "sprop-pps"}
        return ";".join(f"{names[nal_type('hevc', unit)]}={_base64(unit)}" for unit in stream.parameter_sets)
    if stream.codec == "aac":
        return (
            "streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;"
            f"config={stream.config.hex().upper()}"
        )
    return ""


def _base64(unit: bytes) -> str:
    return base64.b64encode(unit).decode()
