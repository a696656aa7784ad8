"""Files of strangers are read once in a process of its own, with limits of memory and time, before they are read
here: what hangs, takes all memory or crashes there is one clear error."""

import contextlib
import faulthandler
import gc
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from vsr.errors import ModelError, one_line
from vsr.models.files.onnx_check import bytes_beside
from vsr.offspring import cpu_ticks
from vsr.pulse import at_work

MOST_TIMES = "VSR_MODEL_LIMIT"
"""Environment variable: how many times these limits a file may take; 0 reads without a trial."""

_BYTES = 1 << 30
_TIMES_THE_FILE = 8
"""Memory beyond what the process has: so much, and so many copies of the file."""

_SECONDS = {".onnx": 4.0, ".pb": 4.0}
_SECONDS_ELSE = 8.0
_BYTES_PER_S = 20 << 20
"""Processor time: so much by the file's ending, and what a file takes that is read at this pace."""

_STUCK_S = 30.0
"""Without any processor time for so long: a lock that another of our threads held when we forked is never given back
in the fork. A busy machine gives some time in so long."""

_STUCK = object()
"""Said of a process that is."""

_FORKS = 3
"""Tries before a file counts as one that is waited for in vain."""

_PATIENCE = 8
"""Times the processor time that it may take by the clock, where the system does not tell processor time."""

_START = "fork" if sys.platform == "linux" else "spawn"


def try_out(read: Callable[[Path], object], path: Path) -> None:
    """Have a file read by another process, which ends then.

    On Linux it is a fork, which has all that is loaded; it uses no GPU and one thread.

    Args:
        read: a function of a module; reads on the CPU alone.
        path: of the file.

    Raises:
        ModelError: what the reader says, or that it took too much memory or time, or crashed.
    """
    times = _times()
    if not times or not path.is_file() or multiprocessing.current_process().daemon:
        return  # a daemon may have no children; what it reads has been tried by who has started it
    size = path.stat().st_size + (bytes_beside(path) if path.suffix == ".onnx" else 0)
    memory = round(times * (_BYTES + _TIMES_THE_FILE * size))
    seconds = times * (_SECONDS.get(path.suffix, _SECONDS_ELSE) + size / _BYTES_PER_S)
    said, code = _said(read, path, memory, seconds)
    for _ in range(_FORKS - 1):
        if said is _STUCK:
            said, code = _said(read, path, memory, seconds)
    if said is None:
        raise ModelError(f"{path.name} {_death(code, seconds)}")
    if said is _STUCK:
        raise ModelError(f"{path.name} cannot be read: its reader waits and gets no further")
    if isinstance(said, MemoryError):
        raise _too_large(path, memory)
    if isinstance(said, ModelError):
        raise said


def _said(
    read: Callable[[Path], object], path: Path, memory: int, seconds: float
) -> tuple[object, int | None]:
    """What another process says of a file, `_STUCK` or None where it says nothing, and its exit code."""
    context: Any = multiprocessing.get_context(_START)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_try, args=(theirs, read, path, memory, round(seconds) + 1), daemon=True)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # that we have threads: the child uses none of theirs
        process.start()
    theirs.close()
    try:
        with at_work():
            said = _heard(ours, process.pid, seconds)
    finally:
        process.kill()
        process.join()
        ours.close()
    return said, process.exitcode


def _heard(pipe: Connection, pid: int, seconds: float) -> object:
    """What it says, None where it dies, `_STUCK` where it uses no processor time any more; such time is limited
    by the system (`_limit`), if that can."""
    began_s = since_s = time.monotonic()
    used = cpu_ticks(pid)
    while not pipe.poll(0.1):
        before, used, now_s = used, cpu_ticks(pid), time.monotonic()
        if used is None and now_s - began_s > _PATIENCE * seconds:
            return None
        since_s = now_s if used is None or used != before else since_s
        if now_s - since_s > _STUCK_S:
            return _STUCK
    try:
        return pipe.recv()
    except EOFError:
        return None


def _times() -> float:
    value = os.environ.get(MOST_TIMES, "1")
    try:
        return max(0.0, float(value))
    except ValueError:
        raise ModelError(f"{MOST_TIMES} is {value!r}; a number such as 4 is expected") from None


def _too_large(path: Path, memory: int) -> ModelError:
    return ModelError(
        f"{path.name} takes more than {memory / 1e9:.1f} GB to read, far more than the file's size explains;"
        f" {MOST_TIMES}=4 allows it four times as much"
    )


def _death(code: int | None, seconds: float) -> str:
    """What the end of a process that has said nothing means."""
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return (
            f"was not read in {seconds:.0f} s of processor time; {MOST_TIMES}=4 allows it four times as much"
        )
    return "cannot be read: it crashes its reader; it is damaged or made to do harm"


def _try(pipe: Connection, read: Callable[[Path], object], path: Path, memory: int, seconds: int) -> None:
    """What the other process does: reads, and says what came of it."""
    gc.disable()  # what the parent has, such as threads of ONNX Runtime's, must not be taken down here
    faulthandler.disable()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libraries tell of what they die; we do, too
    _limit(memory, seconds)
    torch.set_num_threads(1)
    try:
        read(path)
        said: object = ""
    except ModelError as error:
        said = MemoryError() if _is_of_memory(error) else error
    except MemoryError:
        said = MemoryError()
    except Exception as error:
        lack = _is_of_memory(error)
        said = MemoryError() if lack else ModelError(f"{path.name} cannot be read: {_told(error)}")
    pipe.send(said)
    os._exit(0)  # without what the parent would do at its end


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error)}"


def _is_of_memory(error: BaseException) -> bool:
    """Whether a library means that there was no memory; each has words of its own."""
    return any(
        word in str(error) for word in ("allocate memory", "bad_alloc", "bad allocation", "MemoryError")
    )


def _limit(memory: int, seconds: int) -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory, used + memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
