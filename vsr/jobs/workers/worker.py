"""What it takes to enhance any stretch of a job, in this process or in another one: a description, and who
does it."""

import pickle
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vsr.engine.engine import Engine
from vsr.errors import ConfigError, SourceError, VsrError
from vsr.frames import Frame, StreamInfo
from vsr.jobs.segments.borders import Cutting, ReadsDifferentlyError, Stretch
from vsr.jobs.segments.journal import Gap
from vsr.jobs.segments.journal_records import Segment
from vsr.jobs.segments.segment_sink import Keep, SegmentEncoding, SegmentSink
from vsr.jobs.workers.pool import Failed, Finished, SegmentProgress
from vsr.media.reading.source import ReadCounts, VideoSource
from vsr.media.writing.encode import is_disk_full
from vsr.models.spec import Model
from vsr.options import EngineOptions, ReadOptions
from vsr.pipeline import Clock, PipelineOptions, Report, enhance


@dataclass(frozen=True)
class SegmentWork:
    """Everything but the stretch."""

    path: Path
    file: StreamInfo
    """What lies there."""
    frames: StreamInfo
    """What is made of it when it is read."""
    read: ReadOptions
    models: tuple[Model, ...]
    engine: EngineOptions
    resample: tuple[int, int] | None
    """Height, width of the final resampling."""
    encoding: SegmentEncoding
    cutting: Cutting

    def source(self, from_pts: int | None, passed: int) -> VideoSource:
        """The source from a pts on (None: all of it), less so many frames of the limit that the user may have
        set."""
        limit = self.read.frames - passed if self.read.frames else 0
        return VideoSource(self.path, replace(self.read, frames=limit), info=self.file, from_pts=from_pts)

    def make_engine(self) -> Engine:
        """Load the models onto their device."""
        kept = self.encoding.format
        return Engine(
            self.models,
            self.engine,
            size=self.resample,
            sample_aspect=kept.sample_aspect,
            bit_depth=kept.bit_depth,
        )

    def packed(self) -> bytes:
        """All of it, networks included, for another process.

        Raises:
            ConfigError: a network cannot be sent.
        """
        try:
            return pickle.dumps(self)
        except Exception as error:  # networks of others raise what they like
            names = " + ".join(model.spec.name for model in self.models)
            raise ConfigError(
                f"{names} cannot be sent to other workers ({error}); use --workers 1"
            ) from error


class StretchReader:
    """Reads stretches of a job, and remembers what happened the last time."""

    def __init__(self, work: SegmentWork):
        self._work = work
        self._opened: VideoSource | None = None

    @property
    def counts(self) -> ReadCounts:
        """Of the source that was opened last."""
        return self._opened.counts if self._opened else ReadCounts()

    def stretch(self, gap: Gap, *, from_start: bool) -> Stretch:
        """The frames of a gap; `from_start` reads all those before it, too."""
        passed = gap.begin.entry.index if gap.begin and not from_start else 0

        def read(pts: int | None) -> VideoSource:
            self._opened = self._work.source(pts, passed)
            return self._opened

        work = self._work
        return Stretch(work.frames, read, work.cutting, begin=gap.begin, end=gap.end, from_start=from_start)


class Worker:
    """Enhances stretches of one job, one at a time, with one engine."""

    def __init__(self, work: SegmentWork):
        self.engine = work.make_engine()
        self.lost_bytes = 0
        """Size of what the last stretch that failed had written."""
        self.reading = StretchReader(work)
        self._work = work

    def run(
        self,
        gap: Gap,
        folder: Path,
        keep: Keep,
        *,
        clock: Clock | None = None,
        before_segment: Callable[[], None] = lambda: None,
        after_frame: Callable[[], None] = lambda: None,
    ) -> Report:
        """Enhance a gap into closed segments in `folder`, from the source's start where it cannot be entered
        exactly.

        Args:
            gap: what is missing.
            folder: where segments are written.
            keep: is given each finished segment.
            clock: told how far it is.
            before_segment: called before each segment's first frame; may wait.
            after_frame: called when a frame has been written.

        Raises:
            SourceError: the source does not read as it did before, not even from its start.
        """
        for from_start in (False, True):
            stretch = self.reading.stretch(gap, from_start=from_start)
            sink = _Heard(after_frame, folder, stretch, self._work.encoding, keep, before_segment)
            try:
                return enhance(stretch, self.engine, sink, PipelineOptions(prepared=True), clock=clock)
            except ReadsDifferentlyError as error:
                if from_start:
                    raise SourceError(f"{error}; --restart begins anew") from error
            finally:
                self.lost_bytes = sink.lost_bytes
        raise AssertionError("unreachable")


class _Heard(SegmentSink):
    """Closed segments, each of whose frames is heard of."""

    def __init__(self, after_frame: Callable[[], None], *arguments: Any):
        super().__init__(*arguments)
        self._after_frame = after_frame

    def write(self, frame: Frame) -> None:
        super().write(frame)
        self._after_frame()


def attempt(
    worker: Worker, gap: Gap, folder: Path, tell: Callable[[SegmentProgress], None], *, every_s: float = 0.2
) -> Finished | Failed:
    """Enhance one segment of a job that another process holds, and say what has become of it.

    `tell` hears every so many seconds how far it is; what it raises ends the attempt.
    """
    clock, told_s = Clock(), 0.0
    kept: list[tuple[Segment, Path]] = []

    def after_frame() -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= every_s:
            told_s = time.monotonic()
            tell(SegmentProgress.of(gap.number, clock))

    try:
        report = worker.run(
            gap,
            folder,
            lambda segment, part: kept.append((segment, part)),
            clock=clock,
            after_frame=after_frame,
        )
    except Exception as error:
        return failed(gap, error, lost_bytes=worker.lost_bytes)
    ((segment, part),) = kept
    return Finished(segment, part, report)


def failed(gap: Gap, error: Exception, *, lost_bytes: int = 0) -> Failed:
    """Describe a failure so that another process can raise the same error."""
    full = is_disk_full(error)
    error.add_note(f"in a worker:\n{''.join(traceback.format_exception(error))}")
    try:
        sent = pickle.loads(pickle.dumps(error))
        same = type(sent) is type(error) and str(sent) == str(error)
    except Exception:  # errors of other libraries want what they are not given
        same = False
    return Failed(
        gap.number, error if same else VsrError(f"{type(error).__name__}: {error}"), full, lost_bytes
    )
