"""Processes that work for this one: started, heard, ended, and never left behind.
What they do and say is their users'.

Never a copy of this process with its threads and GPU; where there is a fork
server, processes share what it has loaded.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any

from vsr import offspring
from vsr.engine import tune_process
from vsr.offspring import end_within

_END_WITHIN_S = 2.5
"""What a worker that is told to end may take to clean up; an encoder may have a segment to flush."""

_START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


class WorkerProcess:
    """A process, and the pipe between it and this one. Used by one thread."""

    def __init__(
        self,
        work: Callable[..., None],
        *arguments: object,
        name: str,
        daemon: bool = False,
        preload: Sequence[str] = (),
    ):
        """Prepare.

        Args:
            work: a function of a module; called in the process with its end of the pipe, then `arguments`.
            name: of the process.
            daemon: it has no worker processes of its own, and is ended with this process in any case.
            preload: modules that work which must not wait has loaded once for all; the first process decides.
        """
        context: Any = multiprocessing.get_context(_START)
        if _START == "forkserver":
            context.set_forkserver_preload(
                ["__main__", work.__module__, *preload]
            )  # PyTorch is loaded once for all
        self.pipe, self._theirs = context.Pipe()
        self._process = context.Process(
            target=work, args=(self._theirs, *arguments), name=name, daemon=daemon
        )
        self.exit_code: int | None = None
        """Negative for a signal; None until its end has been heard of by `receive`."""

    def start(self) -> None:
        """Begin to work."""
        self._process.start()
        assert self.pid is not None
        offspring.begun(self.pid)
        self._theirs.close()  # or the end of the process would not be seen

    @property
    def pid(self) -> int | None:
        """None before the start."""
        return self._process.pid

    def send(self, message: object) -> None:
        """Tell it something; where it has died, `receive` hears of that."""
        with suppress(OSError):
            self.pipe.send(message)

    def receive(self) -> Iterator[Any]:
        """Yield what it has said. Where it has ended, all that it had said before, and `exit_code` is set."""
        try:
            while self.pipe.poll():
                yield self.pipe.recv()
        except (EOFError, OSError):
            self._join(None)
            self.pipe.close()
            self.exit_code = self._process.exitcode

    def terminate(self) -> None:
        """Have it end, if it has been started."""
        if self.pid is not None:
            self._process.terminate()

    def kill(self) -> None:
        """End it at once with all that it has started, whatever it is at; `receive` hears of it."""
        if self.pid is not None:
            offspring.kill_family(self.pid)

    def join(self, timeout_s: float) -> None:
        """Wait for its end; after so many seconds kill it."""
        if self.pid is not None:
            self._join(timeout_s)
            if self._process.is_alive():
                self.kill()
                self._join(None)
        self.pipe.close()

    def _join(self, timeout_s: float | None) -> None:
        self._process.join(timeout_s)
        if self.pid is not None and not self._process.is_alive():
            offspring.ended(self.pid)


def wait_for_news(processes: Iterable[WorkerProcess], timeout_s: float) -> None:
    """Wait until one of the processes has said something or has ended, but not longer than so."""
    wait([process.pipe for process in processes], timeout_s)


def stop_all(processes: Sequence[WorkerProcess], *, within_s: float) -> None:
    """End all processes; those that have not cleaned up after so many seconds are killed."""
    for process in processes:
        process.terminate()
    end_s = time.monotonic() + within_s
    for process in processes:
        process.join(max(0.0, end_s - time.monotonic()))


def become_worker(ended_by: BaseException, *, within_s: float = _END_WITHIN_S) -> None:
    """Set this process up as a worker; called by its work before anything else.

    SIGTERM, and the end of the process that has started it, raise `ended_by` in the main thread, once; where that
    does not end it within so many seconds, it is ended with its FFmpeg. The terminal's signals
    are for that other process.
    """

    def terminated(_signal: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # cleaning up is not to be disturbed
        raise ended_by

    for name in ("SIGINT", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, terminated)
    end_within(within_s, signal.SIGTERM)
    threading.Thread(target=_end_with_parent, name="vsr-parent", daemon=True).start()
    tune_process()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
