"""Who does the jobs: a thread for each lane, which has an archive of one file worked through by a process of its own.

The archive knows how far a file has come, goes on with it after any end, and never makes a result twice.
"""

import math
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vsr.archive import Again, Archive, ArchiveOptions, Begun, Entry, Message
from vsr.errors import SigningError, VsrError
from vsr.jobs import Job, extension_of
from vsr.options import EnhanceOptions
from vsr.pipeline import Clock
from vsr.web.asked_options import job_wishes
from vsr.web.data_folder import DataFolder
from vsr.web.record_key import NOT_SIGNED
from vsr.web.records import JobState, Lane, WebJob
from vsr.web.results import zip_record
from vsr.web.store import Store
from vsr.web.web_options import WebOptions

_STATES: dict[str, JobState] = {"done": "succeeded", "failed": "failed", "unverified": "unverified"}
"""What an archive says, as jobs have it."""
_AGAIN_AFTER_S = 5.0
_TELL_EVERY_S = 0.5
"""Between two words on how far a job is: hundreds may listen."""

_Ended = tuple[JobState, str, Mapping[str, Any] | None]
"""State, what went wrong in a line, where the result comes from."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is."""

    frames: int
    """Frames that are finished, of earlier runs too."""
    total: int | None
    fps: float
    """Frames a second of this run."""
    left_s: float | None
    """Seconds to go, as far as it can be told."""
    slowest: str
    """The stage that has been busy longest: decode, model or encode."""
    stage: str
    """What happens now: enhancing, checking what an earlier run has finished, or finishing the file."""


class Runner:
    """Does the jobs of a store until `stop`."""

    def __init__(
        self,
        store: Store,
        data: DataFolder,
        options: WebOptions,
        *,
        debug: bool,
        tell: Callable[[str], None] = lambda _: None,
    ):
        """`tell` hears what is for who runs the server alone."""
        self._store, self._data, self._debug, self._tell = store, data, debug, tell
        self._max_s, self._sign = options.max_hours * 3600, options.sign
        self._stopping, self._news = (
            threading.Event(),
            {"pictures": threading.Event(), "videos": threading.Event()},
        )
        self._hold = threading.Lock()
        self._at_work: set[str] = set()
        self._told_s: dict[Lane, float] = {}
        self.progress: dict[str, Progress] = {}
        """Of the jobs that are running, by id."""
        lanes: tuple[Lane, ...] = ("pictures", "videos")
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=f"vsr-{lane}") for lane in lanes
        ]

    def start(self) -> None:
        """Go on with what waits."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End what is running, with all that is finished of it kept; it waits for the next start."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join()

    def wake(self) -> None:
        """Look at the store now."""
        for news in self._news.values():
            news.set()

    def _run(self, lane: Lane) -> None:
        while not self._stopping.is_set():
            try:
                with self._hold:
                    if (job := self._store.take(lane)) is not None:
                        self._at_work.add(job.id)
                if job is None:
                    self._news[lane].wait(_AGAIN_AFTER_S)
                    self._news[lane].clear()
                    continue
                try:
                    ended = self._ended(job)
                finally:
                    self.progress.pop(job.id, None)
                    with self._hold:
                        self._at_work.discard(job.id)
                if ended is not None:
                    self._settle(job, *ended)
                self.tidy(job.id)
            except (sqlite3.Error, OSError):  # the disk is full, or fails: the state stays as it was
                self._stopping.wait(_AGAIN_AFTER_S)

    def tidy(self, id: str) -> None:
        """Take away what is left of a job that was canceled or deleted, unless somebody still works on it."""
        with self._hold:
            if id in self._at_work or not (leftover := self._store.leftover(id)):
                return
            self._data.remove_job(id)
            if leftover == "all":
                self._store.forget(id)

    def _ended(self, job: WebJob) -> _Ended | None:
        """Do a job, and say how it has ended; None where it was stopped."""
        try:
            while (ended := self._enhance(job)) is None and not self._is_stopped(job):
                self._stopping.wait(1.0)  # a process of a server that was killed still ends
        except SigningError as error:
            self._tell(str(error))
            ended = "failed", NOT_SIGNED, None
        except (VsrError, sqlite3.Error) as error:
            ended = "failed", str(error), None
        except Exception as error:
            ended = "failed", f"unexpected {type(error).__name__}: {error}", None
        if ended is None:
            return None
        state, error, record = ended
        return state, self._in_their_words(job, error), None if record is None else _shown(record, job)

    def _settle(self, job: WebJob, state: JobState, error: str, report: Mapping[str, Any] | None) -> None:
        while True:
            try:
                return self._store.finish(job.id, state, error, report)
            except sqlite3.Error:
                if self._stopping.wait(_AGAIN_AFTER_S):
                    return None  # the archive knows; the next start asks it

    def _enhance(self, job: WebJob) -> _Ended | None:
        """Have a job's file enhanced; None where it was stopped.

        Raises:
            SigningError: the server's key does not sign its record.
        """
        (options, record), folder = job_wishes(job.options), self._data.job(job.id)
        todo_job = file_of(job, options, self._data)
        how = ArchiveOptions(parallel=1, manifest="")
        archive = Archive(folder, options, how, recorded=record.at(folder, self._sign), debug=self._debug)
        with closing(archive):
            todo = archive.enter([todo_job], Again(retry=True))
            began = time.monotonic()
            with closing(archive.enhance(todo.jobs)) as messages:
                begun = None
                for message in messages:
                    begun = message if isinstance(message, Begun) else begun
                    self._hear(job, message, begun)
                    if self._is_stopped(job):
                        return None
                    if self._max_s and time.monotonic() - began > self._max_s:
                        hours = f"{self._max_s / 3600:g} hours"
                        return "failed", f"it took longer than the {hours} that a job may run here", None
            entry = archive.entries([todo_job])[0]
        if entry.unsigned:
            raise SigningError(entry.error)
        if entry.status not in _STATES:
            return None
        if entry.status == "done" and (told := (entry.record or {}).get("evidence")):
            zip_record(Path(told["folder"]), _packed(job, self._data))
        return _STATES[entry.status], entry.error, entry.record if entry.status == "done" else None

    def _is_stopped(self, job: WebJob) -> bool:
        there = self._store.job(job.id)
        return self._stopping.is_set() or there is None or there.state != "running"

    def _hear(self, job: WebJob, message: Message | None, begun: Begun | None) -> None:
        if isinstance(message, str):
            self._store.tell(job.id, "note", {"text": self._in_their_words(job, message)})
        elif begun is not None and not isinstance(message, Entry):
            now = time.monotonic()
            if now - self._told_s.get(job.lane, -math.inf) >= _TELL_EVERY_S:
                self._told_s[job.lane] = now
                self.progress[job.id] = _progress(begun.clock, begun.num_frames)
                self._store.database.changed()

    def _in_their_words(self, job: WebJob, line: str) -> str:
        """A line with the user's name for the file instead of our paths."""
        source = str(self._data.upload(job.upload, job.ending))
        line = line.replace(source, job.name).replace(f"{self._data.job(job.id)}/", "")
        return line.replace(str(self._data.root), "the data folder")


