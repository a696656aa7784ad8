"""What is written down of a long job: its segments, and the journal's lines as they are read back."""

import hashlib
import json
import re
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from vsr.durable import read_plain, stamp
from vsr.jobs.frame_hash import FrameHash
from vsr.jobs.segments.border import Border
from vsr.media import Encoded

JOURNAL = "journal"
VERSION = 1
SEGMENT = re.compile(r"\d{6}\.segment")
"""Names of segments."""
Runs = list[tuple[int, int]]
"""Numbers that repeat, each with how often it comes."""


@dataclass(frozen=True)
class Segment:
    """A finished segment."""

    number: int
    file: str
    num_bytes: int
    sha256: str
    """Of the file."""
    pictures: int
    """CRC-32 of the frames that went into the encoder."""
    first: int
    """pts of the first frame."""
    last: int
    num_frames: int
    steps: Runs
    """Ticks from each frame to the next."""
    durations: Runs
    next: Border | None
    """Where the segment after it begins; None at the end."""
    hashes: Sequence[FrameHash] = ()
    """Of each frame, where they are wanted."""

    @classmethod
    def of(
        cls,
        encoded: Encoded,
        *,
        number: int,
        file: str,
        sha256: str,
        pictures: int,
        next: Border | None,
        hashes: Sequence[FrameHash] = (),
    ) -> "Segment":
        """Describe a file that lies in its place."""
        pts = encoded.pts
        return cls(
            number,
            file,
            encoded.path.stat().st_size,
            sha256,
            pictures,
            pts[0],
            pts[-1],
            len(pts),
            _runs(b - a for a, b in pairwise(pts)),
            _runs(encoded.durations),
            next,
            hashes,
        )

    def encoded(self, folder: Path, time_base: Fraction) -> Encoded:
        """The segment as the join wants it; the last frame is shown until the next segment begins."""
        pts = array("q", [self.first])
        for step, count in self.steps:
            for _ in range(count):
                pts.append(pts[-1] + step)
        durations = array("q", (ticks for ticks, count in self.durations for _ in range(count)))
        if self.next is not None:
            durations[-1] = self.next.pts - pts[-1]
        return Encoded(folder / self.file, pts, durations, time_base)

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> "Segment":
        """The segment of a line."""
        fields: dict[str, Any] = dict(saved)
        for name in ("steps", "durations"):
            fields[name] = [(number, count) for number, count in saved[name]]
        fields["next"] = None if saved["next"] is None else Border.restored(saved["next"])
        fields["hashes"] = [FrameHash(*noted) for noted in saved.get("hashes", ())]  # 0.4.0 has none
        return cls(**fields)


def _runs(numbers: Iterable[int]) -> Runs:
    return [(value, len(list(same))) for value, same in groupby(numbers)]


@dataclass(frozen=True)
class Records:
    """What a journal says."""

    identity: dict[str, str]
    told: dict[str, Any]
    """What `vsr jobs` shows: source, target, number of frames."""
    segments: dict[int, Segment]
    borders: dict[int, Border]
    """First frames of segments other than the first, by the segment's number."""
    results: frozenset[tuple[int, int, int]] = frozenset()
    """Bytes, time of change and inode of the joined files, before they took their names, where 0.4.0 wrote it."""
    num_bytes: int = 0
    """Length of what could be read; what follows was cut off while it was written."""

    @property
    def num_frames(self) -> int:
        return sum(segment.num_frames for segment in self.segments.values())

    def has_become(self, target: Path) -> bool:
        """Whether the file at `target` is a result of this job."""
        return target.is_file() and not target.is_symlink() and stamp(target) in self.results


def read_records(folder: Path) -> Records | None:
    """Read a journal as far as its lines are whole; None where there is none, or not even its first line."""
    lines = list(_whole_lines(read_plain(folder, JOURNAL) or b""))
    if not lines or lines[0][0].get("journal") != VERSION:
        return None
    segments: dict[int, Segment] = {}
    borders: list[Border | None] = []
    results: set[tuple[int, int, int]] = set()
    for line, _ in lines[1:]:
        if "result" in line:
            results.add(tuple(line["result"]))
        elif "border" in line:
            borders.append(Border.restored(line["border"]))
        else:
            segment = Segment.restored(line)
            segments[segment.number] = segment
            borders.append(segment.next)
    head = lines[0][0]
    known = {border.number: border for border in borders if border is not None}
    return Records(head["identity"], head["told"], segments, known, frozenset(results), lines[-1][1])


def _whole_lines(raw: bytes) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield each line that is whole, and where it ends; nothing after one that is not."""
    end = 0
    for line in raw.splitlines(keepends=True):
        end += len(line)
        try:
            text, mark = line.decode().rsplit("#", 1)
            if mark != f"{mark_of(text)}\n":
                return
            yield json.loads(text), end
        except ValueError:
            return


def mark_of(text: str) -> str:
    """What stands at the end of a line that is whole."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
