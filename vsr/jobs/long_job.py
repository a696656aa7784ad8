"""The story of a long job: enhance what is missing, segment by segment;
join what is there; take the work away.

The journal is the truth. A job that was killed, interrupted or met a full disk goes on by the same steps as
one that begins: find the first stretch that is missing, enhance it, look again.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from vsr.durable import work_folder
from vsr.errors import VerifyError
from vsr.jobs.disk import LEAST_FREE, free_bytes, wait_for_room
from vsr.jobs.frame_hash import FrameHash
from vsr.jobs.identity import default_options, identity_of
from vsr.jobs.plan import Plan
from vsr.jobs.segments.journal import Journal
from vsr.jobs.workers.dispatcher import Dispatcher, gaps_of
from vsr.jobs.workers.pool import Pool, Tell
from vsr.jobs.workers.worker import StretchReader, Worker
from vsr.media import Outputs, ReadCounts, WriteReport, complete, is_disk_full
from vsr.pipeline import Clock, Report

OpenPool = Callable[[Plan, Path], Pool]
"""Makes the workers that share a job, which write into a folder."""


def run_long(
    plan: Plan, outputs: Outputs, open_pool: OpenPool | None, *, clock: Clock, tell: Tell
) -> tuple[Report, ReadCounts, list[WriteReport], list[FrameHash]]:
    """Begin or go on with a job, to the finished files. On an error all finished segments stay.

    Returns what the last run measured and met, what was written, and the hashes of all frames where they are wanted.

    `outputs` are those of the plan; without `open_pool` this process enhances alone.
    `tell` is given lines that cannot wait.

    Raises:
        ConfigError: another job lies there.
        VsrError: as the stages say.
        KeyboardInterrupt: with a line on how to go on.
    """
    outputs.check()
    journal = _journal(plan)
    finished = False
    try:
        for number in sorted(_check(journal, clock)):
            tell(f"segment {number} is damaged on the disk and is made again")
        clock.done = journal.num_frames
        fill = _fill if open_pool is None else partial(_fill_together, open_pool=open_pool)
        report, counts = fill(plan, journal, clock, tell)
        report = replace(report, num_frames=journal.num_frames - clock.done)
        clock.finishing = True
        try:
            written = _join(plan, journal, tell, counts.doubt)
        except VerifyError:
            finished = bool(counts.doubt)  # what there is lies there, unverified
            raise
        finished = True
        return report, counts, written, journal.hashes()
    except KeyboardInterrupt:
        of = f" of {plan.num_frames}" if plan.num_frames else ""
        raise KeyboardInterrupt(f"the same command goes on after {journal.num_frames}{of} frames") from None
    finally:
        if left := journal.close(remove=finished):
            names = ", ".join(sorted(left)[:3])
            tell(f"note: {journal.folder} stays, for it holds what others have put there: {names}")


def _journal(plan: Plan) -> Journal:
    job = plan.job
    told = {"source": job.place, "target": str(job.target.absolute())}
    return Journal(
        work_folder(job.target),
        identity_of(plan),
        {**told, "num_frames": plan.num_frames},
        restart=plan.options.job.restart,
        unsaid=default_options(),
    )


def _check(journal: Journal, clock: Clock) -> set[int]:
    """Look at what an earlier run has left, and show how far that is."""

    def seen() -> None:
        clock.checked += 1

    clock.to_check, clock.checked = len(journal.segments), 0
    damaged = journal.find_damaged(seen)
    clock.started = time.monotonic()  # the speed is that of enhancing
    return damaged


def _fill(plan: Plan, journal: Journal, clock: Clock, tell: Tell) -> tuple[Report, ReadCounts]:
    """Enhance what is missing."""
    report = Report(0, 0.0, 0.0, 0.0, 0.0, clock.slowest)
    worker = Worker(plan)
    while (gap := journal.missing()) is not None:
        try:
            clock.finishing = False
            report = worker.run(
                gap,
                journal.folder,
                journal.keep,
                clock=clock,
                before_segment=lambda: _watch(plan, journal, tell),
            )
        except Exception as error:
            if not is_disk_full(error):
                raise
            wait_for_room(journal.folder, max(2 * worker.lost_bytes, _room(journal)), tell)
    return report, worker.reading.counts


def _fill_together(
    plan: Plan, journal: Journal, clock: Clock, tell: Tell, open_pool: OpenPool
) -> tuple[Report, ReadCounts]:
    """Have what is missing enhanced by several workers."""
    if journal.missing() is None:
        return Report(0, 0.0, 0.0, 0.0, 0.0, clock.slowest), ReadCounts()

    def wait_for_disk(num_writers: int, lost_bytes: int | None) -> None:
        if lost_bytes is not None:
            wait_for_room(journal.folder, max(2 * lost_bytes, _room(journal, num_writers)), tell)
        _watch(plan, journal, tell, num_writers=num_writers)

    reading = StretchReader(plan)
    try:
        with open_pool(plan, journal.folder) as pool:
            dispatcher = Dispatcher(pool, journal, clock, tell, wait_for_disk=wait_for_disk)
            return dispatcher.run(gaps_of(journal, reading)), reading.counts
    finally:
        journal.sweep()  # what was finished too late to be heard of


def _watch(plan: Plan, journal: Journal, tell: Tell, *, num_writers: int = 1) -> None:
    """Wait where the next segment may not fit; once the first one's size is known, say if all will not."""
    wait_for_room(journal.folder, _room(journal, num_writers), tell)
    if len(journal.segments) != 1 or not plan.num_frames:
        return
    written = sum(segment.num_bytes for segment in journal.segments.values())
    expected = round(written / journal.num_frames * plan.num_frames) if journal.num_frames else 0
    needed, free = 2 * expected - written, free_bytes(journal.folder)
    if free < needed:
        tell(
            f"note: about {needed / 1e6:,.0f} MB will be needed in {journal.folder.parent}, {free / 1e6:,.0f} are free"
        )


def _room(journal: Journal, num_writers: int = 1) -> int:
    """Bytes for the segments that are written and one that flushes."""
    return max(
        [LEAST_FREE, *((num_writers + 1) * segment.num_bytes for segment in journal.segments.values())]
    )


def _join(plan: Plan, journal: Journal, tell: Tell, doubt: str) -> list[WriteReport]:
    """Join the segments; where the disk gets full meanwhile, again when there is
    more room than the try has taken."""
    assert plan.outputs is not None
    parts = journal.parts(plan.outputs.time_base)
    room, written = sum(segment.num_bytes for segment in journal.segments.values()), 0
    while True:
        try:
            return complete(plan.outputs, parts, journal.work, replace=plan.overwrite, doubt=doubt)
        except Exception as error:
            if not is_disk_full(error):
                raise
            written = max(written, journal.sweep())
            wait_for_room(journal.folder, max(room, round(1.25 * written)) + LEAST_FREE, tell)
