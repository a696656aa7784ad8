"""A source and what has been made of it, frame by frame: pairs in, support out. Opens nothing."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from vsr.errors import SourceError
from vsr.frames import Frame
from vsr.models import Damage
from vsr.support.lumas import nominal_luma
from vsr.support.recurrence import confirmed_by
from vsr.support.reductions import Reduction, best_reduction
from vsr.support.signals import Map, Signals, signals_of
from vsr.support.tables import Table

_SHOWS_SOMETHING = 4.0
"""Standard deviation of a source's luma from which it tells which reduction fits."""

_SAME_SHAPE = 0.05
"""By how much the shapes of source and result may differ."""

Pair = tuple[Frame, Frame]
"""Of the source and of the result, at one time."""

Asked = Callable[[Frame, Tensor], Map]
"""What networks make of the source shown otherwise: `Doubters.disagreement`."""


@dataclass(frozen=True, slots=True)
class FrameSupport:
    """What is known of one frame."""

    number: int
    """Among all frames, from 0."""
    time_s: float
    """In the source, for people."""
    signals: Signals
    scores: Map
    """Expected RMS error of each block, in code values."""
    steps: Map
    """2 for supported, 1 for partly, 0 for not."""
    round_trip_db: float
    """LR-PSNR: of the reduced result against the source, on luma; infinite where they are equal."""
    reduction: Reduction
    source: Frame
    result: Frame


@dataclass(frozen=True, slots=True)
class Measuring:
    """How frames are measured."""

    table: Table
    damage: Damage
    """Of the source, as measured."""
    frames: int = 0
    """So many, spread over `total`; 0 for all."""
    total: int = 0
    """Frames there are, as far as it is known; 0 where it is not."""
    asked: Asked | None = None
    """None to look at source and result alone."""
    over_time: bool = False
    """See what the frames before and after confirm."""

    def run(self, pairs: Iterable[Pair]) -> Iterator[FrameSupport]:
        """Measure each pair that is to be.

        Raises:
            SourceError: a result is smaller than its source, or of another shape.
        """
        step = max(1, self.total // self.frames) if self.frames else 1
        reduction, taken = _Fit(), 0
        for number, (before, (source, result), after) in enumerate(_in_threes(pairs)):
            if number % step == 0:
                taken += 1
                around = [each for each in (before, after) if each is not None] if self.over_time else []
                yield self._measured(number, source, result, reduction, around)
            if taken == self.frames and self.frames:
                return

    def _measured(
        self, number: int, source: Frame, result: Frame, fit: "_Fit", around: Sequence[Frame]
    ) -> FrameSupport:
        _check_sizes(source, result)
        seen, made = nominal_luma(source), nominal_luma(result)
        reduction = fit.of(seen, made)
        signals = signals_of(seen, made, reduction, self.damage.noise)
        if self.asked is not None:
            signals = replace(signals, disagreement=self.asked(source, made))
        others = [nominal_luma(each) for each in around if _same_size(each, source)]
        if others:
            confirmed = confirmed_by(seen, made, others, reduction, signals.noise)
            signals = replace(signals, confirmed=confirmed)
        scores, steps = self.table.steps(signals)
        off = float(np.mean((reduction.down(made) - seen).double().square().numpy()))
        fidelity = 10 * math.log10(255**2 / off) if off else math.inf
        time = float(source.pts * source.time_base)
        return FrameSupport(number, time, signals, scores, steps, fidelity, reduction, source, result)


class _Fit:
    """The reduction of a stream: that of its first frame that shows anything, and of each size anew."""

    def __init__(self) -> None:
        self._found: Reduction | None = None

    def of(self, seen: Tensor, made: Tensor) -> Reduction:
        found = self._found
        sizes = tuple(made.shape), tuple(seen.shape)
        if found is not None and (found.large, found.small) == sizes:
            return found
        fits = best_reduction([(seen, made)])
        if float(seen.std()) >= _SHOWS_SOMETHING:
            self._found = fits
        return fits


def _in_threes(pairs: Iterable[Pair]) -> Iterator[tuple[Frame | None, Pair, Frame | None]]:
    """Each pair with the source's frames before and after it; None at the ends."""
    before: Frame | None = None
    now: Pair | None = None
    for pair in pairs:
        if now is not None:
            yield before, now, pair[0]
            before = now[0]
        now = pair
    if now is not None:
        yield before, now, None


def _same_size(one: Frame, other: Frame) -> bool:
    return (one.format.height, one.format.width) == (other.format.height, other.format.width)


def _check_sizes(source: Frame, result: Frame) -> None:
    """Raises SourceError: the two cannot be held against each other."""
    large, small = result.format, source.format
    sizes = f"the result is {large.width}x{large.height} and the source {small.width}x{small.height}"
    if large.width < small.width or large.height < small.height:
        raise SourceError(f"{sizes}; a result of the source's size or larger is accepted")
    ratio = large.width * small.height / (large.height * small.width)
    if abs(ratio - 1) > _SAME_SHAPE:
        raise SourceError(f"{sizes}, of another shape; a result that shows all of the source is accepted")
