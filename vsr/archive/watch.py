"""A folder that is watched: what comes to rest in it is enhanced, what fails is put aside with its reason.

It is looked at again and again, because network shares tell nobody of new files.
"""

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vsr.archive.archive import Archive
from vsr.archive.entry import Entry
from vsr.archive.sources import Naming, check_apart
from vsr.archive.supervisor import Message
from vsr.archive.todo import Again
from vsr.durable import Stamp, fitting, free_names, give_free_name, write_whole
from vsr.errors import ConfigError, SinkError
from vsr.jobs import LEAST_FREE, Job, free_bytes, is_media, walk

Tell = Callable[[str], None]

FAILED, DONE = "failed", "done"
"""Folders inside of the watched one."""

_AGAIN_AFTER_S = 60.0
"""When what could not be done for want of a place to write, or is another process's, is looked at again."""


@dataclass(frozen=True)
class WatchOptions:
    """How a folder is watched."""

    settle: float = 10.0
    """Seconds for which neither size nor time of a file may change before it counts as complete."""
    every: float = 2.0
    """Seconds between two looks at the folder."""
    done: Literal["stay", "move"] = "stay"
    """`move` puts sources that are done into `done/` inside of the watched folder."""

    def __post_init__(self) -> None:
        if self.settle < 0 or self.every <= 0:
            raise ConfigError("settle must be 0 seconds or more, and every more than 0")


class Settling:
    """The files of a folder, and since when each is as it is. Times are of
    any clock that only goes forward."""

    def __init__(self, folder: Path, leave_out: Iterable[Path], settle_s: float):
        self._folder, self._leave_out, self._settle_s = folder, list(leave_out), settle_s
        self._seen: dict[Path, tuple[Stamp, float]] = {}
        self._settled: dict[Path, Stamp] = {}

    def look(self, now_s: float, tell: Tell = lambda _: None) -> list[Path]:
        """Return the files that have come to rest since they were returned last."""
        seen: dict[Path, tuple[Stamp, float]] = {}
        rested: list[Path] = []
        for path in walk(self._folder, self._leave_out, tell=tell):
            stamp = Stamp.of(path) if is_media(path) else None
            if stamp is None:
                continue
            before = self._seen.get(path)
            seen[path] = before if before is not None and before[0] == stamp else (stamp, now_s)
            if now_s - seen[path][1] >= self._settle_s and self._settled.get(path) != stamp:
                self._settled[path] = stamp
                rested.append(path)
        self._seen = seen
        self._settled = {path: stamp for path, stamp in self._settled.items() if path in seen}
        return rested


class FolderWatch:
    """A watched folder, and what of it is still to be done. Used by one thread."""

    def __init__(self, folder: Path, archive: Archive, naming: Naming, options: WatchOptions, tell: Tell):
        self._folder, self._archive, self._naming = folder, archive, naming
        self._options, self._tell = options, tell
        check_apart(folder, naming.out)
        own = [folder / FAILED, folder / DONE, naming.out]
        self._settling = Settling(folder, own, options.settle)
        self._due: dict[Path, float] = {}
        """When each file that is not done is looked at next."""
        self._looked_s = float("-inf")
        self._told: set[str] = set()

    def run(self) -> Generator[Message | None, None, None]:
        """Enhance what comes, for ever; yields what workers say, and None now and
        then. Closing it ends the workers."""
        while True:
            self._look()
            now = time.monotonic()
            if jobs := [
                self._naming.job(path, self._folder) for path, due in self._due.items() if due <= now
            ]:
                yield from self._do(jobs)
            yield None
            time.sleep(max(0.0, self._looked_s + self._options.every - time.monotonic()))

    def _look(self) -> None:
        """Look at the folder, where it is time to."""
        now = time.monotonic()
        if now < self._looked_s + self._options.every:
            return
        self._looked_s = now
        if not self._folder.is_dir():
            self._tell_once(f"folder {self._folder} is not there; waiting for it")
        self._due |= dict.fromkeys(self._settling.look(now, self._tell_once), now)

    def _tell_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)

    def _do(self, jobs: list[Job]) -> Generator[Message | None, None, None]:
        """Have files enhanced that have come to rest, and see to those that are through."""
        todo = self._archive.enter(jobs, Again(retry=True))  # what has failed was put back by somebody
        clashing = [conflict.job for conflict in todo.conflicts]
        jobs = [job for job in jobs if job not in clashing]
        for conflict in todo.conflicts:
            self._tell(f"{conflict.job.path}: {conflict.reason}")
            self._put_aside(conflict.job, conflict.reason)
        by_result: dict[str, Job] = {}
        for job, entry in zip(jobs, self._archive.entries(jobs), strict=True):
            by_result[entry.result] = job
            if job not in todo.jobs:  # done before, or nothing that could be begun
                if entry.error:
                    self._tell(f"{job.path}: {entry.error}")
                self._see_to(job, entry)
        with closing(self._archive.enhance(todo.jobs)) as messages:
            for message in messages:
                self._look()
                if isinstance(message, Entry):
                    self._see_to(by_result[message.result], message)
                yield message
        for job in todo.jobs:  # not through yet: another process has it, or nothing can be written
            if job.path in self._due:
                self._due[job.path] = time.monotonic() + _AGAIN_AFTER_S
        self._archive.write_manifest()

    def _see_to(self, job: Job, entry: Entry) -> None:
        """Put away a source that is done, or put it aside if it has failed."""
        if entry.status == "done":
            self._due.pop(job.path, None)
            if self._options.done == "move":
                self._move(job.path, DONE)
        elif Stamp.of(job.path) != entry.stamp:
            self._due.pop(job.path, None)  # it was not at rest; it counts anew when it is
        elif self._can_write():
            self._put_aside(job, entry.error)

    def _can_write(self) -> bool:
        """Whether results can be written at all; where not, that is no file's fault."""
        out = self._naming.out
        if out.is_dir() and os.access(out, os.W_OK) and free_bytes(out) >= LEAST_FREE:
            return True
        self._tell(f"nothing can be written to {out}; trying again in {_AGAIN_AFTER_S:.0f} s")
        return False

    def _put_aside(self, job: Job, reason: str) -> None:
        self._due.pop(job.path, None)
        moved = self._move(job.path, FAILED)
        if moved is not None:
            self._tell(f"{job.path} was moved to {moved}")
            told = next(path for path in _reason_names(moved) if not os.path.lexists(path))
            with contextlib.suppress(OSError, SinkError):
                write_whole(told, f"{reason}\n", replace=False)

    def _move(self, path: Path, place: str) -> Path | None:
        """Move a source into a folder of the watched one, under a name that is free there."""
        wanted = self._folder / place / path.relative_to(self._folder)
        try:
            wanted.parent.mkdir(parents=True, exist_ok=True)
            return give_free_name(path, free_names(wanted), synced=False)
        except OSError as error:
            self._tell(f"{path} cannot be moved to {wanted.parent} and stays: {error.strerror}")
            return None


def _reason_names(moved: Path) -> Iterator[Path]:
    """Names for the text that says why a file was put aside: its own and `.txt`."""
    return free_names(moved.with_name(fitting(moved.parent, moved.name, ".txt")))
