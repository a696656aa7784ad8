"""Processes that this one has started and that must not outlive it, and ending all of them at once.

What they do is their owners'; these say when one begins and when it has ended.
"""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

_running: set[int] = set()
_kept: list[socket.socket] = []
"""Open as long as the process lives."""

_PASSED_ON = re.compile(
    """
    PATH | HOME | USER | LOGNAME | SHELL | TERM | TZ | TMP | TEMP | TMPDIR | LANG | LC_.* | SYSTEMROOT
    | LD_LIBRARY_PATH | LD_PRELOAD | DYLD_.* | MALLOC_.* | OMP_.* | XDG_.* | FONTCONFIG_.*
    | DISPLAY | WAYLAND_DISPLAY | DRI_PRIME | MESA_.* | LIBVA_.* | VDPAU_.* | (?:ONE)?VPL_.* | MFX_.*
    | VK_.* | OCL_.* | CUDA_.* | NVIDIA_.* | HIP_.* | ROC[MR]_.* | SSL_CERT_.* | FFREPORT | AV_LOG_.* | PYTHONPATH
    """,
    re.VERBOSE,
)
"""Variables that other programs get: what loads libraries, finds devices and fonts, and speaks a language. No others: a
password in one of ours would show in /proc/PID/environ of them all, and in what they report."""


def plain_environment() -> dict[str, str]:
    """Return the environment for programs of others, with nothing in it that may be secret."""
    return {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}


def begun(pid: int) -> None:
    """Note a process of ours."""
    _running.add(pid)


def ended(pid: int) -> None:
    """Strike out one that has ended and been waited for: its number may be another's by now."""
    _running.discard(pid)


def kill_all() -> None:
    """End them all, with what they have started, and wait for none; from any thread."""
    for pid in list(_running):
        kill_family(pid)


def kill_family(pid: int) -> None:
    """End a process of ours and all that have come of it, where the system says which these are; also what is
    stopped or hangs."""
    for each in [*_descendants(pid), pid]:
        with contextlib.suppress(OSError):
            os.kill(each, signal.SIGKILL)


def _descendants(pid: int) -> list[int]:
    """Those that live, by Linux's /proc; elsewhere none."""
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, tasks.read_text().split()):
                found += [child, *_descendants(child)]
    return found


def end_within(
    seconds: float, *signals: int, code: int = 1, last_words: Callable[[], None] = lambda: None
) -> None:
    """From now on end this process and its children where a signal has not done so after so many seconds.

    A signal's handler runs when the main thread comes back to Python; where it hangs in a library it never does.
    Call it in the main thread, once.

    Args:
        seconds: what a good end may take.
        signals: numbers.
        code: exit code of a bad one.
        last_words: called before that.
    """
    read_end, write_end = socket.socketpair()
    write_end.setblocking(False)
    signal.set_wakeup_fd(write_end.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        while number := read_end.recv(1):
            if number[0] in signals:
                time.sleep(seconds)
                last_words()
                kill_all()
                os._exit(code)

    _kept.append(write_end)
    threading.Thread(target=watch, name="vsr-end", daemon=True).start()


def cpu_ticks(pid: int) -> int | None:
    """Processor time that a process has used so far, in the system's ticks; None where that is not told."""
    try:
        # proc(5): after the name, which may hold anything, in brackets: utime and stime are the 14th and 15th field.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
    except (OSError, ValueError, IndexError):
        return None
