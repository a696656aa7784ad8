"""Training batches: examples made from footage, renewed as training goes on, and random patches of them.

Owns no network and writes nothing. Everything follows from the seed and the step.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vsr.errors import SourceError
from vsr.models import PACKED
from vsr.prefetch import prefetch
from vsr.training.batch import Batch
from vsr.training.data.examples import Pair, example, frames_per_example
from vsr.training.data.footage import Footage, find_clips, find_pictures, read_clip, read_picture
from vsr.training.data.teacher import Teacher
from vsr.training.options import TrainOptions

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Y' of BT.601 from R, G, B. The networks see black to white as 0 to 1."""


def find_data(options: TrainOptions) -> list[Path]:
    """List everything that will be learnt from.

    Raises:
        SourceError: a folder does not exist or holds nothing.
    """
    paths = find_pictures(options.data) + find_clips(options.clips)
    if not paths:
        raise SourceError("nothing to learn from; name folders with --data (pictures) or --clips")
    return paths


def batches(
    paths: list[Path], options: TrainOptions, *, first: int, rank: int = 0, world: int = 1
) -> Generator[Batch, None, None]:
    """Yield endless random batches from step `first` on.

    Step `n` draws from its own generator, seeded by (seed, n): a resumed run
    sees what the unbroken one would have.

    Args:
        paths: from `find_data`.
        options: sizes, degradation, seed.
        first: step to begin with.
        rank: this process among several.
        world: processes that share a batch; each takes every `world`-th of its patches.

    Yields:
        Patches of `options.patch` pixels and their originals, of one scale and siting.
    """
    with closing(prefetch(_pools(paths, options, first), depth=1, name="vsr-examples")) as pools:
        step = first
        for pool in pools:
            chances = _chances(pool, options)
            while True:
                rng = np.random.default_rng((options.seed, step))
                chosen = _chosen(pool, chances, options.batch, rng)
                cut = _cut_packed if options.on_planes else _cut
                cuts = [cut(pair, options, rng) for pair in chosen][rank::world]
                low, high = (torch.stack(tensors) for tensors in zip(*cuts, strict=True))
                yield Batch(low, high, chosen[0].siting)
                step += 1
                if options.renew and step % options.renew == 0:
                    break


def _chances(pool: list[Pair], options: TrainOptions) -> npt.NDArray[np.float64]:
    """Large pictures are drawn from more often; those smaller than a patch never."""
    sizes = [pair.low.shape[1:3] for pair in pool]
    least = options.patch // (2 if options.on_planes else 1)
    areas = np.array([h * w if min(h, w) >= least else 0 for h, w in sizes], np.float64)
    if not areas.any():
        size = options.patch * max(options.shares)
        raise SourceError(f"every picture is smaller than a patch, {size}x{size}; use a smaller patch")
    return areas / areas.sum()


def _chosen(
    pool: list[Pair], chances: npt.NDArray[np.float64], num: int, rng: np.random.Generator
) -> list[Pair]:
    """Draw pairs for a batch, all of the scale and siting that the first one drawn has."""
    kinds = [(pair.scale, pair.siting) for pair in pool]
    if len(set(kinds)) > 1:
        kind = kinds[int(rng.choice(len(pool), p=chances))]
        chances = np.array([chance * (each == kind) for chance, each in zip(chances, kinds, strict=True)])
        chances /= chances.sum()
    return [pool[index] for index in rng.choice(len(pool), num, p=chances)]


def _pools(paths: list[Path], options: TrainOptions, first: int) -> Iterator[list[Pair]]:
    """Examples for one span of `renew` steps after the other."""
    if options.low:
        yield [_read_pair(path, options) for path in paths]
        return
    num_frames = frames_per_example(options)
    footage = [
        read_clip(path, shrink=options.shrink, frames=max(30, num_frames))
        for path in paths
        if _is_clip(path, options)
    ]
    footage += [read_picture(path) for path in paths if not _is_clip(path, options)]
    stills = [item for item in footage if len(item) == 1]
    teacher = Teacher(options.teacher, tuple(options.shares)) if options.teacher else None
    span = first // options.renew if options.renew else 0
    while True:
        rngs = (np.random.default_rng((options.seed, span, index, 1)) for index in range(len(footage)))
        yield [example(item, stills, options, rng, teacher) for item, rng in zip(footage, rngs, strict=True)]
        span += 1


def _is_clip(path: Path, options: TrainOptions) -> bool:
    return any(path.is_relative_to(folder) for folder in options.clips)


def _read_pair(path: Path, options: TrainOptions) -> Pair:
    """A picture and its reduced twin from the folders `low`, by name; `x2` and such may follow the stem."""
    names = {
        re.sub(r"[_-]?x\d$", "", twin.stem, flags=re.IGNORECASE): twin for twin in find_pictures(options.low)
    }
    if path.stem not in names:
        raise SourceError(f"{path.name} has no twin in {', '.join(options.low)}")
    low = read_picture(names[path.stem])
    high = read_picture(path)[:, : low.shape[1] * options.scale, : low.shape[2] * options.scale]
    if high.shape[1:3] != (low.shape[1] * options.scale, low.shape[2] * options.scale):
        raise SourceError(f"{names[path.stem]} is not {path.name} reduced by {options.scale}")
    return Pair(low, high, options.scale)


def _cut(pair: Pair, options: TrainOptions, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same random patch of both, turned, mirrored and played backwards at
    random: (T, C, size, size) each."""
    patch, scale = options.patch, options.scale
    y, x = (int(rng.integers(side - patch + 1)) for side in pair.low.shape[1:3])
    turns, flip, back = int(rng.integers(4)), bool(rng.integers(2)), bool(rng.integers(2))
    times = _times(len(pair.low), options, rng)

    def cut(frames: Footage, factor: int) -> Tensor:
        rows, columns = (slice(start * factor, (start + patch) * factor) for start in (y, x))
        part = np.rot90(frames[times][:, rows, columns], turns, axes=(1, 2))
        part = part[:, ::-1] if flip else part
        return as_tensor(part[::-1] if back else part, options.colors)

    return cut(pair.low, 1), cut(pair.high, scale)


def _cut_packed(pair: Pair, options: TrainOptions, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same random patch of both, (1, 8, size / 2, size / 2) and (1, 6, ...); what is told is a little wrong, as
    what is measured will be."""
    patch, scale = options.patch // 2, pair.scale
    y, x = (int(rng.integers(side - patch + 1)) for side in pair.low.shape[1:3])
    low, high = (
        torch.from_numpy(
            planes[:, y * by : (y + patch) * by, x * by : (x + patch) * by].astype(np.float32)
        ).permute(0, 3, 1, 2)
        for planes, by in ((pair.low, 1), (pair.high, scale))
    )
    low[:, PACKED] *= rng.uniform(0.8, 1.2)
    compression = low[:, PACKED + 1]
    compression += (compression > 0) * rng.normal(0, 0.05)
    compression.clamp_(0, 1)
    return low, high


def as_tensor(frames: Footage, colors: int) -> Tensor:
    """(T, H, W, 3) R, G, B as (T, C, H, W) float32 in 0–1: luma or RGB."""
    values = frames.astype(np.float32) / 255
    values = values @ _LUMA[:, None] if colors == 1 else values
    return torch.from_numpy(np.ascontiguousarray(values)).permute(0, 3, 1, 2)


def _times(num: int, options: TrainOptions, rng: np.random.Generator) -> list[int]:
    """Which frames of an example a patch shows: all, or one for a network that sees one."""
    return [int(rng.integers(num))] if options.network == "plain" else list(range(num))
