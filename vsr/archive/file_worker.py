"""A worker of an archive: a process that claims files, one after the other,
enhances them and says so through a pipe."""

import contextlib
import sys
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from vsr.archive.entry import Entry, what_lies_at
from vsr.archive.file_record import FileRecord
from vsr.archive.state import State
from vsr.durable import Stamp, WorkFolder, work_folder
from vsr.errors import DeviceLostError, ReadError, SigningError, SourceError, VerifyError, VsrError, story_of
from vsr.evidence import EvidenceOptions
from vsr.jobs import (
    JOURNAL,
    Job,
    OtherJobError,
    Outcome,
    Plan,
    Record,
    Result,
    become_worker,
    check_sidecar,
    make_plan,
    provenance_of,
    run_file,
    sampled_hash,
    write_sidecar,
)
from vsr.options import EnhanceOptions
from vsr.pipeline import Clock
from vsr.pulse import Pulse

_TELL_EVERY_S = 0.25


@dataclass(frozen=True)
class ArchiveWork:
    """What workers do."""

    out: Path
    jobs: tuple[Job, ...]
    options: EnhanceOptions
    wishes: Mapping[str, str]
    recorded: EvidenceOptions = field(default_factory=EvidenceOptions)
    """Its folder is that of all records."""
    sidecar: bool = False
    debug: bool = False
    """Print tracebacks."""
    devices: tuple[str, ...] = ("auto",)
    """What workers run their networks on, in turn."""

    def on(self, device: str) -> "ArchiveWork":
        """The same for one of the devices."""
        engine = replace(self.options.engine, device=device)
        return replace(self, options=replace(self.options, engine=engine))


@dataclass(frozen=True, slots=True)
class Hello:
    """A worker is there."""

    worker: int
    """Its number in the state."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A worker begins to enhance a file."""

    source: Path
    num_frames: int | None
    clock: Clock


@dataclass(frozen=True, slots=True)
class AtWork:
    """A worker gets on with what it is at."""


Said = Hello | Begun | AtWork | Clock | str | Entry | VsrError
"""What comes through a worker's pipe. A clock: how far the file is that was begun last; a line that cannot wait;
the entry of a file that is done or has failed; why the worker cannot work."""


class _PipeView:
    """A worker's side of the pipe, and the `FileView` of what it does."""

    def __init__(self, pipe: "Connection[Said, Any]"):
        self._pipe, self._lock, self._clock = pipe, threading.Lock(), None
        threading.Thread(target=self._tick, name="ticks", daemon=True).start()

    def send(self, message: Said) -> None:
        with self._lock, contextlib.suppress(OSError):  # nobody listens any more, and the worker is ended
            self._pipe.send(message)

    def _tick(self) -> None:
        pulse = Pulse()
        while True:
            time.sleep(_TELL_EVERY_S)
            if pulse.silent_s() < 1:
                self.send(replace(clock) if (clock := self._clock) is not None else AtWork())

    @contextmanager
    def at_work(self, plan: Plan, clock: Clock) -> Generator[None, None, None]:
        self.send(Begun(plan.job.path, plan.num_frames, replace(clock)))
        self._clock = clock
        try:
            yield
        finally:
            self._clock = None

    def tell(self, line: str) -> None:
        self.send(line)


def run_worker(pipe: "Connection[Any, Any]", work: ArchiveWork) -> None:
    """A worker's whole life."""
    try:
        become_worker(KeyboardInterrupt())
        _work_through(work, _PipeView(pipe))
    except KeyboardInterrupt:
        sys.exit(130)


def _work_through(work: ArchiveWork, view: _PipeView) -> None:
    try:
        with contextlib.closing(State(work.out, work.wishes, view.tell)) as state:
            view.send(Hello(state.worker))
            state.take_on(work.jobs)
            while (claimed := state.claim()) is not None:
                view.send(_do(*claimed, state, work, view))
    except DeviceLostError as error:
        view.tell(str(error))
        sys.exit(4)  # the supervisor takes the file for failed, and begins another process
    except VsrError as error:
        view.send(error)
        sys.exit(1)


def _do(job: Job, entry: Entry, state: State, work: ArchiveWork, view: _PipeView) -> Entry:
    """Do what has been claimed, and write down what became of it."""
    try:
        made = _adopted(job, work) if _lies_there(job, entry) else None
        result, made = (Result(job), made) if made else _enhanced(job, entry, work, view)
    except KeyboardInterrupt:
        state.settle(replace(entry, status="waiting"))
        raise
    if result.error is not None and work.debug:
        sys.stderr.write(story_of(result.error))
    unsigned = isinstance(result.error, SigningError)
    entry = replace(entry, before=None, error=result.reason, deaths=0, unsigned=unsigned)
    if result.error is None:
        entry = replace(entry, status="done", record=made.record, made=made.stamp, mark=made.mark)
    else:
        lasting = isinstance(result.error, SourceError | VerifyError) and Stamp.of(job.path) == entry.stamp
        lasting = lasting and not isinstance(result.error, ReadError)
        status = "unverified" if isinstance(result.error, VerifyError) else "failed"
        entry = replace(entry, status=status, lasting=lasting)
    state.settle(entry)
    return entry


@dataclass
class _Made:
    """What is written down of a result."""

    record: Record = field(default_factory=dict[str, Any])
    mark: str = ""
    stamp: Stamp | None = None

    def take(self, plan: Plan, outcome: Outcome | None, work: ArchiveWork, records: FileRecord) -> None:
        """Look at a finished file, and write its sidecar."""
        self.record = provenance_of(plan, outcome) | records.facts()
        self.mark, self.stamp = sampled_hash(plan.job.path), Stamp.of(plan.job.target)
        if work.sidecar:
            write_sidecar(plan.job.target, self.record)


def _enhanced(job: Job, entry: Entry, work: ArchiveWork, view: _PipeView) -> tuple[Result, _Made]:
    made, records = _Made(), FileRecord(job, work.out, work.recorded, view.tell)

    def before(result: Path) -> None:
        if work.sidecar:
            check_sidecar(result)
        records.begin()

    def keep(plan: Plan, outcome: Outcome) -> None:
        if Stamp.of(job.path) != entry.stamp:
            raise SourceError(
                f"{job.path} was written to while it was enhanced; do it again when it has come to rest"
            )
        records.finish(plan, outcome)
        made.take(plan, outcome, work, records)

    with records:
        planned = records.planned
        result = run_file(job, work.options, view, overwrite=True, before=before, planned=planned, after=keep)
        if isinstance(result.error, OtherJobError):
            view.tell(f"{job.path}: begins anew; {result.error}")
            restart = replace(work.options, job=replace(work.options.job, restart=True))
            result = run_file(job, restart, view, overwrite=True, planned=planned, after=keep)
        if result.error is not None:
            records.failed(result.reason)
    return result, made


def _lies_there(job: Job, entry: Entry) -> bool:
    """Whether a process had just finished the result when it died: only what
    is verified takes a result's name."""
    return (
        what_lies_at(job.target) not in ("", entry.before)
        and not (work_folder(job.target) / JOURNAL).exists()
    )


def _adopted(job: Job, work: ArchiveWork) -> _Made | None:
    """Write down a result that a process had just finished when it died; None
    where there is something about it."""
    made = _Made()
    if work.options.also.also:
        return None  # of two outputs one may be there
    records = FileRecord(job, work.out, work.recorded, lambda _: None)
    try:
        if not records.is_finished():
            return None
        WorkFolder(work_folder(job.target)).close()
        made.take(make_plan(job, work.options), None, work, records)
    except (VsrError, OSError):
        return None
    return made
