"""One output of a live stream as a process of its own: `python -m vsr.live.push`.

It can be killed at any time, which is the only way to leave a receiver that has frozen. What it is to do and
all packets come through its standard input (`packets`), so that no password shows in a process list. Loads
neither torch nor anything of the pipeline.
"""

import contextlib
import os
import socket
import stat
import sys
from collections.abc import Iterator, Sequence
from typing import Protocol

from av.error import FFmpegError

from vsr.live.packets import END, Message, read_messages
from vsr.live.push.hls import Hls
from vsr.live.push.muxer import Muxer
from vsr.live.push.order import PushOrder
from vsr.live.push.recording import Recording
from vsr.live.push.srt import Srt

_MPEGTS = {"pat_period": "0.5", "mpegts_flags": "resend_headers", "flush_packets": "1", "muxdelay": "0"}
_QUEUE_BYTES = 128 << 10
"""10 Mbit/s over a tenth of a second."""


class PushTarget(Protocol):
    """Where packets go."""

    notes: list[str]

    def mux(self, message: Message) -> None: ...

    def close(self) -> None: ...


def open_target(order: PushOrder, streams: Sequence[Message]) -> PushTarget:
    """Open what an order names.

    Raises:
        FFmpegError: it cannot be opened.
    """
    kind, url = order.output.kind, order.output.target
    if kind == "hls":
        return Hls(order, streams, say=tell_parent)
    if kind == "srt":
        return Srt(order, streams)
    if kind == "record":
        return Recording(order, streams, say=tell_parent)
    format, options = {
        "rtsp": ("rtsp", {"rtsp_transport": order.output.transport, "flush_packets": "1"}),
        "rtmp": ("flv", {"flvflags": "no_duration_filesize", "flush_packets": "1", "rtmp_live": "live"}),
        "udp": ("mpegts", _MPEGTS),
        "stdout": ("mpegts", _MPEGTS),
    }[kind]
    if kind == "stdout":
        url = f"pipe:{order.stdout}"
    if kind == "udp" and "pkt_size" not in url:
        url += ("&" if "?" in url else "?") + "pkt_size=1316"  # seven whole cells, below the MTU of Ethernet
    return Muxer(url, format=format, streams=streams, options=options, audio=order.audio)


def _shorten_queues() -> None:
    """Let the system keep little for a slow receiver: megabytes would hide for minutes that it has frozen.

    FFmpeg does not hand out its sockets; this process has no others.
    """
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        with contextlib.suppress(OSError):
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue  # whoever reads from a pipe of ours waits until the last descriptor of it is closed
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as one:
            if one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _QUEUE_BYTES)


def tell_parent(text: str) -> None:
    """Tell the parent something; nothing acknowledges a packet."""
    sys.stdout.write(" ".join(text.split()) + "\n")
    sys.stdout.flush()


def push(order: PushOrder, messages: Iterator[Message]) -> None:
    """Mux everything that comes into the order's target."""
    target = open_target(order, [next(messages) for _ in range(order.num_streams)])
    for note in target.notes:
        tell_parent(f"note: {note}")
    _shorten_queues()
    tell_parent("open")
    for message in messages:
        if message.stream == END:
            if isinstance(target, Hls):
                target.finish()
                return
            break
        target.mux(message)
        tell_parent("")
    target.close()


def main() -> int:
    """Do what standard input says; the exit code is 0 where it came to its end."""
    source = sys.stdin.buffer
    try:
        push(PushOrder.from_line(source.readline()), read_messages(source))
    except (FFmpegError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
