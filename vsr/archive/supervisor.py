"""The lanes of an archive: begun, heard, replaced when they crash, ended.

They are processes because a file can end one (a decoder that crashes, memory that runs out): that is then the
failure of this file, and a new process goes on. All are equal: each claims in the state what it does next.
"""

import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from vsr.archive.file_worker import ArchiveWork, Begun, Broken, Ended, Hello, Ticked, Told, run_worker
from vsr.archive.state import State
from vsr.errors import VsrError
from vsr.pipeline import Clock

_END_WITHIN_S = 30.0
"""How long a lane may take to end when it is told to; an encoder may have a segment to flush."""

Message = Begun | Told | Ended
"""What comes out of a crew. The clock of `Begun` goes on."""


@dataclass
class _Lane:
    process: Any
    pipe: Connection
    worker: int = 0
    """0 until it has said hello."""
    clock: Clock | None = None
    """Of the file it is at."""


class Supervisor:
    """Lanes that work until nothing waits any more. Used by one thread; `stop` ends them at any time."""

    def __init__(self, ledger: State, work: ArchiveWork):
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self._processes: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self._processes.set_forkserver_preload(
                ["vsr.archive.file_worker"]
            )  # PyTorch is loaded once for all lanes
        self._ledger, self._work = ledger, work
        self._lanes: list[_Lane] = []

    def start(self, num_lanes: int) -> None:
        """Begin so many lanes more."""
        for _ in range(num_lanes):
            ours, theirs = self._processes.Pipe(duplex=False)
            lane = _Lane(
                self._processes.Process(target=run_worker, args=(self._work, theirs), name="vsr-lane"), ours
            )
            self._lanes.append(lane)  # before it starts, so that `stop` knows of it whatever happens
            lane.process.start()
            theirs.close()  # or the end of the lane would not be seen

    @property
    def is_at_work(self) -> bool:
        return bool(self._lanes)

    def listen(self, timeout_s: float) -> Iterator[Message]:
        """Yield what lanes have to say, after at most so many seconds.

        Raises:
            VsrError: lanes cannot work, or cannot even begin.
        """
        ready = wait([lane.pipe for lane in self._lanes], timeout_s)
        for lane in [lane for lane in self._lanes if lane.pipe in ready]:
            try:
                message = lane.pipe.recv()
            except (EOFError, OSError):
                yield from self._left(lane)
                continue
            if isinstance(message, Hello):
                lane.worker = message.worker
            elif isinstance(message, Broken):
                raise message.error
            elif isinstance(message, Ticked):
                _copy(message.clock, lane.clock)
            else:
                lane.clock = message.clock if isinstance(message, Begun) else None
                yield message

    def _left(self, lane: _Lane) -> Iterator[Message]:
        """A lane has ended: for good, or it has crashed in a file."""
        self._lanes.remove(lane)
        lane.process.join()
        lane.pipe.close()
        code = lane.process.exitcode
        if code in (0, 130):
            return
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        buried = self._ledger.bury(lane.worker, f"the process that enhanced it {how}")
        yield from (Ended(entry) for entry in buried)
        if not buried:
            raise VsrError(f"a process of the batch {how}")
        self.start(1)

    def stop(self) -> None:
        """End the lanes; what they are at goes back, with what is finished of it."""
        started = [lane for lane in self._lanes if lane.process.pid is not None]
        for lane in started:
            lane.process.terminate()
        for lane in started:
            lane.process.join(_END_WITHIN_S)
            if lane.process.is_alive():
                lane.process.kill()
                lane.process.join()
            lane.pipe.close()
        self._lanes.clear()


def _copy(new: Clock, into: Clock | None) -> None:
    if into is not None:
        for name in Clock.__dataclass_fields__:
            setattr(into, name, getattr(new, name))
