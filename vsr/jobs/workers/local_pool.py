"""Workers on this machine: processes that each enhance one segment at a time, on a device of their own.

A worker that stops for any reason leaves no line in the journal, so whatever happens costs at most its
segment. Workers notice when nobody listens any more, and end.
"""

import contextlib
import multiprocessing
import pickle
import signal
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vsr.engine.device import CPU_THREADS
from vsr.engine.malloc import tune_malloc
from vsr.jobs.segments.journal import Gap
from vsr.jobs.workers.pool import Died, Failed, Finished, News, SegmentProgress
from vsr.jobs.workers.worker import SegmentWork, Worker, attempt, failed

# Never a copy of this process with its threads and GPU; where there is a fork server, workers share what it
# has loaded.
_START = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"

_STOP_S = 10.0
"""How long a worker may take to end its encoder."""


@dataclass
class _Process:
    """One worker as its pool sees it."""

    turn: int
    process: Any
    connection: "Connection[Any, Any]"
    gap: Gap | None = None
    """What it is at."""


class LocalPool:
    """A pool of processes on this machine."""

    def __init__(self, work: SegmentWork, folder: Path, *, devices: Sequence[str], num: int):
        """Prepare; workers start when there is something to do for them.

        Args:
            work: what is done.
            folder: the job's, where segments are written.
            devices: taken in turn by the workers.
            num: most workers at once; they share the CPU's cores.

        Raises:
            ConfigError: a network cannot be sent to other processes.
        """
        self._packed, self._folder, self._num = work.packed(), folder, num
        self._engines = [
            replace(work.engine, device=device, threads=work.engine.threads or max(1, CPU_THREADS // num))
            for device in devices
        ]
        self._context: Any = multiprocessing.get_context(_START)
        if _START == "forkserver":
            self._context.set_forkserver_preload(["__main__", __name__])  # read once, not by each worker
        self._waiting: deque[Gap] = deque()
        self._processes: list[_Process] = []

    @property
    def width(self) -> int:
        return 2 * self._num

    def submit(self, gap: Gap) -> None:
        self._waiting.append(gap)
        self._hand_out()

    def _hand_out(self) -> None:
        """Give waiting gaps to workers that are idle or may be started."""
        while self._waiting:
            worker = next((each for each in self._processes if each.gap is None), None)
            if worker is None and len(self._processes) < self._num:
                worker = self._start()
            if worker is None:
                return
            worker.gap = self._waiting.popleft()
            with contextlib.suppress(OSError):  # it has died, which is heard of like any news
                worker.connection.send(worker.gap)

    def _start(self) -> _Process:
        taken = {each.turn for each in self._processes}
        turn = next(turn for turn in range(self._num) if turn not in taken)
        engine = self._engines[turn % len(self._engines)]
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_work,
            args=(theirs, self._packed, engine, self._folder),
            name=f"vsr-worker-{turn}",
            daemon=True,
        )
        process.start()
        theirs.close()  # or the end of the worker would not be seen
        worker = _Process(turn, process, ours)
        self._processes.append(worker)
        return worker

    def news(self, timeout_s: float) -> list[News]:
        wait([each.connection for each in self._processes], timeout_s)
        heard = [news for each in list(self._processes) for news in self._listen(each)]
        self._hand_out()
        return heard

    def _listen(self, worker: _Process) -> list[News]:
        """What one worker has said; the end of a line is news, too."""
        heard: list[News] = []
        try:
            while worker.connection.poll():
                news: SegmentProgress | Finished | Failed = worker.connection.recv()
                heard.append(news)
                if not isinstance(news, SegmentProgress):
                    worker.gap = None
        except (EOFError, OSError):
            self._processes.remove(worker)
            worker.connection.close()
            worker.process.join()
            if worker.gap is not None:
                heard.append(Died(worker.gap.number, _cause(worker.process.exitcode)))
        return heard

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the workers, those that are at something at once; their encoders end with them."""
        for each in self._processes:
            if each.gap is None:
                with contextlib.suppress(OSError):
                    each.connection.send(None)
            else:
                each.process.terminate()
        for each in self._processes:
            each.process.join(_STOP_S)
            if each.process.is_alive():
                each.process.kill()
                each.process.join()
            each.connection.close()
        self._processes.clear()


def _cause(code: int) -> str:
    return f"a worker was killed by signal {-code}" if code < 0 else f"a worker ended with exit code {code}"


def _work(connection: "Connection[Any, Any]", packed: bytes, engine: Any, folder: Path) -> None:
    """What a worker's process does."""
    for name in ("SIGINT", "SIGHUP"):  # the terminal's are for who holds the journal
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    tune_malloc()
    worker: Worker | None = None
    with contextlib.suppress(EOFError, ConnectionError), connection:
        while (gap := connection.recv()) is not None:
            try:
                worker = worker or Worker(replace(pickle.loads(packed), engine=engine))
            except Exception as error:
                connection.send(failed(gap, error))
                continue
            connection.send(attempt(worker, gap, folder, connection.send))


def _stop(_signal: int, _frame: object) -> None:
    raise SystemExit(1)
