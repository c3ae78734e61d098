"""An RTSP camera made of gst-rtsp-server: software that nobody of this project wrote. Run with the system's Python.

Serves one film over RTSP with a user name and a password, in real time, once: each viewer gets it from its start, and
when it has run to its end for one of them the stream is taken off the server, so that no reconnect plays it again.
Speaks JSON lines on stdout: `listening` (with the port), `playing` and `finished`, each with `wall_us`.
"""

import argparse
import json
import signal
import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402 - gi wants its versions named first


def say(word, **fields):
    """Print one JSON line; the harness reads it."""
    print(json.dumps({"event": word, "wall_us": time.time_ns() // 1000, **fields}), flush=True)


def launch_line(video, with_sound):
    """The pipeline of one viewer; the packets of the file, untouched."""
    pipeline = f'( filesrc location="{video}" ! qtdemux name=d '
    pipeline += "d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=1"
    if with_sound:
        pipeline += " d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97"
    return pipeline + " )"


class Camera:
    """One server with one film."""

    def __init__(self, arguments):
        self.path = arguments.path
        self.server = GstRtspServer.RTSPServer()
        self.server.set_address(arguments.host)
        self.server.set_service(str(arguments.port))
        self.server.set_auth(self._auth(arguments))
        self.factory = GstRtspServer.RTSPMediaFactory()
        self.factory.set_launch(launch_line(arguments.video, arguments.sound))
        self.factory.set_shared(False)
        self.factory.set_protocols(GstRtsp.RTSPLowerTrans.TCP)
        self._permit(self.factory)
        self.factory.connect("media-configure", self._configure)
        self.server.get_mount_points().add_factory(self.path, self.factory)
        if not self.server.attach(None):
            sys.exit("gst_camera_server: cannot listen")

    def _auth(self, arguments):
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        if arguments.auth == "digest":
            auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            auth.add_digest(arguments.user, arguments.password, token)
        else:
            auth.add_basic(GstRtspServer.RTSPAuth.make_basic(arguments.user, arguments.password), token)
        return auth

    def _permit(self, factory):
        permissions = GstRtspServer.RTSPPermissions()
        for right in ("media.factory.access", "media.factory.construct"):
            permissions.add_permission_for_role("viewer", right, True)
        factory.set_permissions(permissions)

    def _configure(self, _factory, media):
        media.connect("new-state", self._state)
        # The bus of the media belongs to the server; the end of the film is seen where its packets end.
        payloader = media.get_element().get_by_name("pay0")
        payloader.get_static_pad("src").add_probe(Gst.PadProbeType.EVENT_DOWNSTREAM, self._pad_event)

    def _state(self, _media, state):
        if Gst.State(state) == Gst.State.PLAYING:
            say("playing")

    def _pad_event(self, _pad, info):
        if info.get_event().type == Gst.EventType.EOS:
            # The payloader is ahead of the clock by what the sinks hold; it is only the factory that goes now.
            GLib.idle_add(self._withdraw)
        return Gst.PadProbeReturn.OK

    def _withdraw(self):
        self.server.get_mount_points().remove_factory(self.path)
        say("finished")
        return False


def main():
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("video")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--path", default="/film")
    parser.add_argument("--user", default="viewer")
    parser.add_argument("--auth", choices=("basic", "digest"), default="digest")
    parser.add_argument("--sound", action="store_true")
    arguments = parser.parse_args()
    # The password comes on stdin: what stands in the arguments is visible to every process.
    arguments.password = sys.stdin.readline().strip()
    Gst.init(None)
    camera = Camera(arguments)
    loop = GLib.MainLoop()
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, loop.quit)
    say("listening", port=camera.server.get_bound_port())
    loop.run()


if __name__ == "__main__":
    main()
