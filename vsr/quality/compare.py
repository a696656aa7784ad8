"""Comparing two streams frame by frame: scores where sizes fit, and pictures of both. Opens nothing."""

import math
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from vsr.frames import Frame, StreamInfo
from vsr.prefetch import closed_after
from vsr.quality.drawing import side_by_side, to_frame, to_rgb, wipe
from vsr.quality.metrics import PSNR_OF_EQUAL, SSIM_WINDOW, luma_psnr, luma_ssim


class Stream(Protocol):
    """Anything with frames: a file's source, an in-memory list."""

    @property
    def info(self) -> StreamInfo: ...

    def frames(self) -> Iterator[Frame]: ...


class FrameScore(NamedTuple):
    """How close two frames are."""

    pts: int
    """Presentation time in the first stream's time base."""
    psnr: float
    """dB, on luma; infinite for equal frames."""
    ssim: float
    """-1 to 1, on luma."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How close two streams are."""

    scores: tuple[FrameScore, ...]
    """One for each pair of frames of the same size."""
    num_pairs: int
    """Frames that both streams have."""
    notes: tuple[str, ...] = ()
    """Differences that no score shows: frame counts, sizes, times."""

    @property
    def psnr(self) -> float:
        """Mean PSNR in dB; infinite where all frames are equal, NaN where none could be scored."""
        values = [score.psnr for score in self.scores]
        if values and all(math.isinf(value) for value in values):
            return math.inf
        return _mean([min(value, PSNR_OF_EQUAL) for value in values])

    @property
    def ssim(self) -> float:
        """Mean SSIM; NaN where no frames could be scored."""
        return _mean([score.ssim for score in self.scores])


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def pairs(a: Stream, b: Stream) -> Generator[tuple[Frame | None, Frame | None], None, None]:
    """Pair the frames of two streams in order; None where one has ended before the other.

    The streams are opened, read and closed in the thread that runs this generator.
    """
    frames_a, frames_b = a.frames(), b.frames()
    with closed_after(frames_a), closed_after(frames_b):
        while True:
            pair = next(frames_a, None), next(frames_b, None)
            if pair == (None, None):
                return
            yield pair


def _can_score(a: Frame, b: Frame) -> bool:
    size = (a.format.height, a.format.width)
    return size == (b.format.height, b.format.width) and min(size) >= SSIM_WINDOW


def compare_streams(a: Stream, b: Stream) -> Comparison:
    """Score two streams on luma; memory does not grow with pictures, only with numbers."""
    scores: list[FrameScore] = []
    counts, num_pairs, moved = [0, 0], 0, 0
    for one, other in pairs(a, b):
        counts[0] += one is not None
        counts[1] += other is not None
        if one is None or other is None:
            continue
        num_pairs += 1
        # Within half a tick of the coarser clock the times are the same: Matroska rounds to milliseconds.
        apart = abs(one.pts * one.time_base - other.pts * other.time_base)
        moved += apart > max(one.time_base, other.time_base) / 2
        if _can_score(one, other):
            scores.append(FrameScore(one.pts, luma_psnr(one, other), luma_ssim(one, other)))
    notes: list[str] = []
    if counts[0] != counts[1]:
        notes.append(f"{a.info.path} has {counts[0]} frames and {b.info.path} has {counts[1]}")
    if moved:
        notes.append(f"{moved} of {num_pairs} frames are shown at different times")
    if len(scores) < num_pairs:
        notes.append(f"{num_pairs - len(scores)} pairs differ in size, or are too small, and have no score")
    return Comparison(tuple(scores), num_pairs, tuple(notes))


def compare_pictures(
    a: Stream,
    b: Stream,
    *,
    style: Literal["side-by-side", "wipe"] = "side-by-side",
    labels: tuple[str, str] = ("before", "after"),
    position: float = 0.5,
) -> Generator[Frame, None, None]:
    """Draw each pair of frames into one RGB frame with the first stream's time; ends with the shorter stream.

    Args:
        style: next to each other, or in one picture left and right of a divider.
        labels: small captions; empty for none.
        position: place of the wipe's divider, 0 to 1.
    """
    with closing(pairs(a, b)) as both:
        for one, other in both:
            if one is None or other is None:
                return
            rgb, other_rgb = to_rgb(one), to_rgb(other)
            wiped = style == "wipe"
            drawn = wipe(rgb, other_rgb, position, labels) if wiped else side_by_side(rgb, other_rgb, labels)
            yield to_frame(drawn, one)
