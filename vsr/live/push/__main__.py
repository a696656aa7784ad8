"""One output of a live stream as a process of its own: `python -m vsr.live.push`.

It can be killed at any time, which is the only way to leave a receiver that has frozen. What it is to do and
all packets come through its standard input (`wire`), so that no password shows in a process list. Loads
neither torch nor anything of the pipeline.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any, Protocol

from av.error import FFmpegError

from vsr.live.packets import END, Message, read_messages
from vsr.live.push.muxer import Muxer
from vsr.live.push.recording import Recording

_MPEGTS_AUDIO = frozenset({"aac", "mp2", "mp3", "ac3", "eac3", "opus"})
_AUDIO = {
    "rtsp": frozenset({"pcm_alaw", "pcm_mulaw", "aac", "opus", "mp3", "ac3", "adpcm_g722"}),
    "rtmp": frozenset({"aac", "mp3"}),
    "udp": _MPEGTS_AUDIO,
    "srt": _MPEGTS_AUDIO,
    "hls": frozenset({"aac", "mp3", "ac3", "eac3"}),
}
"""Audio codecs that receivers of each kind understand; others would be muxed and not heard, or stop the
picture. They become AAC."""
_MPEGTS = {"pat_period": "0.5", "mpegts_flags": "resend_headers", "flush_packets": "1", "muxdelay": "0"}
_LISTED_S, _KEPT_S = 6.0, 2.0
"""Of HLS: how much is listed, twice of what a player holds back by the standard; how long it stays after
that."""
_QUEUE_BYTES = 128 << 10
"""10 Mbit/s over a tenth of a second."""


class Target(Protocol):
    """Where packets go."""

    notes: list[str]

    def mux(self, message: Message) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class PushOrder:
    """What the parent wants; the line of JSON."""

    kind: str
    target: str
    """URL with user and password, or folder."""
    streams: int = 1
    """How many descriptions follow."""
    transport: str = "tcp"
    """Of RTSP."""
    segment_s: float = 0.0
    prefix: str = ""
    """What names of recorded files begin with."""
    suffix: str = ""
    """What they end with, before the extension."""
    keep_s: float = 0.0
    keep_bytes: float = 0.0
    min_free_bytes: float = 0.0
    fresh: bool = False
    """HLS: a new playlist; what an old one holds is of another picture size, or of a run before."""
    ffmpeg: str = ""
    """The program that sends SRT."""


class Hls:
    """A playlist and short fMP4 segments in a folder. Both appear by renaming, old segments are deleted.

    Plain HLS: FFmpeg's muxer writes no parts, which would need a server of their own to be of use. A reader
    finds a frame half a segment to two segments after it was encoded (measured: 0.6 s, p95 0.9, with segments
    of 0.5 s; 0.3 and
    0.5 with 0.25 s). A player that goes by the standard stays three times EXT-X-TARGETDURATION behind that, whose least
    is 1 s, unless it is told otherwise.
    """

    def __init__(self, job: PushOrder, streams: Sequence[Message]):
        folder = Path(job.target)
        folder.mkdir(parents=True, exist_ok=True)
        self._playlist = folder / "live.m3u8"
        if job.fresh:
            for path in (self._playlist, *folder.glob("live-*.m4s*"), *folder.glob("live-*.mp4*")):
                path.unlink(missing_ok=True)
        segment_s = job.segment_s or 0.5
        # Keyframes come at most a second apart and a frame late now and then: where each is to begin a
        # segment, a little less than their distance is asked for, or two would make one of twice the length.
        least_s = 0.8 * segment_s if segment_s <= 1 else segment_s
        options = {
            "hls_time": f"{least_s:g}",
            "hls_list_size": str(max(6, ceil(_LISTED_S / segment_s))),
            "hls_delete_threshold": str(max(4, ceil(_KEPT_S / segment_s))),
            "hls_flags": "delete_segments+omit_endlist+independent_segments+temp_file+program_date_time"
            + ("" if job.fresh else "+append_list"),
            "hls_segment_type": "fmp4",
            "hls_fmp4_init_filename": "live-init.mp4",
            "hls_segment_filename": str(folder / "live-%d.m4s"),
            # Numbers go up over restarts of ours too, which no count of segments would.
            "hls_start_number_source": "epoch_us",
            "max_interleave_delta": "500000",
        }
        self._muxer = Muxer(
            str(self._playlist), format="hls", streams=streams, options=options, audio=_AUDIO["hls"]
        )
        self.notes = self._muxer.notes
        self.mux = self._muxer.mux

    def close(self) -> None:
        self._muxer.close()

    def finish(self) -> None:
        """Tell players that nothing follows."""
        self.close()
        with contextlib.suppress(OSError):
            text = self._playlist.read_text(encoding="utf-8")
            part = self._playlist.with_suffix(".part")
            part.write_text(text + "#EXT-X-ENDLIST\n", encoding="utf-8")
            part.replace(self._playlist)


class Srt:
    """FFmpeg's program, because the FFmpeg inside PyAV has no SRT. The address shows in the process list."""

    def __init__(self, job: PushOrder, streams: Sequence[Message]):
        command = [
            job.ffmpeg,
            "-hide_banner",
            "-loglevel",
            "error",
            "-probesize",
            "32",
            "-f",
            "nut",
            "-i",
            "pipe:0",
            "-map",
            "0",
            "-c",
            "copy",
            "-f",
            "mpegts",
            "-flush_packets",
            "1",
            job.target,
        ]
        self._sender = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert self._sender.stdin is not None
        options = {"flush_packets": "1"}
        pipe = f"pipe:{self._sender.stdin.fileno()}"
        self._muxer = Muxer(pipe, format="nut", streams=streams, options=options, audio=_AUDIO["srt"])
        self.notes = self._muxer.notes
        self.mux = self._muxer.mux

    def close(self) -> None:
        assert self._sender.stdin is not None
        self._muxer.close()
        self._sender.stdin.close()
        self._sender.wait(2)


