"""Scoring candidates on clips: as streams through the engine, frame beside
frame, with what time does to them.

A clip is read as 8-bit RGB, as papers do; its reduced version is made frame by frame, or given, or
made and spoilt by a codec (`jobs.spoil`). All frames count. Memory holds the frames under way and
the few that time is measured on.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsr.errors import ModelError, SourceError
from vsr.evaluation.candidates import Candidate, time_per_frame
from vsr.evaluation.test_sets import cut_to, reduced
from vsr.frames import Frame
from vsr.media import Source, VideoSource, Vmaf
from vsr.options import ReadOptions
from vsr.quality import (
    ColorVideoVdp,
    Judge,
    NoiseOverTime,
    Rgb,
    Score,
    Show,
    Steadiness,
    chroma_of,
    luma_of,
    mean_score,
    show_nobody,
    to_frame,
    to_rgb,
)
from vsr.scenes import mark_scene_cuts

TIMED_FRAMES = 16
"""Frames of the clip on which time per frame is measured."""


@dataclass(frozen=True, slots=True)
class ReferenceClip:
    """An original clip and what a network is given of it. Each call of `high` or `low` reads anew."""

    original: Source
    given: Source | None
    """The reduced version; None to make it by MATLAB's bicubic reduction."""
    scale: int
    """Enlargement from the reduced version to the original."""

    @property
    def name(self) -> str:
        return Path(self.original.info.path).stem

    def high(self) -> Generator[Rgb, None, None]:
        """Yield the original's pictures, cut to multiples of the scale."""
        for frame in self.original.frames():
            yield cut_to(to_rgb(frame), self.scale)

    def low(self) -> Generator[Frame, None, None]:
        """Yield the reduced frames; scene cuts are marked."""
        return mark_scene_cuts(self._reduced() if self.given is None else self.given.frames())

    def _reduced(self) -> Iterator[Frame]:
        for frame in self.original.frames():
            yield to_frame(reduced(cut_to(to_rgb(frame), self.scale), self.scale), frame)


def open_clip(high: Path, low: Path | None, scale: int, *, num_frames: int = 0) -> ReferenceClip:
    """Open an original, and its reduced version where there is one; `num_frames` of them count, 0 for all.

    Raises:
        SourceError: a file cannot be read, or the sizes do not fit the scale.
    """
    options = ReadOptions(frames=num_frames)
    clip = ReferenceClip(
        VideoSource(high, options), None if low is None else VideoSource(low, options), scale
    )
    if clip.given is not None:
        given, wanted = clip.given.info.format, clip.original.info.format
        size = (wanted.height // scale, wanted.width // scale)
        if (given.height, given.width) != size:
            raise SourceError(
                f"{low} is {given.width}x{given.height}; at scale {scale} {size[1]}x{size[0]} is expected"
            )
    return clip


@dataclass(frozen=True, slots=True)
class ClipResult:
    """What one candidate made of a clip."""

    score: Score
    """Means over all frames."""
    num_frames: int
    warping_error: float
    """See `quality.temporal`."""
    original_warping_error: float
    """The same of the original clip: below it, a result is steadier because it shows less."""
    flicker_psnr: float
    """dB; see `quality.temporal`."""
    noise_over_time: float
    """σ in code values of 8 bits; see `quality.noise_left`."""
    latency_frames: int
    ms_per_frame: float
    vmaf: float | None = None
    """0 to 100, larger is better; None where it was not measured."""
    cvvdp: float | None = None
    """JOD; see `ColorVideoVdp`."""
    vmaf_v1: float | None = None
    """The same by the models of 2026, which see colour, banding and painted detail."""


def score_clip(
    candidate: Candidate,
    clip: ReferenceClip,
    judge: Judge,
    *,
    vmaf: Sequence[Vmaf] = (),
    cvvdp: ColorVideoVdp | None = None,
    show: Show = show_nobody,
) -> ClipResult:
    """Run a clip through a candidate as one stream and score every frame.

    Args:
        candidate: what enlarges.
        clip: original and reduced version.
        judge: scores of single frames.
        vmaf: meters of those that are to be measured, too.
        cvvdp: where it is to be measured, too.
        show: is shown every result, named `frame 0`, `frame 1`, ...

    Raises:
        SourceError: original and reduced version have different numbers of frames.
        ModelError: the results have another size than the original.
    """
    steady, noise, scores = Steadiness(), NoiseOverTime(), list[Score]()
    with ExitStack() as open_meters, closing(_side_by_side(candidate, clip)) as pairs:
        for meter in (*vmaf, *([cvvdp] if cvvdp else [])):
            open_meters.enter_context(meter)
        for number, (result, original, cut) in enumerate(pairs):
            scores.append(judge.score(result, original))
            lumas = luma_of(result), luma_of(original)
            steady.add(*lumas, cut=cut)
            noise.add(*lumas, cut=cut)
            _measure(result, original, vmaf, cvvdp)
            show(f"frame {number}", result, original, scores[-1])
        values = {meter.model: meter.value() for meter in vmaf}
        jod = None if cvvdp is None else cvvdp.value(float(clip.original.info.average_rate or 25))
    over_time = steady.warping_error, steady.original_warping_error, steady.flicker_psnr, noise.deviation
    cost = candidate.latency_frames, time_per_frame(candidate, _first(clip), rounds=2)
    score, (v0, v1) = mean_score(scores), map(values.get, ("v0", "v1"))
    return ClipResult(score, len(scores), *over_time, *cost, vmaf=v0, vmaf_v1=v1, cvvdp=jod)


def _measure(result: Rgb, original: Rgb, vmaf: Sequence[Vmaf], cvvdp: ColorVideoVdp | None) -> None:
    for meter in vmaf:
        look = luma_of if meter.model == "v0" else _planes
        meter.add(look(result), look(original))
    if cvvdp is not None:
        cvvdp.add(result, original)


def _planes(rgb: Rgb) -> npt.NDArray[Any]:
    return np.stack([luma_of(rgb), *chroma_of(rgb)])


def _side_by_side(candidate: Candidate, clip: ReferenceClip) -> Generator[tuple[Rgb, Rgb, bool], None, None]:
    """Yield each result, its original, and whether a scene begins with it."""
    number = 0
    with closing(clip.high()) as highs, closing(candidate.run(clip.low())) as results:
        for original, frame in zip_longest(highs, results):
            if original is None or frame is None:
                which = "the original" if original is None else "the reduced version"
                raise SourceError(f"{which} of {clip.name} ends after {number} frames, before the other")
            result = to_rgb(frame)
            if result.shape != original.shape:
                raise ModelError(f"{candidate.name} made {result.shape[:2]}, {original.shape[:2]} expected")
            yield result, original, frame.reset
            number += 1


def _first(clip: ReferenceClip) -> list[Frame]:
    with closing(clip.low()) as frames:
        first = islice(frames, TIMED_FRAMES)
        return [replace(frame, planes=tuple(plane.copy() for plane in frame.planes)) for frame in first]
