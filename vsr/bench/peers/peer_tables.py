"""One network by ours and by every runtime that is installed, in turn: what a frame costs, and whether all give the
same."""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from torch import Tensor

from vsr.bench.bench_options import BenchOptions, models_and_sizes
from vsr.bench.clip import make_clip, ready_frames
from vsr.bench.cost import Cost, Work, median_of, spent
from vsr.bench.peers.exported import Run, export
from vsr.bench.peers.runtimes import RUNTIMES
from vsr.bench.stages import Parts, to_and_fro
from vsr.engine import num_cores
from vsr.errors import ConfigError, one_line
from vsr.frames import Frame
from vsr.models import Model, can_be_measured, has_int8, measured
from vsr.options import EngineOptions
from vsr.prefetch import parallel_map

_FRAMES = 2
"""Different ones, shown to and fro."""
_READY_BYTES = 128 << 20

_ROUND_S = 0.5
"""How long each contestant works in each round, about; one frame for each thread at least."""

OURS = "vsr"


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One way to run the network."""

    name: str
    version: str
    """Empty for ours."""
    precision: str
    one_core: Cost
    all_cores: Cost
    """As many frames at once as there are cores, each on one of them."""
    most_codes: float
    """Greatest difference of any value from PyTorch's in fp32, in codes of 8 bits."""


@dataclass(frozen=True, slots=True)
class PeerTable:
    """One network at one size."""

    model: str
    input_size: tuple[int, int]
    """Height, width."""
    cores: int
    rows: tuple[PeerRow, ...]
    notes: tuple[str, ...]
    """What was not run, and why."""

    def ours(self, precision: str) -> PeerRow | None:
        """Our row in a precision."""
        return next((row for row in self.rows if (row.name, row.precision) == (OURS, precision)), None)


@dataclass(slots=True)
class _Contestant:
    name: str
    version: str
    precision: str
    works: dict[int, Work]
    """By the number of threads."""
    results: list[Tensor]
    """Nominal, of the first frames."""


def peer_tables(
    clip: Path | None, options: BenchOptions, *, say: Callable[[str], None] = lambda line: None
) -> list[PeerTable]:
    """Run every model at every size by other runtimes, too.

    Args:
        clip: as for `bench_rows`.
        options: models, sizes, repetitions.
        say: is told what is being measured.

    Raises:
        ConfigError: a model looks at several frames, or not at pictures of this size.
        ModelError: a model is not known.
        SourceError: the clip cannot be read.
    """
    models, sizes = models_and_sizes(clip, options, "cpu")
    return [
        _side_by_side(model, clip, size, repeat=options.repeat, say=say) for size in sizes for model in models
    ]


def _side_by_side(
    model: Model,
    clip: Path | None,
    size: tuple[int, int] | None,
    *,
    repeat: int,
    say: Callable[[str], None] = lambda line: None,
) -> PeerTable:
    """Measure one model at one size."""
    with tempfile.TemporaryDirectory(prefix="vsr-peers-") as folder:
        made = make_clip(Path(folder), clip, size, few=1, many=_FRAMES)
        frames = [
            replace(frame, reset=False)
            for frame in ready_frames(made, _FRAMES, _READY_BYTES, model.spec.scale)
        ]
        notes: list[str] = []
        contestants = list(_contestants(model, frames, Path(folder), notes, say))
        cores = num_cores()
        costs = _in_turn(contestants, sorted({1, cores}), repeat, say)
    reference = next(each for each in contestants if each.name == RUNTIMES[0].name).results
    rows = [
        PeerRow(
            each.name,
            each.version,
            each.precision,
            costs[index, 1],
            costs[index, cores],
            _most_codes(each.results, reference),
        )
        for index, each in enumerate(contestants)
    ]
    picture = frames[0].format
    return PeerTable(model.spec.name, (picture.height, picture.width), cores, tuple(rows), tuple(notes))


