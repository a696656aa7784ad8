"""What is scored: a model by its name run as `vsr enhance` would."""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from statistics import median

from vsr.engine import Engine, place
from vsr.frames import Frame
from vsr.models import BASELINES, Damage, Model, choose_chain, load, names, self_ensemble, with_damage
from vsr.options import EngineOptions


@dataclass(frozen=True)
class Candidate:
    """One way to enlarge a stream of frames."""

    name: str
    scale: int
    run: Callable[[Iterable[Frame]], Generator[Frame, None, None]]
    """Frames in, as many out, `scale` times larger; each call is a stream of its own."""
    precision: str
    latency_frames: int = 0
    """Frames that must arrive after a frame before it can leave."""
    kflop_per_pixel: float = 0.0
    """Thousand operations per input pixel and frame, two per multiply-add."""


def our_candidate(
    name: str,
    scale: int,
    options: EngineOptions = EngineOptions(),
    *,
    told: Damage = Damage(),
    in_all_poses: bool = False,
) -> Candidate:
    """Make a candidate of a model's name, tier or path; where it gives another size, one resampling follows.

    Args:
        name: of the model.
        scale: enlargement.
        options: how it runs.
        told: what a network that can be told its input's damage is told.
        in_all_poses: it is a self-ensemble; a kernel, which is the same in each, stays as it is.

    Raises:
        ModelError: it is not known, does not load, or has nothing to enlarge.
    """
    if name in BASELINES:
        options = replace(options, precision="fp32")  # what others are held against stays exact
    chain, title = [with_damage(model, told) for model in _chain(name, scale)], name
    if in_all_poses and name not in BASELINES:
        chain, title = [self_ensemble(model) for model in chain], f"{name} (self-ensemble)"
    engines: dict[tuple[int, int], Engine] = {}

    def run(frames: Iterable[Frame]) -> Generator[Frame, None, None]:
        stream = iter(frames)
        first = next(stream, None)
        if first is None:
            return
        size = (first.format.height * scale, first.format.width * scale)
        if size not in engines:
            engines.clear()
            engines[size] = Engine(chain, options, size=size)
        with closing(engines[size].run(_joined(first, stream))) as enhanced:
            yield from enhanced

    precision = "+".join(dict.fromkeys(place(options, model).precision for model in chain))
    wait = sum(model.spec.context.latency for model in chain)
    return Candidate(title, scale, run, precision or "exact", wait, _kflop_per_pixel(chain))


def _chain(name: str, scale: int) -> list[Model]:
    if scale == 1 and name in ("bicubic", "lanczos"):
        name = "identity"  # the blurred picture as it is: what every deblurring network must beat
    exact = f"{name}-x{scale}"
    return [load(exact)] if exact in names() else choose_chain([name], scale)


def _kflop_per_pixel(chain: Sequence[Model]) -> float:
    """What a chain costs for each pixel that goes into it."""
    cost, reached = 0.0, 1
    for model in chain:
        cost += model.spec.kflop_per_pixel * reached**2
        reached *= model.spec.scale
    return cost


def _joined(first: Frame, others: Iterator[Frame]) -> Iterator[Frame]:
    yield first
    yield from others


def time_per_frame(candidate: Candidate, frames: Sequence[Frame], *, rounds: int = 3) -> float:
    """Measure milliseconds per frame of a stream: the median of some rounds, after two frames to warm up.

    The frames lie in memory, so only the candidate's own work is measured,
    on as many threads as it would take.
    """
    _run(candidate, frames[:2])
    return 1000 * median(_run(candidate, frames) / len(frames) for _ in range(rounds))


def _run(candidate: Candidate, frames: Sequence[Frame]) -> float:
    """Seconds of one whole stream."""
    began = time.perf_counter()
    for _ in candidate.run(frames):
        pass
    return time.perf_counter() - began
