"""The FFmpeg program: where it is, what it can do, and running it as a child that cannot hang or outlive us.

Everything that starts FFmpeg goes through `Child`. Reading and muxing through PyAV happen elsewhere.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import IO

from vsr import offspring
from vsr.errors import SinkError, redact
from vsr.pulse import beat

PROTOCOLS = "file,pipe,crypto,data"
"""What an input opened by FFmpeg may reach: a playlist must not lead to other hosts."""

FROZEN_S = 50.0
"""How long FFmpeg may use no processor time while it is waited for; below `STUCK_S`, so that it is told first."""
_LOOK_EVERY_S = 1.0
Options = Mapping[str, str | int | None]
"""Options of FFmpeg's, without the dash; None where one takes no value."""
QUIET = ("-hide_banner", "-nostdin", "-y", "-loglevel", "error")
"""Nothing asked, files overwritten, errors alone told."""
_LOG_LINES = 40
"""Last lines of standard error that are kept; FFmpeg's reason is always among them."""


def find_ffmpeg() -> str:
    """Return the path of the FFmpeg program: `$VSR_FFMPEG`, else the one on
    PATH, else the one in imageio-ffmpeg.

    Raises:
        SinkError: there is none, or `$VSR_FFMPEG` names something that cannot be run.
    """
    chosen = os.environ.get("VSR_FFMPEG")
    if chosen:
        found = shutil.which(chosen)
        if found is None:
            raise SinkError(
                f"VSR_FFMPEG is {chosen!r}, which is not a program; set it to FFmpeg's path or unset it"
            )
        return found
    return shutil.which("ffmpeg") or _bundled_ffmpeg()


def _bundled_ffmpeg() -> str:
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        raise SinkError(
            "FFmpeg was not found; install it, set VSR_FFMPEG to its path, or install imageio-ffmpeg"
        ) from None


def is_bundled(binary: str) -> bool:
    """Whether an FFmpeg program is the one of imageio-ffmpeg, which is under the GPL."""
    try:
        return os.path.samefile(binary, _bundled_ffmpeg())
    except (SinkError, OSError):
        return False


def find_remuxer() -> str:
    """Return the FFmpeg that copies into Matroska: the one in imageio-ffmpeg where there is one.

    5.1 forgets Opus's codec delay when it copies without moving negative times: the sound comes 6.5 ms early.
    """
    try:
        return _bundled_ffmpeg()
    except SinkError:
        return find_ffmpeg()


def local(path: str | Path) -> str:
    """Name a file for FFmpeg such that neither a colon nor a leading dash in it is misread."""
    return f"file:{os.path.abspath(path)}"


class Child:
    """FFmpeg as a child process in a session of its own, its standard error drained by a thread.

    The session of its own keeps the terminal's Ctrl-C away from it: we stop it ourselves when
    we clean up. `wait` or `kill` must be called once; both leave neither process nor thread
    behind. Not shared between threads. Its environment is the plain one where none is given.
    """

    def __init__(
        self,
        arguments: list[str],
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
        environment: Mapping[str, str] | None = None,
        inherits: Sequence[int] = (),
    ):
        self.arguments = arguments
        self._lines: deque[str] = deque(maxlen=_LOG_LINES)
        try:
            self._process = subprocess.Popen(
                arguments,
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.PIPE,
                start_new_session=True,
                env=environment or offspring.plain_environment(),
                pass_fds=inherits,
            )
        except OSError as error:
            raise SinkError(f"FFmpeg at {arguments[0]!r} cannot be started: {error.strerror}") from error
        assert self._process.stderr is not None
        self._drain = threading.Thread(
            target=self._read_log, args=(self._process.stderr,), name="ffmpeg-log", daemon=True
        )
        self._drain.start()
        self.was_frozen = False
        """It was ended because it did nothing any more."""
        self._waiting, self._over = 0, threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="ffmpeg-watch", daemon=True)
        self._watcher.start()
        offspring.begun(self.pid)

    def _watch(self) -> None:
        """End the child where it is waited for and uses no processor time: it is stopped, or hangs in the system."""
        used, since = None, time.monotonic()
        while not self._over.wait(_LOOK_EVERY_S):
            ticks = offspring.cpu_ticks(self.pid)
            if not self._waiting or ticks is None or ticks != used:
                used, since = ticks, time.monotonic()
                if self._waiting:
                    beat()
            elif time.monotonic() - since > FROZEN_S:
                self.was_frozen = True
                self.signal_kill()
                return

    @contextlib.contextmanager
    def waited_for(self) -> Generator[None, None, None]:
        """Say that nothing goes on before the child has done something."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def _read_log(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._lines.append(line.decode("utf-8", "replace").rstrip())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def log(self) -> str:
        """The last lines of standard error, credentials removed."""
        return redact("\n".join(line for line in self._lines if line))

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the end and return the exit code, negative for a signal. May raise `TimeoutExpired`."""
        with self.waited_for():
            code = self._process.wait(timeout_s)
        self._over.set()
        offspring.ended(self.pid)
        for thread in (self._watcher, self._drain):
            thread.join(5.0)
        return code

    def kill(self) -> int:
        """End the child at once, with whatever it started. Harmless when it has ended already."""
        self.signal_kill()
        return self.wait()

    def signal_kill(self) -> None:
        """Begin to end the child and return; from any thread. `wait` or `kill` must still be called."""
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


