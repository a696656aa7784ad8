"""What the user sees of an archive that is worked on: a line for each file, bars
on a terminal, a report at the end."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from rich.console import Group
from rich.text import Text

from vsr.archive import Begun, Conflict, Entry, Message
from vsr.cli.console import console, duration, say, size_of
from vsr.cli.progress_view import LINE_EVERY_S, Bar, drawn, plain_line


class ArchiveView:
    """Shows what comes out of an archive's workers. Used by one thread, drawn by another."""

    def __init__(self, num_files: int | None, *, quiet: bool = False):
        """`num_files` is how many are to be done; None where nobody knows."""
        self._num_files, self._quiet = num_files, quiet
        self._done = self._failed = 0
        self._open: dict[str, tuple[Begun, Bar]] = {}
        self._spoke_s = time.monotonic()

    def drawn(self) -> AbstractContextManager[object]:
        """A context that keeps bars on a terminal, where there is one."""
        return drawn(self) if console.is_terminal and not self._quiet else nullcontext()

    def __rich__(self) -> Group:
        """Draw the files that are worked on, and how many are done."""
        total = "" if self._num_files is None else f" of {self._num_files}"
        failed = f", {self._failed} failed" if self._failed else ""
        return Group(
            *(bar for _, bar in list(self._open.values())), Text(f"{self._done}{total} files{failed}")
        )

    def show(self, message: Message | None) -> None:
        """Take up what a worker has said."""
        if isinstance(message, Begun):
            bar = Bar(message.source.name, message.clock, message.num_frames)
            self._open[str(message.source.absolute())] = message, bar
        elif isinstance(message, str):
            say(message)
        elif isinstance(message, Entry):
            self._end(message)
        if not console.is_terminal and time.monotonic() > self._spoke_s + LINE_EVERY_S:
            self._spoke_s = time.monotonic()
            for begun, _ in self._open.values():
                say(plain_line(begun.source.name, begun.clock, begun.num_frames), quiet=self._quiet)

    def _end(self, entry: Entry) -> None:
        self._open.pop(entry.source, None)
        self._done += 1
        if entry.status == "done":
            say(f"{short(entry.source)}: {_made(entry)}", quiet=self._quiet)
        else:
            self._failed += 1
            say(f"{short(entry.source)}: {entry.error}")


def short(path: str) -> str:
    """A path as seen from here, where it lies below."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def _made(entry: Entry) -> str:
    record = entry.record or {}
    result, measured = record["result"], record["measured"]
    what = f"{result['path']}, {result['width']}x{result['height']}, {size_of(result['bytes'])}"
    if not measured:
        return f"{what}, finished before"
    speed = f", {measured['frames']} frames at {measured['fps']:.1f} fps" if result["encoder"] else ""
    return f"{what}{speed}, {duration(measured['seconds'])}"


def conclude(entries: Sequence[Entry], conflicts: Sequence[Conflict] = (), *, quiet: bool = False) -> int:
    """Say how an archive's files stand, and which could not be taken up; returns the exit code."""
    states = {status: [entry for entry in entries if entry.status == status] for status in _STATUSES}
    done, bad = states["done"], [*states["failed"], *states["unverified"]]
    told = [f"{len(done)} of {len(entries) + len(conflicts)} done"]
    told += [f"{len(states['working'])} under way in another process"] if states["working"] else []
    told += [f"{len(states['waiting'])} not begun"] if states["waiting"] else []
    reasons = [f"  {short(entry.source)}: {entry.error}" for entry in bad]
    reasons += [f"  {short(str(conflict.job.path))}: {conflict.reason}" for conflict in conflicts]
    say(", ".join(told) + ("; failed:" if reasons else ""), quiet=quiet and not reasons)
    for reason in reasons:
        say(reason)
    return 0 if not reasons else 1 if states["failed"] or conflicts else 3


_STATUSES = ("done", "failed", "unverified", "working", "waiting")
