"""SRT, by FFmpeg's program, because the FFmpeg inside PyAV has none."""

import os
import re
import subprocess
import threading
import time
from contextlib import suppress
from urllib.parse import parse_qs, urlsplit

from vsr.errors import SinkError
from vsr.live import child_pipes
from vsr.live.address import Address
from vsr.live.cameras.arrivals import await_arrival
from vsr.media import QUIET, command_line, find_ffmpeg_with, first_error_line

_LISTEN_S = 20.0
"""How long a program waits to be called before it makes way for the next: nothing else would end it, were we killed."""
_SPARE_S = 2.0
"""How much longer than we the program waits for more, so that it is we who tell what happened."""
_END_S = 1.0
"""How long a program that has closed its output may take to end."""
_REJECTED = re.compile(r"REJECT reported from HS processing: (.+?) - ")
"""In libsrt's log: what was wrong with the handshake. FFmpeg says `Input/output error` of everything."""


class PassphraseError(OSError):
    """The other side has another passphrase."""


class SrtReader:
    """MPEG-TS that comes from `srt://HOST:PORT`, or with `?mode=listener` from whoever calls PORT.

    The program ends by itself when nothing comes any more or nobody reads, so it cannot outlive us for long.

    Args:
        address: where from.
        stop: looked at several times a second.
        patience_s: time of silence after which it ends.

    Raises:
        OSError: nobody is there, or says no, or `stop` was set; `strerror` says which. `PassphraseError` where it is
            about that.
    """

    def __init__(self, address: Address, stop: threading.Event, *, patience_s: float):
        self._address, self._stop, self._patience_s = address, stop, patience_s
        self.why_over, self._over = "the stream ended", False
        self._came = b""
        self._call()
        try:
            while not self._first():
                if stop.is_set() or not self._was_not_called():
                    raise self._failure()
                self._piped.close()
                self._call()
        except BaseException:
            self.close()
            raise

    def _call(self) -> None:
        self._called_s = time.monotonic()
        command, told = _order(self._address, self._patience_s + _SPARE_S)
        try:
            self._piped = child_pipes.start(command)
        except SinkError as error:
            raise OSError(0, str(error)) from None
        with suppress(BrokenPipeError):
            os.write(self._piped.write_end, told.encode())
        self._piped.close_input()

    def _first(self) -> bool:
        """Wait for the first bytes; False where the program has ended without any, or `stop` was set."""
        if await_arrival(self._piped.read_end, self._stop, patience_s=float("inf")):
            self._came = os.read(self._piped.read_end, 1 << 16)
        return bool(self._came)

    def _was_not_called(self) -> bool:
        """Whether the program has listened for as long as it was to, and nobody called."""
        listens = "listener" in parse_qs(urlsplit(self._address.url).query).get("mode", [])
        return listens and time.monotonic() - self._called_s >= _LISTEN_S

    def _failure(self) -> OSError:
        if self._stop.is_set():
            return OSError(0, "stopped")
        kind = PassphraseError if "passphrase" in (reason := self._reason()) else OSError
        return kind(0, reason)

    def _reason(self) -> str:
        """What the program says that has ended."""
        with suppress(subprocess.TimeoutExpired):
            self._piped.child.wait(_END_S)
        log = self._piped.child.log
        if rejected := _REJECTED.search(log):
            return rejected[1].lower()
        own = [line for line in log.splitlines() if line.startswith("[srt @")]
        reason = first_error_line("\n".join(own) or log)
        if reason.startswith("Connection to"):
            return "no connection: nobody answers, or who does says no"
        return self._address.redact(reason).lower()

    def read(self, size: int) -> bytes:
        """Return what comes next, at most `size` bytes of it; nothing at the end."""
        if self._came:
            data, self._came = self._came[:size], self._came[size:]
            return data
        if not self._over and await_arrival(self._piped.read_end, self._stop, patience_s=self._patience_s):
            if data := os.read(self._piped.read_end, size):
                return data
            self.why_over = f"the stream ended ({self._reason()})"
        self._over = True  # FFmpeg asks several times before it believes that a file has ended
        return b""

    def close(self) -> None:
        self._piped.close()


def _order(address: Address, wait_s: float) -> tuple[list[str], str]:
    """Return the program's command line, and what it is told by its standard input.

    It hands on the bytes as they come. Only where something of the address is secret, which a command line would show,
    it reads a list with the address in it, and must mux anew what it reads, with the times that were sent.

    Args:
        address: where from.
        wait_s: how long it waits for more before it ends.
    """
    url, binary, flags = _bounded(address.url, wait_s), find_ffmpeg_with("srt"), (*QUIET, "-copyts")
    target = {"c": "copy", "flush_packets": 1}
    if not address.secrets:
        source = url, {"f": "data", "protocol_whitelist": "srt", "probesize": 32}
        target = {"f": "data", **target}
        return command_line(source, ("pipe:1", target), maps=("0",), flags=flags, binary=binary), ""
    quick = {"fpsprobesize": 0, "analyzeduration": 1_000_000}
    source = "pipe:0", {
        "f": "concat", "safe": 0, "protocol_whitelist": "pipe,srt", "format_whitelist": "concat,mpegts", **quick
    }  # fmt: skip
    target = {"f": "mpegts", "max_interleave_delta": 1, "muxdelay": 0, "muxpreload": 0, **target}
    quoted = url.replace("'", r"'\''")
    lines = ["ffconcat version 1.0", f"file '{quoted}'", *(f"option {name} {quick[name]}" for name in quick)]
    command = command_line(source, ("pipe:1", target), maps=("0:v", "0:a?"), flags=flags, binary=binary)
    return command, "\n".join(lines) + "\n"


def _bounded(url: str, wait_s: float) -> str:
    """Return an address with bounds for waiting, in µs, where it has none of its own."""
    given = parse_qs(urlsplit(url).query)
    bounds = {"timeout": wait_s, "listen_timeout": _LISTEN_S}
    added = [f"{key}={round(seconds * 1e6)}" for key, seconds in bounds.items() if key not in given]
    return url + ("&" if "?" in url else "?") + "&".join(added) if added else url
