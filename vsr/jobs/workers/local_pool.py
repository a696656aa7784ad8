"""Workers on this machine: processes that each enhance one segment at a time, on a device of their own.

A worker that stops for any reason leaves no line in the journal, so
whatever happens costs at most its segment.
"""

import contextlib
import pickle
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self

from vsr.engine import CPU_THREADS
from vsr.jobs.plan import Plan
from vsr.jobs.segments.journal import Gap
from vsr.jobs.workers.pool import Died, Failed, Finished, News, SegmentProgress
from vsr.jobs.workers.worker import Worker, attempt, failed, packed
from vsr.jobs.workers.worker_process import WorkerProcess, become_worker, stop_all, wait_for_news

_END_WITHIN_S = 3.0
"""How long a worker may take to end its encoder."""


@dataclass
class _SegmentWorker:
    """One worker as its pool sees it."""

    turn: int
    process: WorkerProcess
    gap: Gap | None = None
    """What it is at."""


class LocalPool:
    """A pool of processes on this machine."""

    def __init__(self, plan: Plan, folder: Path, *, devices: Sequence[str], num: int):
        """Prepare; workers start when there is something to do for them.

        Args:
            plan: what is done.
            folder: the job's, where segments are written.
            devices: taken in turn by the workers.
            num: most workers at once; they share the CPU's cores.

        Raises:
            ConfigError: a network cannot be sent to other processes.
        """
        self._packed, self._folder, self._num = packed(plan), folder, num
        self._devices, self._threads = devices, plan.options.engine.threads or max(1, CPU_THREADS // num)
        self._waiting: deque[Gap] = deque()
        self._workers: list[_SegmentWorker] = []

    @property
    def width(self) -> int:
        return 2 * self._num

    def submit(self, gap: Gap) -> None:
        self._waiting.append(gap)
        self._hand_out()

    def _hand_out(self) -> None:
        """Give waiting gaps to workers that are idle or may be started."""
        while self._waiting:
            worker = next((each for each in self._workers if each.gap is None), None)
            if worker is None and len(self._workers) < self._num:
                worker = self._start()
            if worker is None:
                return
            worker.gap = self._waiting.popleft()
            worker.process.send(worker.gap)

    def _start(self) -> _SegmentWorker:
        taken = {each.turn for each in self._workers}
        turn = next(turn for turn in range(self._num) if turn not in taken)
        place = self._devices[turn % len(self._devices)], self._threads
        name = f"vsr-worker-{turn}"
        process = WorkerProcess(_work, self._packed, place, self._folder, name=name, daemon=True)
        worker = _SegmentWorker(turn, process)
        self._workers.append(worker)
        process.start()
        return worker

    def news(self, timeout_s: float) -> list[News]:
        wait_for_news([each.process for each in self._workers], timeout_s)
        heard = [news for each in list(self._workers) for news in self._listen(each)]
        self._hand_out()
        return heard

    def _listen(self, worker: _SegmentWorker) -> list[News]:
        """What one worker has said; its end is news, too."""
        heard: list[News] = []
        news: SegmentProgress | Finished | Failed
        for news in worker.process.receive():
            heard.append(news)
            if not isinstance(news, SegmentProgress):
                worker.gap = None
        if worker.process.exit_code is not None:
            self._workers.remove(worker)
            if worker.gap is not None:
                heard.append(Died(worker.gap.number, _cause(worker.process.exit_code)))
        return heard

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers; their encoders end with them."""
        stop_all([each.process for each in self._workers], within_s=_END_WITHIN_S)
        self._workers.clear()


def _cause(code: int) -> str:
    return f"a worker was killed by signal {-code}" if code < 0 else f"a worker ended with exit code {code}"


def _work(pipe: "Connection[Any, Any]", packed: bytes, place: tuple[str, int], folder: Path) -> None:
    """What a worker's process does; `place` is its device and threads."""
    become_worker(SystemExit(1))
    worker: Worker | None = None
    with contextlib.suppress(EOFError, ConnectionError), pipe:
        while True:
            gap: Gap = pipe.recv()
            try:
                worker = worker or Worker(pickle.loads(packed).on_device(*place))
            except Exception as error:
                pipe.send(failed(gap, error))
                continue
            pipe.send(attempt(worker, gap, folder, pipe.send))
