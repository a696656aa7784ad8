"""Processes that enhance an archive's files, each one file at a time.

They are processes because a file can end one (a decoder that crashes, memory that runs out): that is then the failure
of this file, and a new process goes on. All are equal: each claims in the state what it does next.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from vsr.config import EnhanceOptions
from vsr.engine.malloc import tune_malloc
from vsr.errors import SourceError, VerifyError, VsrError
from vsr.jobs.files import Outcome
from vsr.jobs.identity import sampled
from vsr.jobs.inputs import Job
from vsr.jobs.journal import OtherJobError
from vsr.jobs.ledger import Entry, Ledger, Stamp
from vsr.jobs.plan import Plan, make_plan
from vsr.jobs.provenance import Record, provenance, write_sidecar
from vsr.jobs.records import NAME, work_folder
from vsr.jobs.runner import Result, run_file
from vsr.pipeline import Clock

_TELL_EVERY_S = 0.25
_END_WITHIN_S = 30.0
"""How long a lane may take to end when it is told to; an encoder may have a segment to flush."""


@dataclass(frozen=True)
class Work:
    """What lanes do."""

    out: Path
    jobs: tuple[Job, ...]
    options: EnhanceOptions
    wishes: Mapping[str, str]
    sidecar: bool = False
    debug: bool = False
    """Print tracebacks."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A lane begins to enhance a file."""

    source: Path
    num_frames: int | None
    clock: Clock


@dataclass(frozen=True, slots=True)
class Told:
    """A lane has something to say that cannot wait."""

    line: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A file is done or has failed."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class _Hello:
    worker: int


@dataclass(frozen=True, slots=True)
class _Ticked:
    clock: Clock


@dataclass(frozen=True, slots=True)
class _Broken:
    error: VsrError


Message = Begun | Told | Ended
"""What comes out of a crew. The clock of `Begun` goes on."""


class _Wire:
    """A lane's side of the pipe, and the `View` of what it does. Ends the lane when who began it is gone."""

    def __init__(self, pipe: Connection):
        self._pipe, self._lock, self._clock = pipe, threading.Lock(), None
        threading.Thread(target=self._tick, name="wire", daemon=True).start()

    def send(self, message: Any) -> None:
        with self._lock, contextlib.suppress(OSError):  # nobody listens any more: `_tick` sees to that
            self._pipe.send(message)

    def _tick(self) -> None:
        parent = multiprocessing.parent_process()
        assert parent is not None
        while not wait([parent.sentinel], _TELL_EVERY_S):
            if (clock := self._clock) is not None:
                self.send(_Ticked(replace(clock)))
        os.kill(os.getpid(), signal.SIGTERM)

    @contextmanager
    def at_work(self, plan: Plan, clock: Clock) -> Generator[None, None, None]:
        self.send(Begun(plan.job.path, plan.num_frames, replace(clock)))
        self._clock = clock
        try:
            yield
        finally:
            self._clock = None

    def tell(self, line: str) -> None:
        self.send(Told(line))


def _terminated(_signal: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: cleaning up is not to be disturbed
    raise KeyboardInterrupt


def _lane(work: Work, pipe: Connection) -> None:
    """A lane's whole life."""
    try:
        for name in ("SIGINT", "SIGHUP"):  # the terminal's are for the process that began it
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)
        signal.signal(signal.SIGTERM, _terminated)
        tune_malloc()
        _work_through(work, _Wire(pipe))
    except KeyboardInterrupt:
        sys.exit(130)


def _work_through(work: Work, wire: _Wire) -> None:
    try:
        ledger = Ledger(work.out, work.wishes)
        try:
            wire.send(_Hello(ledger.worker))
            ledger.take_on(work.jobs)
            while (claimed := ledger.claim()) is not None:
                wire.send(Ended(_do(*claimed, ledger, work, wire)))
        finally:
            ledger.close()
    except VsrError as error:
        wire.send(_Broken(error))
        sys.exit(1)


