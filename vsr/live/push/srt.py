"""SRT, sent by FFmpeg's program. Runs in an output's process."""

import subprocess
from collections.abc import Sequence

from vsr.live.packets import Message
from vsr.live.push.muxer import Muxer
from vsr.live.push.order import PushOrder

_READ = ["-hide_banner", "-loglevel", "error", "-probesize", "32", "-f", "nut", "-i", "pipe:0"]
_WRITE = ["-map", "0", "-c", "copy", "-f", "mpegts", "-flush_packets", "1"]


class Srt:
    """FFmpeg's program, because the FFmpeg inside PyAV has no SRT. The address shows in the process list."""

    def __init__(self, order: PushOrder, streams: Sequence[Message]):
        command = [order.ffmpeg, *_READ, *_WRITE, order.output.target]
        self._sender = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert self._sender.stdin is not None
        self._stdin, options = self._sender.stdin, {"flush_packets": "1"}
        pipe = f"pipe:{self._stdin.fileno()}"
        self._muxer = Muxer(pipe, format="nut", streams=streams, options=options, audio=order.audio)
        self.notes, self.mux = self._muxer.notes, self._muxer.mux

    def close(self) -> None:
        """Write what belongs to the end, and wait until it has been sent.

        Raises:
            TimeoutError: it was not sent within two seconds.
        """
        self._muxer.close()
        self._stdin.close()
        try:
            self._sender.wait(2)
        except subprocess.TimeoutExpired:
            raise TimeoutError("what was left was not sent within two seconds") from None
