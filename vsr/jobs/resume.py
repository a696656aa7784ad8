"""The story of a long job: enhance what is missing, segment by segment; join what is there; take the work away.

The journal is the truth. A job that was killed, interrupted or met a full disk goes on by the same steps as one that
begins: find the first stretch that is missing, enhance it, look again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vsr.engine.engine import Engine
from vsr.errors import SourceError
from vsr.jobs.closed_segments import ClosedSegments, Encoding
from vsr.jobs.disk import LEAST, free_bytes, wait_for_room
from vsr.jobs.journal import Gap, Journal
from vsr.jobs.records import sync, work_folder
from vsr.jobs.segments import Cutting, ReadsDifferentlyError, Stretch
from vsr.media.encode import is_disk_full
from vsr.media.sink import Output, WriteReport
from vsr.media.source import Source
from vsr.pipeline import Clock, PipelineOptions, Report, enhance

Tell = Callable[[str], None]


@dataclass(frozen=True)
class LongJob:
    """Everything that must be known to do a job in segments."""

    output: Output
    read: Callable[[int | None, int], Source]
    """The source from a pts on (None: all of it), less so many frames of the limit that the user may have set."""
    engine: Engine
    encoding: Encoding
    cutting: Cutting
    identity: Mapping[str, str]
    told: Mapping[str, Any]
    """What `vsr jobs` shows."""
    num_frames: int | None
    """As far as known."""


def run_long(
    job: LongJob, *, restart: bool = False, clock: Clock | None = None, tell: Tell = lambda _: None
) -> tuple[Report, WriteReport]:
    """Begin or go on with a job, to the finished file. On an error all finished segments stay.

    Raises:
        ConfigError: another job lies there.
        VsrError: as the stages say.
        KeyboardInterrupt: with a line on how to go on.
    """
    job.output.check()
    clock = clock or Clock()
    journal = Journal(work_folder(job.output.path), job.identity, job.told, restart=restart)
    finished = False
    try:
        for number in sorted(journal.find_damaged()):
            tell(f"segment {number} is damaged on the disk and is made again")
        clock.done = journal.num_frames
        report = replace(_fill(job, journal, clock, tell), num_frames=journal.num_frames - clock.done)
        clock.finishing = True
        written = _join(job, journal, tell)
        sync(job.output.path.parent)  # the name must outlive a power cut before the segments go
        finished = True
        return report, written
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"the same command goes on after {_of(journal, job)} frames") from None
    finally:
        journal.close(remove=finished)


def _of(journal: Journal, job: LongJob) -> str:
    return f"{journal.num_frames}" + (f" of {job.num_frames}" if job.num_frames else "")


def _fill(job: LongJob, journal: Journal, clock: Clock, tell: Tell) -> Report:
    """Enhance what is missing."""
    report = Report(0, 0.0, 0.0, 0.0, 0.0, clock.slowest)
    from_start, sink = False, None
    while (gap := journal.missing()) is not None:
        try:
            clock.finishing = False
            sink = _sink(job, journal, gap, tell, from_start=from_start)
            report = enhance(sink.stretch, job.engine, sink, PipelineOptions(prepared=True), clock=clock)
            from_start = False
        except ReadsDifferentlyError as error:
            if from_start:
                raise SourceError(f"{error}; --restart begins anew") from error
            from_start = True
        except Exception as error:
            if not is_disk_full(error):
                raise
            lost = 2 * sink.lost_bytes if sink else 0
            wait_for_room(journal.folder, max(lost, _room(journal)), tell)
    return report


def _sink(job: LongJob, journal: Journal, gap: Gap, tell: Tell, *, from_start: bool) -> ClosedSegments:
    """What enhances and writes a stretch."""
    begin = gap.begin
    passed = begin.entry.index if begin and not from_start else 0
    stretch = Stretch(
        job.output.source, lambda pts: job.read(pts, passed), job.cutting,
        begin=begin, end=gap.end, from_start=from_start,
    )  # fmt: skip
    return ClosedSegments(journal, stretch, job.encoding, lambda: _watch(job, journal, tell))


def _watch(job: LongJob, journal: Journal, tell: Tell) -> None:
    """Wait where the next segment may not fit; once the first one's size is known, say if all will not."""
    wait_for_room(journal.folder, _room(journal), tell)
    if len(journal.segments) != 1 or not job.num_frames:
        return
    written = sum(segment.num_bytes for segment in journal.segments.values())
    expected = round(written / journal.num_frames * job.num_frames) if journal.num_frames else 0
    needed, free = 2 * expected - written, free_bytes(journal.folder)
    if free < needed:
        tell(
            f"note: about {needed / 1e6:,.0f} MB will be needed in {journal.folder.parent}, {free / 1e6:,.0f} are free"
        )


def _room(journal: Journal) -> int:
    """Bytes for the segment that is written and the one that flushes."""
    return max([LEAST, *(2 * segment.num_bytes for segment in journal.segments.values())])


def _join(job: LongJob, journal: Journal, tell: Tell) -> WriteReport:
    """Join the segments; where the disk gets full meanwhile, again when there is more room than the try has taken."""
    parts = journal.parts(job.encoding.time_base)
    room, written = sum(segment.num_bytes for segment in journal.segments.values()), 0
    while True:
        try:
            return job.output.complete(parts, journal.folder, before_rename=journal.add_result)
        except Exception as error:
            if not is_disk_full(error):
                raise
            for left in journal.folder.glob("joined.*"):
                written = max(written, left.stat().st_size)
                left.unlink()
            wait_for_room(journal.folder, max(room, round(1.25 * written)) + LEAST, tell)
