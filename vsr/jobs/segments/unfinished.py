"""Long jobs that lie unfinished: what there is of them, and taking them away."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from vsr.durable import hold, is_marked, work_folder
from vsr.errors import SinkError, SourceError
from vsr.jobs.segments.journal import Journal
from vsr.jobs.segments.journal_records import JOURNAL, Records, read_records
from vsr.jobs.segments.unmarked import is_unmarked_job


@dataclass(frozen=True)
class Unfinished:
    """A job whose work folder is still there."""

    folder: Path
    records: Records
    num_bytes: int
    """What all its files take."""
    is_running: bool
    """A process is at work on it."""

    @property
    def num_done(self) -> int:
        """Frames in finished segments."""
        return self.records.num_frames

    @property
    def target(self) -> str:
        """Where the result will lie."""
        return self.records.told.get("target", str(self.folder))


def find_unfinished(root: Path) -> list[Unfinished]:
    """Find the unfinished jobs below a folder, or the one of a result or work folder that is named itself.

    Links are not followed, and what only looks like a work folder is left out.

    Raises:
        SourceError: there is no such folder, and no job of that name.
    """
    root = root.absolute()
    named = [root, *([work_folder(root)] if root.name else [])]  # the root of a file system has no name
    own = [job for folder in named if (job := _look_at(folder)) is not None]
    if not own and not root.is_dir():
        raise SourceError(f"{root} is no folder, and no unfinished job of that name lies there")
    return own or [job for folder in sorted(_below(root)) if (job := _look_at(folder)) is not None]


def _below(root: Path) -> Iterator[Path]:
    for folder, folders, _ in os.walk(root):
        yield from (Path(folder, name) for name in folders if name.endswith(".vsr"))


def _look_at(folder: Path) -> Unfinished | None:
    records = read_records(folder)
    if records is None:
        return None
    with os.scandir(folder) as found:
        sizes = {entry.name: entry.stat(follow_symlinks=False).st_size for entry in found}
    if not is_marked(folder) and not is_unmarked_job(folder, sizes):
        return None
    return Unfinished(folder, records, sum(sizes.values()), _is_running(folder))


def _is_running(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / JOURNAL, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return True
    try:
        hold(descriptor, folder)
    except SinkError:
        return True
    finally:
        os.close(descriptor)
    return False


def remove(job: Unfinished) -> Collection[str]:
    """Delete what there is of a job; returns the names of what others have put there, which stays.

    Raises:
        SinkError: a process is at work on it, or the folder is not ours.
    """
    return Journal(job.folder, job.records.identity, job.records.told).close(remove=True)