def _do(job: Job, entry: Entry, ledger: Ledger, work: Work, wire: _Wire) -> Entry:
    """Do what has been claimed, and write down what became of it."""
    try:
        made = _adopted(job, work) if _lies_there(job, entry) else None
        result, made = (Result(job), made) if made else _enhanced(job, entry, work, wire)
    except KeyboardInterrupt:
        ledger.settle(replace(entry, status="waiting"))
        raise
    if result.error is not None and work.debug:
        traceback.print_exception(result.error)
    entry = replace(entry, before=None, error=result.reason, deaths=0)
    if result.error is None:
        entry = replace(entry, status="done", record=made.record, made=made.stamp, mark=made.mark)
    else:
        lasting = isinstance(result.error, SourceError | VerifyError) and Stamp.of(job.path) == entry.stamp
        status = "unverified" if isinstance(result.error, VerifyError) else "failed"
        entry = replace(entry, status=status, lasting=lasting)
    ledger.settle(entry)
    return entry


@dataclass
class _Made:
    """What is written down of a result."""

    record: Record = field(default_factory=dict[str, Any])
    mark: str = ""
    stamp: Stamp | None = None

    def take(self, plan: Plan, outcome: Outcome | None, work: Work) -> None:
        """Look at a finished file, and write its sidecar."""
        self.record = provenance(plan, outcome, work.options)
        self.mark, self.stamp = sampled(plan.job.path), Stamp.of(plan.job.target)
        if work.sidecar:
            write_sidecar(plan.job.target, self.record)


def _enhanced(job: Job, entry: Entry, work: Work, wire: _Wire) -> tuple[Result, _Made]:
    made = _Made()

    def keep(plan: Plan, outcome: Outcome) -> None:
        if Stamp.of(job.path) != entry.stamp:
            raise SourceError(f"{job.path} was written to while it was enhanced; do it again when it has come to rest")
        made.take(plan, outcome, work)

    result = run_file(job, work.options, wire, overwrite=True, after=keep)
    if isinstance(result.error, OtherJobError):
        wire.tell(f"{job.path}: begins anew; {result.error}")
        restart = replace(work.options, job=replace(work.options.job, restart=True))
        result = run_file(job, restart, wire, overwrite=True, after=keep)
    return result, made


def _lies_there(job: Job, entry: Entry) -> bool:
    """Whether a process had just finished the result when it died: only what is verified takes a result's name."""
    there = Stamp.of(job.target)
    is_new = there is not None and entry.before != f"{there.size}:{there.mtime_ns}"
    return is_new and not (work_folder(job.target) / NAME).exists()


def _adopted(job: Job, work: Work) -> _Made | None:
    """Write down a result that a process had just finished when it died; None where there is something about it."""
    made = _Made()
    if work.options.also.also:
        return None  # of two outputs one may be there
    try:
        made.take(make_plan(job, work.options), None, work)
    except (VsrError, OSError):
        return None
    return made


@dataclass
class _Lane:
    process: Any
    pipe: Connection
    worker: int = 0
    """0 until it has said hello."""
    clock: Clock | None = None
    """Of the file it is at."""


class Crew:
    """Lanes that work until nothing waits any more. Used by one thread; `stop` ends them at any time."""

    def __init__(self, ledger: Ledger, work: Work):
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self._processes: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self._processes.set_forkserver_preload(["vsr.jobs.lanes"])  # PyTorch is loaded once for all lanes
        self._ledger, self._work = ledger, work
        self._lanes: list[_Lane] = []

    def start(self, num_lanes: int) -> None:
        """Begin so many lanes more."""
        for _ in range(num_lanes):
            ours, theirs = self._processes.Pipe(duplex=False)
            lane = _Lane(self._processes.Process(target=_lane, args=(self._work, theirs), name="vsr-lane"), ours)
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
            if isinstance(message, _Hello):
                lane.worker = message.worker
            elif isinstance(message, _Broken):
                raise message.error
            elif isinstance(message, _Ticked):
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
