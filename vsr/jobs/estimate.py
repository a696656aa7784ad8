"""How long a plan will take and how much it will write, from really doing the beginning of it."""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from vsr.engine import shows_the_same
from vsr.frames import Frame
from vsr.jobs.assemble import make_engine, make_sink, open_source, pipeline_options
from vsr.jobs.plan import Plan
from vsr.media import Source
from vsr.pipeline import enhance
from vsr.prefetch import closed_after


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the beginning of the real work says about all of it."""

    seconds: float | None
    """None where the number of frames is not known."""
    num_bytes: int | None
    frames_per_s: float


def estimate_plan(plan: Plan, *, limit_s: float = 4.0, max_frames: int = 50) -> Estimate:
    """Really enhance the first frames into a temporary file, for a few seconds, and extrapolate."""
    with tempfile.TemporaryDirectory() as folder:
        plan = _moved(plan, Path(folder))
        source = open_source(plan)
        beginning = _Beginning(source, limit_s, max_frames)
        report = enhance(beginning, make_engine(plan), make_sink(plan, source), pipeline_options(plan))
        frames_per_s = report.num_frames / report.seconds
        if plan.num_frames is None:
            return Estimate(None, None, frames_per_s)
        share = plan.num_frames / report.num_frames
        num_bytes = round(sum(path.stat().st_size for path in plan.standing) * share)
        return Estimate(report.seconds * share, num_bytes, frames_per_s)


def _moved(plan: Plan, folder: Path) -> Plan:
    """The same plan with all results in a folder, cut to the frames that are written."""
    target, outputs = folder / plan.job.target.name, plan.outputs
    if outputs is not None:
        paths = [target, *(folder / f"second_{file.path.name}" for file in outputs.files[1:])]
        files = [replace(file, path=path, trim=True) for file, path in zip(outputs.files, paths, strict=True)]
        outputs = replace(outputs, files=tuple(files))
    return replace(plan, job=replace(plan.job, target=target), outputs=outputs)


class _Beginning:
    """The beginning of a source, for as long as `limit_s`, after the still that many begin with: frames that repeat
    the one before cost nothing, so they say nothing of the others."""

    def __init__(self, source: Source, limit_s: float, max_frames: int):
        self.info = source.info
        self._source, self._limit_s, self._max_frames = source, limit_s, max_frames

    def frames(self) -> Iterator[Frame]:
        """Yield frames until the time or their number is used up."""
        frames = self._source.frames()
        with closed_after(frames):
            first = self._past_still(frames)
            began = time.monotonic()
            for index, frame in enumerate(chain(first, frames)):
                if index >= self._max_frames or (index and time.monotonic() - began > self._limit_s):
                    return
                yield frame

    def _past_still(self, frames: Iterator[Frame]) -> list[Frame]:
        """Read past frames that repeat the first one, but not for ever; return the last of them and the next one, or
        all where none is another."""
        began, still = time.monotonic(), list(islice(frames, 1))
        for frame in frames:
            if time.monotonic() - began > self._limit_s / 4 or not shows_the_same(frame, still[0]):
                return [still[-1], frame]
            still.append(replace(frame, planes=still[0].planes))  # as memory for one is enough
        return still
