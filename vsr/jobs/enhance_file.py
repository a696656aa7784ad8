"""One file from its plan to the finished result, in one piece or in segments; one of
several, its error kept for the end."""

import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from vsr.durable import WorkFolder, were_promised, work_folder
from vsr.engine import all_devices
from vsr.errors import ConfigError, DeviceLostError, SinkError, VerifyError, VsrError, reason_of, redact
from vsr.frames import Frame
from vsr.jobs.assemble import make_engine, make_sink, open_source, pipeline_options
from vsr.jobs.frame_hash import FrameHash
from vsr.jobs.inputs import Job
from vsr.jobs.long_job import OpenPool, run_long
from vsr.jobs.noting import FrameHashes, NotingSink, NotingSource
from vsr.jobs.plan import Plan, make_plan, with_encoders_of_now
from vsr.jobs.segments.journal_records import read_records
from vsr.jobs.segments.unmarked import adopt_unmarked
from vsr.jobs.workers.local_pool import LocalPool
from vsr.jobs.workers.ray_connection import check_cluster
from vsr.jobs.workers.ray_pool import RayPool
from vsr.media import (
    FileSink,
    ImageReport,
    ImageSource,
    ReadCounts,
    WriteReport,
    check_target,
    is_address,
    is_standard,
)
from vsr.options import EnhanceOptions
from vsr.pipeline import Clock, Report, enhance


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    target: Path
    pipeline: Report
    counts: ReadCounts | None
    """What happened while reading; None for a picture."""
    written: WriteReport | ImageReport
    notes: tuple[str, ...]
    """Everything that the user should read after, once each."""
    also: WriteReport | None = None
    """The second output."""
    hashes: tuple[FrameHash, ...] = ()
    """Of all frames, in order, where the plan has them hashed."""
    kept: Mapping[str, Frame] = field(default_factory=dict[str, Frame])
    """Decoded frames that the plan has kept, by their hashes; none of a long job."""


def _nothing(*_: object) -> None:
    return


def carry_out(
    plan: Plan,
    *,
    overwrite: bool,
    clock: Clock,
    tell: Callable[[str], None],
    after: Callable[[Plan, Outcome], None] = _nothing,
) -> Outcome:
    """Enhance one file as planned. On any error no file is left behind, but
    the finished segments of a long one.

    `tell` is given lines that cannot wait: that the disk is full, that a segment is damaged. `after` is what belongs
    to the result once it is there; where that fails, the same command goes on.

    Raises:
        VsrError: as the stages say; VerifyError where the result was written
            and differs from what it should be.
    """
    folder, there = work_folder(plan.job.target), plan.standing
    overwrite = overwrite or (bool(there) and _is_left_over(there, folder))
    if there and not overwrite:
        if os.path.lexists(folder):
            with suppress(SinkError):
                WorkFolder(folder, adopt_unmarked).close()  # of one who was killed at the very end
        raise SinkError(f"{there[0]} exists; pass --overwrite to replace it or name another output with -o")
    plan = replace(plan, overwrite=overwrite)
    if plan.job.creates_folder:
        _make_folder(plan.job.target.parent)
    with _marked(plan):
        outcome = _enhanced(plan, clock, tell)
        after(plan, outcome)
    return outcome


@contextmanager
def _marked(plan: Plan) -> Generator[None]:
    """Hold the result's work folder. Its mark stays where the result has its name and the block ends badly, so that
    the same command knows it for ours."""
    if is_standard(plan.job.target):
        yield
        return
    check_target(plan.job.target, plan.job.path)
    work = WorkFolder(work_folder(plan.job.target), adopt_unmarked)
    try:
        yield
    except BaseException as error:
        if (named := plan.standing) and were_promised(named, work.path):
            work.release()
        if isinstance(error, OSError):
            raise SinkError(f"{error.filename or plan.job.target}: {reason_of(error)}") from error
        raise
    finally:
        work.close()


def _enhanced(plan: Plan, clock: Clock, tell: Callable[[str], None]) -> Outcome:
    if plan.outputs is not None and plan.is_long:
        return _outcome(plan, *run_long(plan, plan.outputs, _open_pool(plan), clock=clock, tell=tell))
    source = open_source(plan)
    sink = make_sink(plan, source)
    hashes = FrameHashes(plan.kept_frames)
    read = NotingSource(source, hashes) if plan.hashes_frames else source
    write = NotingSink(sink, hashes) if plan.hashes_frames else sink
    report = enhance(read, make_engine(plan), write, pipeline_options(plan), clock=clock)
    assert sink.report is not None  # the sink has ended well
    counts = None if isinstance(source, ImageSource) else source.counts
    written = sink.reports if isinstance(sink, FileSink) else [sink.report]
    return replace(_outcome(plan, report, counts, written, hashes.given), kept=hashes.kept)


def _is_left_over(files: Sequence[Path], folder: Path) -> bool:
    """Whether what is there of results was made by a process that was killed before it had cleaned up."""
    if were_promised(files, folder):
        return True
    records = read_records(folder)  # 0.4.0 has written it there
    return records is not None and all(map(records.has_become, files))