def _contestants(
    model: Model, frames: Sequence[Frame], folder: Path, notes: list[str], say: Callable[[str], None]
) -> Iterator[_Contestant]:
    seen: list[Tensor] = []
    prepared = model
    for precision in ("fp32", "bf16", "int8"):
        if precision == "int8" and has_int8() and can_be_measured(model):
            prepared = measured(model, seen)
        try:
            parts = {count: _parts(prepared, precision, count, frames) for count in (1, num_cores())}
        except ConfigError as error:
            notes.append(f"{OURS} in {precision}: {error}")
            continue
        seen = seen or parts[1].seen
        works: dict[int, Work] = {count: each.model for count, each in parts.items()}
        yield _Contestant(OURS, "", precision, works, parts[1].given)
    exported = export(model, tuple(seen[0].shape), folder)
    for runtime in RUNTIMES:
        if runtime.missing:
            notes.append(f"{runtime.name}: not installed (pip install {' '.join(runtime.missing)})")
            continue
        for precision in runtime.precisions:
            say(f"{runtime.name} in {precision}: getting ready ...")
            try:
                runs = {count: runtime.prepare(exported, precision, count) for count in (1, num_cores())}
                yield _by_runtime(
                    runtime.name, runtime.version, precision, runs, seen, model.spec.value_range
                )
            except Exception as error:  # somebody else's code may raise anything
                notes.append(f"{runtime.name} in {precision}: not run ({one_line(error)})")


def _parts(
    model: Model, precision: Literal["fp32", "bf16", "int8"], threads: int, frames: Sequence[Frame]
) -> Parts:
    options = EngineOptions(device="cpu", precision=precision, threads=threads, tile="off", executor="eager")
    return Parts(model, options, frames)


def _by_runtime(
    name: str, version: str, precision: str, runs: dict[int, Run], seen: Sequence[Tensor], peak: int
) -> _Contestant:
    pictures = [each * peak for each in seen]
    works: dict[int, Work] = {
        threads: partial(_work, run, pictures, threads) for threads, run in runs.items()
    }
    return _Contestant(name, version, precision, works, [runs[1](picture) / peak for picture in pictures])


def _work(run: Run, pictures: Sequence[Tensor], threads: int, count: int) -> None:
    """Run it on so many pictures, as many at once as there are threads."""
    shown = to_and_fro(pictures, count)
    for _ in map(run, shown) if threads == 1 else parallel_map(run, shown, workers=threads, name="vsr-peer"):
        pass


def _in_turn(
    contestants: Sequence[_Contestant], threads: Sequence[int], repeat: int, say: Callable[[str], None]
) -> dict[tuple[int, int], Cost]:
    """What a frame costs by contestant and threads: the medians of some rounds, after one to warm up."""
    counts = {
        (index, many): _frames_of_a_round(each.works[many], many)
        for index, each in enumerate(contestants)
        for many in threads
    }
    found: dict[tuple[int, int], list[Cost]] = {key: [] for key in counts}
    for number in range(repeat):
        say(f"round {number + 1} of {repeat} ...")
        for (index, many), count in counts.items():
            whole = spent(contestants[index].works[many], count)
            found[index, many].append(Cost(whole.wall_s / count, whole.core_s / count))
    return {key: median_of(costs) for key, costs in found.items()}


def _frames_of_a_round(work: Work, threads: int) -> int:
    """How many frames fill a round, a multiple of the threads, by processor time, whatever else the machine does."""
    took = spent(work, threads).core_s / threads
    if took < _ROUND_S:  # else it is warm after once
        took = spent(work, threads).core_s / threads
    return threads * math.ceil(_ROUND_S / max(took, 1e-4))


def _most_codes(results: Sequence[Tensor], reference: Sequence[Tensor]) -> float:
    return max(255 * float((a - b).abs().max()) for a, b in zip(results, reference, strict=True))
