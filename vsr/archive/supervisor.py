"""The workers of an archive: begun, heard, replaced when they crash, ended.

They are processes because a file can end one (a decoder that crashes, memory that runs out): that is then the
failure of this file, and a new process goes on. All are equal: each claims in the state what it does next.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from vsr.archive.entry import Entry
from vsr.archive.file_worker import ArchiveWork, AtWork, Begun, Hello, Said, run_worker
from vsr.archive.state import State
from vsr.errors import VsrError
from vsr.jobs import WorkerProcess, stop_all, wait_for_news
from vsr.pipeline import Clock
from vsr.pulse import STUCK_S

_END_WITHIN_S = 3.0
"""How long a worker may take to end when it is told to; it ends itself before."""

Message = Begun | str | Entry
"""What is to be known of workers: a file has begun, and its clock goes on; a line; a file stands so in the end."""


@dataclass
class _FileWorker:
    process: WorkerProcess
    device: str
    number: int = 0
    """In the state; 0 until it has said hello."""
    clock: Clock | None = None
    """Of the file it is at."""
    heard_s: float = 0.0
    """When it gave a sign of life."""
    is_stuck: bool = False
    """It gave none, and was ended."""


class Supervisor:
    """Workers that work until nothing waits any more. Used by one thread; `stop` ends them at any time."""

    def __init__(self, state: State, work: ArchiveWork):
        self._state, self._work = state, work
        self._workers: list[_FileWorker] = []

    def start(self, num_workers: int) -> None:
        """Begin so many workers more."""
        for _ in range(num_workers):
            taken = [worker.device for worker in self._workers]
            device = min(self._work.devices, key=taken.count)
            process = WorkerProcess(run_worker, self._work.on(device), name="vsr-archive")
            worker = _FileWorker(process, device)
            self._workers.append(worker)  # before it starts, so that `stop` knows of it whatever happens
            worker.process.start()

    @property
    def is_at_work(self) -> bool:
        return bool(self._workers)

    def listen(self, timeout_s: float) -> Iterator[Message]:
        """Yield what workers have to say, after at most so many seconds.

        Raises:
            VsrError: workers cannot work, or cannot even begin.
        """
        wait_for_news([worker.process for worker in self._workers], timeout_s)
        for worker in list(self._workers):
            said: Said
            for said in worker.process.receive():
                worker.heard_s = time.monotonic()
                match said:
                    case Hello():
                        worker.number = said.worker
                    case AtWork():
                        pass
                    case VsrError():
                        raise said
                    case Clock():
                        _copy(said, worker.clock)
                    case _:
                        if not isinstance(said, str):
                            worker.clock = said.clock if isinstance(said, Begun) else None
                        yield said
            if worker.process.exit_code is not None:
                yield from self._left(worker, worker.process.exit_code)
            elif worker.number and time.monotonic() - worker.heard_s > STUCK_S:
                worker.is_stuck = True
                worker.process.kill()

    def _left(self, worker: _FileWorker, code: int) -> Iterator[Message]:
        """A worker has ended: for good, or it has crashed in a file."""
        self._workers.remove(worker)
        if code in (0, 130):
            return
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        if worker.is_stuck:
            how = (
                f"got on with nothing for {STUCK_S:.0f} s and was ended; the file, or the disk, makes it hang"
            )
        failed = self._state.fail_claimed(worker.number, f"the process that enhanced it {how}")
        yield from failed
        if not failed:
            raise VsrError(f"a process of the batch {how}")
        self.start(1)

    def stop(self) -> None:
        """End the workers; what they are at goes back, with what is finished of it."""
        stop_all([worker.process for worker in self._workers], within_s=_END_WITHIN_S)
        self._workers.clear()


def _copy(new: Clock, into: Clock | None) -> None:
    if into is not None:
        for name in Clock.__dataclass_fields__:
            setattr(into, name, getattr(new, name))
