"""`iris camera-sim`: the command line of the demonstration and test camera."""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import threading
from pathlib import Path

from iris.adapters.process import on_signals
from workers.camera_sim.faults import SCRIPTED_FAULTS, ScriptedFault, parse_fault
from workers.camera_sim.scene import SceneSpec
from workers.camera_sim.script import FaultScript, parse_size
from workers.camera_sim.server import RTP_START_BEFORE_WRAP, CameraSim, SimOptions

PASSWORD_VARIABLE = "IRIS_CAMERA_SIM_PASSWORD"  # noqa: S105 - the name of a variable, no password
DESCRIPTION = "A camera for demonstrations and tests: a generated scene with somebody walking through, or a film."
EPILOG = (
    """Examples:
  iris camera-sim                                    a scene on a free port, with a password of its own
  iris camera-sim --port 8554 --password secret      the same on a known address
  iris camera-sim --video film.mp4 --once            a film, once, from the moment somebody watches
  iris camera-sim --fault 20:stall:10 --fault 60:drop

Faults (AT is seconds after the start):
"""
    + "\n".join(
        f"  AT:{name}" + (f":VALUE    {meaning}" if meaning else "") for name, meaning in SCRIPTED_FAULTS.items()
    )
    + f"\n\nThe password is taken from {PASSWORD_VARIABLE} where --password is not given."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `iris camera-sim` to a parser."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    spec, options = SceneSpec(), SimOptions()
    door = parser.add_argument_group("address")
    door.add_argument("--host", default=options.host, help="address to listen on (%(default)s)")
    door.add_argument("--port", type=int, default=0, help="port; 0 takes a free one and says which (%(default)s)")
    door.add_argument("--path", default=options.path, help="path of the stream (%(default)s)")
    door.add_argument("--user", default=options.user, help="user name (%(default)s)")
    door.add_argument("--password", help="password; one is made and printed where none is given")
    door.add_argument("--auth", choices=("digest", "basic", "none"), default=options.auth, help="(%(default)s)")
    film = parser.add_argument_group("film")
    film.add_argument("--video", type=Path, help="serve this file (H.264 or H.265, AAC) instead of a scene")
    how_often = film.add_mutually_exclusive_group()
    how_often.add_argument("--loop", action="store_true", help="play it again and again, as a live camera (default)")
    how_often.add_argument("--once", action="store_true", help="play it once, from the first viewer's PLAY; then 404")
    scene = parser.add_argument_group("scene")
    scene.add_argument("--size", default=f"{spec.width_px}x{spec.height_px}", help="WIDTHxHEIGHT (%(default)s)")
    scene.add_argument("--fps", type=int, default=spec.fps, help="pictures a second (%(default)s)")
    scene.add_argument("--every", type=float, default=spec.loop_s, help="seconds from walk to walk (%(default)s)")
    scene.add_argument("--walk-at", type=float, default=spec.walk_at_s, help="seconds before the walk (%(default)s)")
    scene.add_argument("--walk", type=float, default=spec.walk_s, help="seconds somebody is in view (%(default)s)")
    scene.add_argument("--keyframe-interval", type=float, default=spec.keyframe_interval_s, help="s (%(default)s)")
    scene.add_argument("--b-frames", type=int, default=0, help="B frames between references (%(default)s)")
    scene.add_argument("--bitrate", type=int, help="bits a second; constant quality where not given")
    scene.add_argument("--noise", type=int, default=0, help="levels of sensor noise (%(default)s)")
    scene.add_argument("--codec", choices=("h264", "hevc"), default=spec.codec, help="(%(default)s)")
    scene.add_argument("--audio", choices=("none", "aac", "pcmu"), default="none", help="(%(default)s)")
    faults = parser.add_argument_group("faults")
    faults.add_argument("--fault", action="append", default=[], metavar="AT:NAME[:VALUE]", help="see below; repeatable")
    faults.add_argument("--rtp-wrap", action="store_true", help="time stamps wrap one second after PLAY")
    faults.add_argument("--no-video", action="store_true", help="the description has no pictures")
    faults.add_argument("--unknown-codec", action="store_true", help="the description names a codec nobody knows")
    faults.add_argument("--start-anywhere", action="store_true", help="do not wait for a keyframe at PLAY")


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, or until a film that plays once is over; 2 on a wrong option."""
    try:
        source, options, faults = _read(arguments)
        camera = CameraSim(source, options)
    except (ValueError, OSError) as error:
        print(f"iris camera-sim: {error}", file=sys.stderr)  # noqa: T201 - a command speaks on its streams
        return 2
    stop = threading.Event()
    on_signals(stop.set, signal.SIGINT, signal.SIGTERM)
    camera.faults.without_video = arguments.no_video
    camera.faults.unknown_codec = arguments.unknown_codec
    try:
        camera.start()
    except OSError as error:
        print(f"iris camera-sim: cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)  # noqa: T201 - as above
        return 2
    script = FaultScript(camera, faults, source if isinstance(source, SceneSpec) else None)
    try:
        print(camera.url, flush=True)  # noqa: T201 - as above
        script.start()
        while not (stop.wait(0.2) or camera.finished.is_set()):
            pass
    finally:
        script.stop()
        camera.stop()
    return 0


def _read(arguments: argparse.Namespace) -> tuple[Path | SceneSpec, SimOptions, list[ScriptedFault]]:
    if arguments.once and arguments.video is None:
        raise ValueError("--once needs --video")
    password = arguments.password or os.environ.get(PASSWORD_VARIABLE) or secrets.token_urlsafe(9)
    options = SimOptions(
        host=arguments.host,
        port=arguments.port,
        user=arguments.user,
        password=password,
        auth=arguments.auth,
        path="/" + arguments.path.strip("/"),
        once=arguments.once,
        from_keyframe=not arguments.start_anywhere,
        rtp_start=RTP_START_BEFORE_WRAP if arguments.rtp_wrap else SimOptions().rtp_start,
    )
    faults = [parse_fault(text) for text in arguments.fault]
    return arguments.video or _scene(arguments), options, faults


def _scene(arguments: argparse.Namespace) -> SceneSpec:
    width_px, height_px = parse_size(arguments.size)
    return SceneSpec(
        width_px=width_px,
        height_px=height_px,
        fps=arguments.fps,
        loop_s=arguments.every,
        walk_at_s=arguments.walk_at,
        walk_s=arguments.walk,
        keyframe_interval_s=arguments.keyframe_interval,
        b_frame_count=arguments.b_frames,
        bit_rate_bps=arguments.bitrate,
        noise_luma=arguments.noise,
        codec=arguments.codec,
        sound={"none": "none", "aac": "aac", "pcmu": "pcm_mulaw"}[arguments.audio],
    )