def command_line(
    source: tuple[str, Options],
    target: tuple[str, Options],
    *,
    maps: Sequence[str] = (),
    graph: str = "",
    flags: Sequence[str] = QUIET,
    binary: str = "",
) -> list[str]:
    """Return the command line that makes one file of another.

    Args:
        source, target: a file, device or pipe as FFmpeg names it, and options for it.
        maps: what goes into the target, such as `0:v`, or `[name]` of an output of the graph; by default FFmpeg picks.
        graph: filters, as `-filter_complex` has them.
        flags: options of the whole run.
        binary: the program; by default the one that `find_ffmpeg` finds.
    """
    chosen = [argument for name in maps for argument in ("-map", name)]
    filters = ["-filter_complex", graph] if graph else []
    reading = [*_arguments(source[1]), "-i", source[0]]
    return [binary or find_ffmpeg(), *reading, *filters, *chosen, *_arguments(target[1]), target[0], *flags]


def _arguments(options: Options) -> list[str]:
    """The muxer first, then by name: the line does not depend on how the options were put together."""
    names = sorted(options, key=lambda name: (name != "f", name))
    pairs = ((f"-{name}", options[name]) for name in names)
    return [
        argument for name, value in pairs for argument in ([name] if value is None else [name, str(value)])
    ]


def frozen_line() -> str:
    """What is said of FFmpeg that was ended because it did nothing any more."""
    return f"FFmpeg has done nothing for {FROZEN_S:.0f} s and was ended; it was stopped, or the disk hangs"


def run_ffmpeg(arguments: list[str], *, timeout_s: float | None = None) -> tuple[int, str]:
    """Run FFmpeg to its end; return its exit code and last lines. One that takes too long is killed (-9)."""
    child = Child(arguments)
    try:
        code = child.wait(timeout_s)
        return code, frozen_line() if child.was_frozen else child.log
    except subprocess.TimeoutExpired:
        return child.kill(), child.log
    except BaseException:
        child.kill()
        raise


def ask_ffmpeg(binary: str, *arguments: str) -> str:
    """Return what FFmpeg says of itself, such as `-filters`.

    Raises:
        SinkError: it does not run.
    """
    try:
        done = subprocess.run(
            [binary, "-hide_banner", *arguments],
            env=offspring.plain_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=30,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SinkError(f"FFmpeg at {binary!r} does not work: {error}") from error
    return done.stdout


@lru_cache(maxsize=8)
def ffmpeg_version(binary: str) -> str:
    """Return the version as FFmpeg tells it, e.g. `5.1.9-0+deb12u1`."""
    match = re.search(r"ffmpeg version (\S+)", ask_ffmpeg(binary, "-version"))
    return match[1] if match else "unknown"


@lru_cache(maxsize=8)
def list_encoders(binary: str) -> dict[str, str]:
    """Return the video encoders that this FFmpeg was built with: name → codec, e.g. `libx264` → `h264`."""
    found: dict[str, str] = {}
    for line in ask_ffmpeg(binary, "-codecs").splitlines():
        match = re.match(r" [D.]EV\S* (\S+)", line)
        if match is None:
            continue
        named = re.search(r"\(encoders: ([^)]*)\)", line)
        found |= dict.fromkeys(named[1].split() if named else [match[1]], match[1])
    return found


@lru_cache(maxsize=8)
def has_filter(binary: str, name: str) -> bool:
    """Whether this FFmpeg was built with a filter."""
    return re.search(rf"^ \S+ {re.escape(name)} ", ask_ffmpeg(binary, "-filters"), re.MULTILINE) is not None


@lru_cache(maxsize=32)
def list_encoder_options(binary: str, encoder: str) -> frozenset[str]:
    """Return the names of an encoder's private options, without the dash."""
    return frozenset(
        re.findall(r"^\s+-(\S+)\s+<", ask_ffmpeg(binary, "-h", f"encoder={encoder}"), re.MULTILINE)
    )


@lru_cache(maxsize=32)
def list_pixel_formats(binary: str, encoder: str) -> tuple[str, ...]:
    """Return the pixel formats that an encoder takes, best first; empty where it does not say."""
    match = re.search(r"Supported pixel formats: (.+)", ask_ffmpeg(binary, "-h", f"encoder={encoder}"))
    return tuple(match[1].split()) if match else ()


def first_error_line(log: str) -> str:
    """Return the first line of a log that says something, without FFmpeg's `[name @ address]` prefix."""
    lines = [re.sub(r"^(\[[^\]]*\]\s*)+", "", line).strip() for line in log.splitlines()]
    return next((line for line in lines if line and "[info]" not in line), "no reason given")
