"""Long jobs that lie unfinished: what there is of them, and taking them away."""

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from vsr.errors import SinkError, SourceError
from vsr.jobs.segments.journal import hold
from vsr.jobs.segments.journal_records import JOURNAL, Records, read_records, work_folder


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

    Raises:
        SourceError: there is no such folder, and no job of that name.
    """
    root = root.absolute()
    named = [root, *([work_folder(root)] if root.name else [])]  # the root of a file system has no name
    own = [folder for folder in named if (folder / JOURNAL).is_file()]
    if not own and not root.is_dir():
        raise SourceError(f"{root} is no folder, and no unfinished job of that name lies there")
    folders = own or sorted(path.parent for path in root.rglob(f"*.vsr/{JOURNAL}"))
    return [job for folder in folders if (job := _look_at(folder)) is not None]


def _look_at(folder: Path) -> Unfinished | None:
    records = read_records(folder)
    if records is None:
        return None
    num_bytes = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # a running job's files come and go
            num_bytes += path.stat().st_size if path.is_file() else 0
    return Unfinished(folder, records, num_bytes, _is_running(folder))


def _is_running(folder: Path) -> bool:
    try:
        with (folder / JOURNAL).open("rb", buffering=0) as file:
            hold(file, folder)
    except (SinkError, OSError):
        return True
    return False


def remove(job: Unfinished) -> None:
    """Delete what there is of a job.

    Raises:
        SinkError: a process is at work on it.
    """
    with (job.folder / JOURNAL).open("rb", buffering=0) as file:
        hold(file, job.folder)
        shutil.rmtree(job.folder, ignore_errors=True)
