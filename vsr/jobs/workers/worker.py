"""Who enhances any stretch of a planned job, in this process or in another one."""

import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vsr.errors import ConfigError, SourceError, VsrError, story_of
from vsr.frames import Frame
from vsr.jobs.assemble import cutting, make_engine, open_video, outputs_of
from vsr.jobs.noting import FrameHashes, NotingSource
from vsr.jobs.plan import Plan
from vsr.jobs.segments.borders import ReadsDifferentlyError, Stretch
from vsr.jobs.segments.journal import Gap
from vsr.jobs.segments.journal_records import Segment
from vsr.jobs.segments.segment_sink import Keep, SegmentSink
from vsr.jobs.workers.pool import Failed, Finished, SegmentProgress
from vsr.media import NumberedSource, ReadCounts, Source, VideoSource, is_disk_full
from vsr.pipeline import Clock, PipelineOptions, Report, enhance


def packed(plan: Plan) -> bytes:
    """All of a plan, networks included, for another process.

    Raises:
        ConfigError: a network cannot be sent.
    """
    try:
        return pickle.dumps(plan)
    except Exception as error:  # networks of others raise what they like
        names = " + ".join(model.spec.name for model in plan.models)
        raise ConfigError(f"{names} cannot be sent to other workers ({error}); use --workers 1") from error


class StretchReader:
    """Reads stretches of a job, and remembers what happened the last time."""

    def __init__(self, plan: Plan):
        self._plan, self._cutting = plan, cutting(plan)
        self._opened: VideoSource | NumberedSource | None = None

    @property
    def counts(self) -> ReadCounts:
        """Of the source that was opened last."""
        return self._opened.counts if self._opened else ReadCounts()

    def stretch(self, gap: Gap, *, from_start: bool, hashes: FrameHashes | None = None) -> Stretch:
        """The frames of a gap; `from_start` reads all those before it, too. They are noted in `hashes`."""
        passed = gap.begin.entry.index if gap.begin and not from_start else 0

        def read(pts: int | None) -> Source:
            self._opened = open_video(self._plan, pts, passed)
            return NotingSource(self._opened, hashes) if hashes is not None else self._opened

        return Stretch(
            self._plan.frames, read, self._cutting, begin=gap.begin, end=gap.end, from_start=from_start
        )


class Worker:
    """Enhances stretches of one job, one at a time, with one engine."""

    def __init__(self, plan: Plan):
        self.engine = make_engine(plan)
        self.lost_bytes = 0
        """Size of what the last stretch that failed had written."""
        self.reading = StretchReader(plan)
        self._outputs, self._hashes_frames = outputs_of(plan), plan.hashes_frames
        self._options = PipelineOptions(prepared=True, label=plan.label)

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
        """Enhance a gap into closed segments in `folder`, from the source's start
        where it cannot be entered exactly.

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
            hashes = FrameHashes() if self._hashes_frames else None
            stretch = self.reading.stretch(gap, from_start=from_start, hashes=hashes)
            sink = _Heard(after_frame, folder, stretch, self._outputs, keep, before_segment, hashes)
            try:
                return enhance(stretch, self.engine, sink, self._options, clock=clock)
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
    error.add_note(f"in a worker:\n{story_of(error)}")
    try:
        sent = pickle.loads(pickle.dumps(error))
        same = type(sent) is type(error) and str(sent) == str(error)
    except Exception:  # errors of other libraries want what they are not given
        same = False
    return Failed(
        gap.number, error if same else VsrError(f"{type(error).__name__}: {error}"), full, lost_bytes
    )
