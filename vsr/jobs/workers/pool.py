"""What a job asks of several workers, wherever they are: take stretches, and tell what has become of them."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vsr.jobs.segments.journal import Gap
from vsr.jobs.segments.journal_records import Segment
from vsr.pipeline import Clock, Report

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SegmentProgress:
    """How far a stretch is."""

    number: int
    """Of its segment."""
    frames: int = 0
    """Enhanced so far; those before the border on which networks warm up are among them."""
    decode_s: float = 0.0
    engine_s: float = 0.0
    encode_s: float = 0.0

    @classmethod
    def of(cls, number: int, clock: Clock) -> "SegmentProgress":
        """What a worker's clock shows."""
        return cls(number, clock.frames, clock.decode_s, clock.engine_s, clock.encode_s)


@dataclass(frozen=True, slots=True)
class Finished:
    """A segment lies on the disk and wants its name and its line in the journal."""

    segment: Segment
    part: Path
    report: Report

    @property
    def number(self) -> int:
        return self.segment.number


@dataclass(frozen=True, slots=True)
class Failed:
    """A stretch has not become a segment."""

    number: int
    error: Exception
    """As it was raised."""
    disk_is_full: bool = False
    """There was no room in the job's folder."""
    lost_bytes: int = 0
    """What had been written and is gone."""


@dataclass(frozen=True, slots=True)
class Died:
    """The worker has died over a stretch, which may be tried again."""

    number: int
    why: str


News = SegmentProgress | Finished | Failed | Died


class Pool(AbstractContextManager["Pool", None], Protocol):
    """Workers of one job. Used by one thread, between `__enter__` and
    `__exit__`, which leaves nothing running."""

    @property
    def width(self) -> int:
        """Stretches that should be under way or waiting, so that no worker ever waits."""
        ...

    def submit(self, gap: Gap) -> None:
        """Have a stretch of one segment enhanced."""
        ...

    def news(self, timeout_s: float) -> Sequence[News]:
        """What has happened since the last time; waits for something to happen for so long."""
        ...
