"""The journal of a long job: who it is, and what of it is finished and
safe on the disk. Lies in `.NAME.vsr/`.

A text file that only grows, one JSON object a line: first the identity, then a line for each finished segment
and for each border that was found before the segment it ends, last one for the joined file. A line is written
after what it tells of is on the disk, so a line can be trusted, and what has no line does not count. One
process at a time holds the journal.
"""

import contextlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from io import FileIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vsr.durable import WorkFolder, hold, sha256_of, sync
from vsr.errors import ConfigError, SinkError
from vsr.jobs.frame_hash import FrameHash
from vsr.jobs.segments.border import Border
from vsr.jobs.segments.journal_records import JOURNAL, SEGMENT, VERSION, Segment, mark_of, read_records
from vsr.jobs.segments.unmarked import adopt_unmarked
from vsr.media import Encoded


class OtherJobError(ConfigError):
    """Another job than this one lies half done in the work folder."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of a job that is not finished."""

    begin: Border | None
    """None for the beginning."""
    end: Border | None
    """None for the end."""

    @property
    def number(self) -> int:
        """Of its first segment."""
        return self.begin.number if self.begin else 0


class Journal:
    """A job's journal, held by this process until `close`. Used by one thread."""

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, str],
        told: Mapping[str, Any],
        *,
        restart: bool = False,
        unsaid: Mapping[str, str] = MappingProxyType({}),
    ):
        """Go on with the job in `folder`, or begin it.

        `unsaid` is what a journal means by not naming an option, which may be older than that.

        Raises:
            OtherJobError: another job lies there; the message says what differs.
            SinkError: the folder cannot be written to, is not ours, or another process is at work in it.
        """
        self.folder, self.work = folder, WorkFolder(folder, adopt_unmarked)
        self._file = self._opened()
        try:
            hold(self._file.fileno(), folder)
            records = None if restart else read_records(folder)
            if records is not None:
                _check(folder, {**unsaid, **records.identity}, {**unsaid, **identity})
            self.segments = dict(records.segments) if records else {}
            self.borders = dict(records.borders) if records else {}
            self.damaged: set[int] = set()
            self.sweep()
            self._file.truncate(records.num_bytes if records else 0)
            if records is None:
                self._append({"journal": VERSION, "identity": dict(identity), "told": dict(told)})
                sync(folder)
                sync(folder.parent)
        except BaseException:
            self.close()
            raise

    def _opened(self) -> FileIO:
        try:
            journal = self.work.open(JOURNAL, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        except OSError as error:
            self.work.close()
            raise SinkError(f"folder {str(self.folder)!r} cannot be written to: {error.strerror}") from error
        except BaseException:
            self.work.release()
            raise
        return os.fdopen(journal, "ab", buffering=0)

    def sweep(self) -> int:
        """Remove what has no line, which nobody must be writing any more; returns the size of the largest."""
        known = {segment.file for segment in self.segments.values()}
        self.work.remove(
            *(name for name in self.work.names() if SEGMENT.fullmatch(name) and name not in known)
        )
        return self.work.sweep()

    def _append(self, line: dict[str, Any]) -> None:
        text = json.dumps(line, separators=(",", ":"))
        begin = self._file.seek(0, os.SEEK_END)
        try:
            rest = memoryview(f"{text}#{mark_of(text)}\n".encode())
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            with contextlib.suppress(OSError):  # what did not fit must not stand before the next line
                self._file.truncate(begin)
            raise

    def keep(self, segment: Segment, part: Path) -> None:
        """Give a file that is on the disk its name, and record it. May be called
        again where the disk was full."""
        if part.exists():
            self.work.rename(part.name, segment.file)
            sync(self.folder)
        self.add(segment)

    def add(self, segment: Segment) -> None:
        """Record a segment whose file has its name and is on the disk."""
        self._append(asdict(segment))
        self.segments[segment.number] = segment
        self.damaged.discard(segment.number)
        if segment.next is not None:
            self.borders[segment.next.number] = segment.next

    def add_border(self, border: Border) -> None:
        """Record where a segment begins, before the one that ends there is finished."""
        self._append({"border": border.saved()})
        self.borders[border.number] = border

    def has(self, number: int) -> bool:
        """Whether a segment is finished."""
        return number in self.segments and number not in self.damaged

    @property
    def num_frames(self) -> int:
        """Frames that are finished."""
        return sum(segment.num_frames for number, segment in self.segments.items() if self.has(number))

    def missing(self) -> Gap | None:
        """Return the first stretch of the job that is not finished; None where all is."""
        number, begin = 0, None
        while self.has(number):
            begin = self.segments[number].next
            if begin is None:
                return None
            number += 1
        later = (n for n in sorted(self.segments) if n > number and self.has(n) and n in self.borders)
        following = next(later, None)
        return Gap(begin, None if following is None else self.borders[following])

    def parts(self, time_base: Fraction) -> list[Encoded]:
        """All segments in order, as the join wants them."""
        return [segment.encoded(self.folder, time_base) for _, segment in sorted(self.segments.items())]

    def hashes(self) -> list[FrameHash]:
        """What was noted of all frames, in order."""
        return [noted for _, segment in sorted(self.segments.items()) for noted in segment.hashes]

    def find_damaged(self, seen: Callable[[], None] = lambda: None) -> set[int]:
        """Look at every segment's bytes; those that are not what was written count as missing from now on.

        `seen` is called after each: terabytes take their time.
        """
        damaged: set[int] = set()
        for number, segment in self.segments.items():
            damaged |= set() if self._is_sound(segment) else {number}
            seen()
        self.damaged = damaged
        return damaged

    def _is_sound(self, segment: Segment) -> bool:
        try:
            is_whole = self.work.size_of(segment.file) == segment.num_bytes
            return is_whole and sha256_of(self.work.open(segment.file, os.O_RDONLY)) == segment.sha256
        except OSError:
            return False

    def close(self, *, remove: bool = False) -> Collection[str]:
        """Let go of the journal; `remove` takes the work away, too, and returns what others have put there, which
        stays."""
        left: Collection[str] = ()
        if remove:
            self.work.remove(JOURNAL, *(name for name in self.work.names() if SEGMENT.fullmatch(name)))
            left = self.work.close()
        self._file.close()
        self.work.release()
        return left


def _check(folder: Path, old: Mapping[str, str], new: Mapping[str, str]) -> None:
    names = [name for name in [*new, *(set(old) - set(new))] if old.get(name) != new.get(name)]
    if not names:
        return
    differences = ", ".join(
        f"{name} {old.get(name, 'none')} (now {new.get(name, 'none')})" for name in names[:4]
    )
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    raise OtherJobError(
        f"{str(folder)!r} holds this job half done with {differences}{more}; "
        "the same file and options go on with it, --restart begins anew"
    )
