"""One file from its plan to the finished result, in one piece or in segments, and a taste of it for an
estimate."""

import math
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import cast

from vsr.engine.device import all_devices
from vsr.engine.engine import Engine
from vsr.errors import SinkError
from vsr.frames import Frame
from vsr.jobs.identity import identity_of
from vsr.jobs.long_job import LongJob, run_long
from vsr.jobs.plan import Plan
from vsr.jobs.segments.borders import Cutting, Reach
from vsr.jobs.segments.journal_records import read_records, work_folder
from vsr.jobs.segments.segment_sink import SegmentEncoding
from vsr.jobs.workers.local_pool import LocalPool
from vsr.jobs.workers.pool import Pool
from vsr.jobs.workers.ray_pool import RayPool, check_cluster
from vsr.jobs.workers.worker import SegmentWork
from vsr.media.images.stream import ImageReport, ImageSink, ImageSource
from vsr.media.reading.source import ReadCounts, Source, VideoSource
from vsr.media.writing.output import WriteReport
from vsr.media.writing.sink import FileSink
from vsr.options import EnhanceOptions, ReadOptions
from vsr.pipeline import Clock, PipelineOptions, Report, enhance


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


def carry_out(
    plan: Plan,
    options: EnhanceOptions,
    *,
    overwrite: bool = False,
    clock: Clock | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Enhance one file as planned. On any error no file is left behind, but the finished segments of a long
    one.

    `tell` is given lines that cannot wait: that the disk is full, that a segment is damaged.

    Raises:
        VsrError: as the stages say; VerifyError where the result was written and differs from what it should
            be.
    """
    target = plan.job.target
    unfinished = read_records(work_folder(target))
    for path in plan.targets:
        ours = unfinished is not None and unfinished.has_become(path)  # killed between its name and the end
        if path.exists() and not overwrite and not ours:
            raise SinkError(f"{path} exists; pass --overwrite to replace it or name another output with -o")
    if plan.job.creates_folder:
        _make_folder(target.parent)
    if is_long(plan, options):
        return _carry_out_long(plan, options, clock, tell)
    source = _source(plan, options.read)
    engine = _engine(plan, options)
    sink = _sink(plan, options)
    report = enhance(source, engine, sink, _pipeline(plan, options), clock=clock)
    written = sink.report
    assert written is not None  # the sink has ended well
    counts = source.counts if isinstance(source, VideoSource) else None
    also = sink.reports[1] if isinstance(sink, FileSink) and plan.second else None
    notes = [
        *plan.notes,
        *(counts.notes if counts else ()),
        *report.notes,
        *written.notes,
        *(also.notes if also else ()),
    ]
    return Outcome(target, report, counts, written, tuple(dict.fromkeys(notes)), also)


def is_long(plan: Plan, options: EnhanceOptions) -> bool:
    """Whether a file is enhanced in segments: a video longer than one of them, or of unknown length."""
    seconds = options.job.segment
    if seconds == "off" or plan.encoder is None:
        return False
    info, read = plan.frames, options.read
    start, end = (float(time) if time is not None else None for time in read.span)
    length = min((time for time in (info.duration_s, end) if time is not None), default=None)
    if read.frames and info.average_rate:
        length = min(length or math.inf, (start or 0) + read.frames / float(info.average_rate))
    return length is None or length - (start or 0) > seconds


def _carry_out_long(
    plan: Plan, options: EnhanceOptions, clock: Clock | None, tell: Callable[[str], None]
) -> Outcome:
    sink = _sink(plan, options)
    assert isinstance(sink, FileSink)
    job = LongJob(
        outputs=sink.outputs,
        work=_work(plan, options, sink),
        identity=identity_of(
            plan.job.path,
            options,
            models=plan.models,
            choices=[output.choice for output in sink.outputs],
            picture=plan.output,
            crop=plan.crop,
        ),
        told={
            "source": str(plan.job.path.absolute()),
            "target": str(plan.job.target.absolute()),
            "num_frames": plan.num_frames,
        },
        num_frames=plan.num_frames,
        open_pool=_open_pool(options),
    )
    report, counts, written = run_long(job, restart=options.job.restart, clock=clock, tell=tell)
    notes = [*plan.notes, *counts.notes, *report.notes, *(note for each in written for note in each.notes)]
    also = written[1] if plan.second else None
    return Outcome(plan.job.target, report, counts, written[0], tuple(dict.fromkeys(notes)), also)


def _work(plan: Plan, options: EnhanceOptions, sink: FileSink) -> SegmentWork:
    assert options.job.segment != "off"
    return SegmentWork(
        path=plan.job.path,
        file=plan.source,
        frames=plan.frames,
        read=options.read,
        models=plan.models,
        engine=options.engine,
        resample=plan.resample,
        encoding=SegmentEncoding(
            tuple(output.choice for output in sink.outputs), plan.output, plan.frames.time_base
        ),
        cutting=Cutting(Fraction(str(options.job.segment)), Reach.of(plan.models), _pipeline(plan, options)),
    )


def _open_pool(options: EnhanceOptions) -> Callable[[SegmentWork, Path], Pool] | None:
    """Who enhances the segments of a long job; None for this process alone."""
    if options.job.cluster:
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


def _engine(plan: Plan, options: EnhanceOptions) -> Engine:
    return Engine(
        plan.models,
        options.engine,
        size=plan.resample,
        sample_aspect=plan.output.sample_aspect,
        bit_depth=plan.output.bit_depth,
    )


def _pipeline(plan: Plan, options: EnhanceOptions) -> PipelineOptions:
    return PipelineOptions(crop=plan.crop, color_correct=options.picture.color_correct)


def _source(plan: Plan, read: ReadOptions) -> VideoSource | ImageSource:
    if plan.job.is_image:
        return ImageSource(plan.job.path)
    return VideoSource(plan.job.path, read, info=plan.source)


def _sink(plan: Plan, options: EnhanceOptions) -> FileSink | ImageSink:
    if plan.encoder is None:
        return ImageSink(plan.job.target, source=plan.source, quality=options.encode.quality)
    read = options.read
    return FileSink(
        plan.job.target,
        source=plan.frames,
        format=plan.output,
        options=options.encode,
        trim=bool(read.start or read.end or read.frames),
        choice=plan.encoder,
        second=plan.second,
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a taste of the real work says about all of it."""

    seconds: float | None
    """None where the number of frames is not known."""
    num_bytes: int | None
    frames_per_s: float


def estimate(plan: Plan, options: EnhanceOptions, *, limit_s: float = 4.0, max_frames: int = 50) -> Estimate:
    """Really enhance the first frames into a temporary file, for a few seconds, and extrapolate."""
    with tempfile.TemporaryDirectory() as folder:
        plan = _moved(plan, Path(folder))
        taste = _Taste(_source(plan, options.read), limit_s, max_frames)
        sink = _sink(plan, replace(options, read=replace(options.read, frames=max_frames)))
        engine = _engine(plan, options)
        report = enhance(taste, engine, sink, _pipeline(plan, options))
        share = None if plan.num_frames is None else plan.num_frames / report.num_frames
        return Estimate(
            seconds=None if share is None else report.seconds * share,
            num_bytes=None
            if share is None
            else round(sum(path.stat().st_size for path in plan.targets) * share),
            frames_per_s=report.num_frames / report.seconds,
        )


def _moved(plan: Plan, folder: Path) -> Plan:
    """The same plan with all results in a folder."""
    job, second = plan.job, plan.second
    if second is not None:
        second = replace(second, path=folder / f"second_{second.path.name}")
    return replace(plan, job=replace(job, target=folder / job.target.name), second=second)


class _Taste:
    """The beginning of a source, for as long as `limit_s`."""

    def __init__(self, source: Source, limit_s: float, max_frames: int):
        self.info = source.info
        self._source, self._limit_s, self._max_frames = source, limit_s, max_frames

    def frames(self) -> Iterator[Frame]:
        """Yield frames until the time or their number is used up."""
        began = time.monotonic()
        with closing(cast(Generator[Frame, None, None], self._source.frames())) as frames:
            for index, frame in enumerate(frames):
                if index >= self._max_frames or (index and time.monotonic() - began > self._limit_s):
                    return
                yield frame