def file_of(job: WebJob, options: EnhanceOptions, data: DataFolder) -> Job:
    """A job as an archive has it."""
    source, is_image = data.upload(job.upload, job.ending), job.lane == "pictures"
    extension = extension_of(source, options.encode.container, is_image=is_image)
    return Job(source, data.job(job.id) / f"result{extension}", is_image)


def finished_file(job: WebJob, data: DataFolder) -> Path | None:
    """The finished file of a job; None where there is none."""
    if job.state not in ("succeeded", "unverified"):
        return None
    target = file_of(job, job_wishes(job.options)[0], data).target
    if job.state == "unverified":
        target = target.with_name(f"{target.stem}.unverified{target.suffix}")
    return target if target.is_file() else None


def finished_record(job: WebJob, data: DataFolder) -> Path | None:
    """The record of a finished job, packed; None where there is none."""
    return _packed(job, data) if (job.report or {}).get("evidence") else None


def signed_by(job: WebJob) -> str | None:
    """The public key by which the record of a finished job is signed, in hexadecimal; None where it is not signed."""
    signer = (job.report or {}).get("evidence", {}).get("signer") or {}
    return signer.get("Ed25519")


def _packed(job: WebJob, data: DataFolder) -> Path:
    return data.job(job.id) / "record.zip"


def _progress(clock: Clock, total: int | None) -> Progress:
    fps = clock.frames / max(clock.elapsed_s, 1e-3)
    done = clock.done + clock.frames
    stage = "checking" if clock.is_checking else "finishing" if clock.finishing else "enhancing"
    left_s = max(0, total - done) / fps if total and fps else None
    left_s = None if left_s is None else round(left_s, 1)
    return Progress(done, total, round(fps, 2), left_s, clock.slowest if clock.frames else "", stage)


def _shown(record: Mapping[str, Any], job: WebJob) -> dict[str, Any]:
    """Where a result comes from, with the names that its owner knows."""
    source, result = {**record["source"], "path": job.name}, {**record["result"], "path": job.result}
    notes = [note.replace(f"source{job.ending}:", f"{job.name}:") for note in record["notes"]]
    shown = {**record, "source": source, "result": result, "notes": notes}
    if told := record.get("evidence"):
        shown["evidence"] = {**told, "folder": Path(told["folder"]).name}
    return shown