def _outcome(
    plan: Plan,
    report: Report,
    counts: ReadCounts | None,
    written: Sequence[WriteReport | ImageReport],
    hashes: Sequence[FrameHash],
) -> Outcome:
    """What became of the file; `written` holds the result's report, then the second output's."""
    read = counts.notes if counts else ()
    notes = [*plan.notes, *read, *report.notes, *(note for each in written for note in each.notes)]
    also = written[1] if len(written) > 1 else None
    assert not isinstance(also, ImageReport)
    lines = tuple(dict.fromkeys(notes))
    return Outcome(plan.job.target, report, counts, written[0], lines, also, tuple(hashes))


def _open_pool(plan: Plan) -> OpenPool | None:
    """Who enhances the segments of a long job; None for this process alone."""
    options = plan.options
    if options.job.cluster:
        if plan.source.pictures or is_address(plan.job.path):
            raise ConfigError("a cluster's nodes read one file each sees or is sent; use --workers")
        check_cluster(options.job.cluster)
        return partial(RayPool, address=options.job.cluster)
    workers = num_workers(options)
    devices = all_devices(options.engine.device)
    return None if workers == 1 else partial(LocalPool, devices=devices, num=workers)


def num_workers(options: EnhanceOptions) -> int:
    """How many processes of this machine share a long job.

    Raises:
        ConfigError: a device is not on this machine.
    """
    workers = options.job.workers
    return len(all_devices(options.engine.device)) if workers == "auto" else workers


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"output folder {folder} cannot be made: {error.strerror}") from None


Status = Literal["done", "failed", "unverified", "planned", "not begun"]


@dataclass
class Result:
    """How far one file has come."""

    job: Job
    plan: Plan | None = None
    outcome: Outcome | None = None
    error: Exception | None = None

    @property
    def status(self) -> Status:
        if self.error is not None:
            return "unverified" if isinstance(self.error, VerifyError) else "failed"
        return "done" if self.outcome else "planned" if self.plan else "not begun"

    @property
    def reason(self) -> str:
        """One line on what went wrong; empty where nothing did."""
        if self.error is None or isinstance(self.error, VsrError):
            return str(self.error or "")
        return redact(f"unexpected {type(self.error).__name__}: {self.error}")


class FileView(Protocol):
    """Who is told how files get on."""

    def at_work(self, plan: Plan, clock: Clock) -> AbstractContextManager[None]:
        """Show that a planned file is enhanced, as far as its clock says, while the block runs."""
        ...

    def tell(self, line: str) -> None:
        """Say what cannot wait."""
        ...


def run_file(
    job: Job,
    options: EnhanceOptions,
    view: FileView,
    *,
    overwrite: bool = False,
    before: Callable[[Path], None] = _nothing,
    planned: Callable[[Plan], Plan] = lambda plan: plan,
    after: Callable[[Plan, Outcome], None] = _nothing,
) -> Result:
    """Enhance one file. Its error, whatever it is, becomes part of the result: one bad tape must not end the
    others. But a GPU that is lost to this process ends all.

    `before` is told of the result's path first, and may refuse it; `planned` is given the plan, and may refuse it or
    give another one. `after` is what belongs to the file once it is there; an error in it is the file's too.
    """
    result = Result(job)
    try:
        before(job.target)
        result.plan = planned(make_plan(job, options))
        try:
            result.outcome = _shown(result.plan, view, overwrite=overwrite, after=after)
        except SinkError as error:
            result.plan = _in_software(result.plan, error, view.tell)
            result.outcome = _shown(result.plan, view, overwrite=overwrite, after=after)
    except DeviceLostError:
        raise
    except Exception as error:
        result.error = error
    return result


def _shown(plan: Plan, view: FileView, *, overwrite: bool, after: Callable[[Plan, Outcome], None]) -> Outcome:
    clock = Clock()
    with view.at_work(plan, clock):
        return carry_out(plan, overwrite=overwrite, clock=clock, tell=view.tell, after=after)


def _in_software(plan: Plan, error: SinkError, tell: Callable[[str], None]) -> Plan:
    """The plan with other encoders, where the GPU's worked when it was tried, and had no session left when it began.

    Of a long job segments may lie there; software would begin it again, so it waits for the GPU instead.

    Raises:
        SinkError: `error`, where it has another reason.
    """
    records = read_records(work_folder(plan.job.target)) if plan.is_long else None
    has_begun = records is not None and bool(records.segments)
    if error.exit_code is None or not plan.encodes_on_gpu or plan.is_piped or has_begun:
        raise error
    other = with_encoders_of_now(plan)
    if other.encodes_on_gpu:
        raise error
    assert other.encoder is not None
    note = f"NVENC took no more streams, so this is encoded by {other.encoder.encoder} ({error})"
    tell(f"note: {note}")
    return replace(other, notes=(*other.notes, note))