def open_target(job: PushOrder, streams: Sequence[Message]) -> Target:
    """Open what a job names.

    Raises:
        FFmpegError: it cannot be opened.
    """
    if job.kind == "hls":
        return Hls(job, streams)
    if job.kind == "srt":
        return Srt(job, streams)
    if job.kind == "record":
        return Recording(
            Path(job.target),
            streams,
            segment_s=job.segment_s or 60.0,
            prefix=job.prefix,
            suffix=job.suffix,
            keep_s=job.keep_s,
            keep_bytes=job.keep_bytes,
            min_free_bytes=job.min_free_bytes,
            say=tell_parent,
        )
    format, options = {
        "rtsp": ("rtsp", {"rtsp_transport": job.transport, "flush_packets": "1"}),
        "rtmp": ("flv", {"flvflags": "no_duration_filesize", "flush_packets": "1", "rtmp_live": "live"}),
        "udp": ("mpegts", _MPEGTS),
    }[job.kind]
    url = job.target
    if job.kind == "udp" and "pkt_size" not in url:
        url += ("&" if "?" in url else "?") + "pkt_size=1316"  # seven whole cells, below the MTU of Ethernet
    return Muxer(url, format=format, streams=streams, options=options, audio=_AUDIO[job.kind])


def _shorten_queues() -> None:
    """Let the system keep little for a receiver that is slow: megabytes would hide for minutes that it has
    frozen.

    FFmpeg does not hand out its sockets; this process has no others.
    """
    for name in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(int(name))) as one:
            if one.family in (socket.AF_INET, socket.AF_INET6) and one.type == socket.SOCK_STREAM:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _QUEUE_BYTES)


def tell_parent(text: str) -> None:
    """Tell the parent something; nothing acknowledges a packet."""
    sys.stdout.write(" ".join(text.split()) + "\n")
    sys.stdout.flush()


def push(job: PushOrder, messages: Any) -> None:
    """Mux everything that comes into the job's target."""
    streams = [next(messages) for _ in range(job.streams)]
    target = open_target(job, streams)
    for note in target.notes:
        tell_parent(f"note: {note}")
    _shorten_queues()
    tell_parent("open")
    finished = False
    for message in messages:
        if message.stream == END:
            finished = True
            break
        target.mux(message)
        tell_parent("")
    if finished and isinstance(target, Hls):
        target.finish()
    else:
        target.close()


def main() -> int:
    """Do the job that standard input holds; the exit code is 0 where it came to its end."""
    source = sys.stdin.buffer
    job = PushOrder(**json.loads(source.readline()))
    try:
        push(job, chain(read_messages(source)))
    except (FFmpegError, OSError, ValueError, subprocess.TimeoutExpired) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
