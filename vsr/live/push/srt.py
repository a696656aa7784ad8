"""SRT, sent by FFmpeg's program. Runs in an output's process."""

import os
import subprocess
from collections.abc import Sequence

from vsr.live.packets import Message
from vsr.live.push.muxer import Muxer
from vsr.live.push.order import PushOrder
from vsr.offspring import plain_environment

_READ = ["-hide_banner", "-loglevel", "error", "-probesize", "32", "-f", "nut", "-i", "pipe:0"]
_WRITE = ["-map", "0", "-c", "copy", "-f", "mpegts", "-flush_packets", "1"]


def hidden_options(url: str) -> tuple[str, bytes]:
    """Take the passphrase out of an address; return what is left, and the passphrase as a preset of FFmpeg's, nothing
    where there is none. FFmpeg takes passphrases as they stand in an address, but + for a space."""
    place, _, query = url.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    shown = "&".join("".join(pair) for pair in pairs if pair[0] != "passphrase")
    hidden = [f"passphrase={value.replace('+', ' ')}\n" for key, _, value in pairs if key == "passphrase"]
    return place + (f"?{shown}" if shown else ""), "".join(hidden).encode()


class Srt:
    """FFmpeg's program, because the FFmpeg inside PyAV has no SRT. The address shows in the process list, but for its
    passphrase, which the program reads from a pipe."""

    def __init__(self, order: PushOrder, streams: Sequence[Message]):
        target, hidden = hidden_options(order.output.target)
        read_end, write_end = os.pipe()
        os.write(write_end, hidden)
        os.close(write_end)
        preset = ["-fpre", f"/dev/fd/{read_end}"] if hidden else []
        command = [order.ffmpeg, *_READ, *_WRITE, *preset, target]
        try:
            self._sender = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                env=plain_environment(),
                pass_fds=[read_end] if hidden else [],
            )
        finally:
            os.close(read_end)
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
