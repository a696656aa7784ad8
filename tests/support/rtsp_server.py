"""A real RTSP server for tests: plays a raw H.264 clip over and over in real time. Run by the system's Python.

    /usr/bin/python3 tests/support/rtsp_server.py --port 8554 /a=clip.h264 '/in>pushed.h264' [--user al --password pw]
        [--audio] [--loss 0.05]

`clip.h264` has no B-frames, begins every access unit with a delimiter and repeats its headers (x264: aud=1,
repeat-headers=1, bf=0). What is pushed to /in is appended to pushed.h264, and with --audio its A-law to
pushed.h264.alaw. Each frame is sent at its time; with --times FILE, a line `PATH NUMBER SECONDS` says when by
CLOCK_MONOTONIC, which a test reads on its own side. Prints `ready PORT`. Killed and stopped like any process.
"""

import argparse
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

DELIMITER = b"\x00\x00\x00\x01\x09"


def access_units(path):
    with open(path, "rb") as opened:
        parts = opened.read().split(DELIMITER)
    return [DELIMITER + part for part in parts[1:]]


class Feeder(threading.Thread):
    """Pushes the access units of one playing medium, each at its time, until it is unprepared."""

    def __init__(self, source, units, rate, log):
        super().__init__(daemon=True)
        self.source, self.units, self.rate, self.log = source, units, rate, log
        self.stopped = threading.Event()

    def run(self):
        began, number = time.monotonic(), 0
        while not self.stopped.wait(max(0.0, began + number / self.rate - time.monotonic())):
            buffer = Gst.Buffer.new_wrapped(self.units[number % len(self.units)])
            buffer.pts = buffer.dts = number * Gst.SECOND // self.rate
            buffer.duration = Gst.SECOND // self.rate
            self.log(number % len(self.units))
            if self.source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            number += 1


def factory(path, clip, options, log):
    units = access_units(clip)
    made = GstRtspServer.RTSPMediaFactory()
    loss = f"! identity drop-probability={options.loss} name=pay0" if options.loss else ""
    sound = "audiotestsrc is-live=true ! alawenc ! rtppcmapay name=pay1 pt=97" if options.audio else ""
    made.set_launch(
        "( appsrc name=source is-live=true format=time "
        "caps=video/x-h264,stream-format=byte-stream,alignment=au "
        f"! rtph264pay config-interval=0 pt=96 {'' if loss else 'name=pay0'} {loss} {sound} )"
    )
    made.set_shared(True)

    def configure(_factory, media):
        source = media.get_element().get_by_name_recurse_up("source")
        feeder = Feeder(source, units, options.rate, lambda number: log(path, number))
        media.connect("unprepared", lambda _media: feeder.stopped.set())
        feeder.start()

    made.connect("media-configure", configure)
    return made


def recorder(path, options):
    """Accept ANNOUNCE and RECORD, and append what comes to a file, access unit by access unit."""
    made = GstRtspServer.RTSPMediaFactory()
    made.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    sink = "filesink append=true buffer-mode=2 sync=false async=false location"
    sound = f"rtppcmadepay name=depay1 ! {sink}={path}.alaw" if options.audio else ""
    made.set_launch(
        f"( rtph264depay name=depay0 ! video/x-h264,stream-format=byte-stream ! {sink}={path} {sound} )"
    )
    return made


def protect(server, factories, user, password):
    """Let nobody in but `user`, by digest or basic authentication."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(2)  # GST_RTSP_AUTH_DIGEST
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    for what in ("media.factory.access", "media.factory.construct"):
        permissions.add_permission_for_role("viewer", what, True)
    for made in factories:
        made.set_permissions(permissions)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("mounts", nargs="+", metavar="/PATH=CLIP or /PATH>FILE")
    parser.add_argument("--port", default="0")
    parser.add_argument("--rate", type=int, default=25)
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--audio", action="store_true")
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--times")
    options = parser.parse_args()
    Gst.init(None)
    times = open(options.times, "a", buffering=1) if options.times else None  # noqa: SIM115

    def log(path, number):
        if times:
            times.write(f"{path} {number} {time.monotonic():.6f}\n")

    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    factories = []
    for mount in options.mounts:
        if ">" in mount:
            path, _, target = mount.partition(">")
            factories.append(recorder(target, options))
        else:
            path, _, clip = mount.partition("=")
            factories.append(factory(path, clip, options, log))
        server.get_mount_points().add_factory(path, factories[-1])
    if options.user:
        protect(server, factories, options.user, options.password)
    if not server.attach(None):
        raise SystemExit(f"port {options.port} is taken")
    print("ready", server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
