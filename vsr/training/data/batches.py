"""Training batches: examples made from footage, renewed as training goes on, and random patches of them.

Owns no network and writes nothing. Everything follows from the seed and the step.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vsr.errors import SourceError
from vsr.prefetch import prefetch
from vsr.training.data.blur import filmed
from vsr.training.data.degrade import Degradation, cleanly, really
from vsr.training.data.footage import Footage, find_clips, find_pictures, read_clip, read_picture
from vsr.training.data.motion import moving_clip
from vsr.training.options import TrainOptions

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Y' of BT.601 from R, G, B. The networks see black to white as 0 to 1."""

DEGRADATIONS: dict[str, Degradation] = {"bicubic": cleanly, "real": really}

_CODED_FRAMES = 5
"""Length of the clips that single-frame networks see compressed: an I frame, P frames and B frames."""

_MOVED_EDGE = 288
"""Edge of the frames made from stills, full resolution."""


@dataclass(frozen=True)
class Pair:
    """A clip and what became of it."""

    low: Footage
    """(T, h, w, 3)."""
    high: Footage
    """(T, scale*h, scale*w, 3), or the middle frame alone."""


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
) -> Generator[tuple[Tensor, Tensor], None, None]:
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
        low (B, T, C, patch, patch) and high (B, T, C, scale*patch, scale*patch), float32 in 0–1.
    """
    with closing(prefetch(_pools(paths, options, first), depth=1, name="vsr-examples")) as pools:
        step = first
        for pool in pools:
            chances = _chances(pool, options)
            while True:
                rng = np.random.default_rng((options.seed, step))
                chosen = rng.choice(len(pool), options.batch, p=chances)
                cuts = [_cut(pool[i], options, rng) for i in chosen][rank::world]
                yield torch.stack([low for low, _ in cuts]), torch.stack([high for _, high in cuts])
                step += 1
                if options.renew and step % options.renew == 0:
                    break


def _chances(pool: list[Pair], options: TrainOptions) -> npt.NDArray[np.float64]:
    """Large pictures are drawn from more often; those smaller than a patch never."""
    sizes = [pair.low.shape[1:3] for pair in pool]
    areas = np.array([h * w if min(h, w) >= options.patch else 0 for h, w in sizes], np.float64)
    if not areas.any():
        size = options.patch * options.scale
        raise SourceError(f"every picture is smaller than a patch, {size}x{size}; use a smaller patch")
    return areas / areas.sum()


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
    span = first // options.renew if options.renew else 0
    while True:
        rngs = (np.random.default_rng((options.seed, span, index, 1)) for index in range(len(footage)))
        yield [example(item, stills, options, rng) for item, rng in zip(footage, rngs, strict=True)]
        span += 1


def _is_clip(path: Path, options: TrainOptions) -> bool:
    return any(path.is_relative_to(folder) for folder in options.clips)


def frames_per_example(options: TrainOptions) -> int:
    """How many frames an example has: as many as the network sees, or as a codec needs to leave its marks."""
    if options.network == "plain":
        return _CODED_FRAMES if options.degradation == "real" else 1
    return 3 if options.network == "unet" else options.frames


def example(item: Footage, stills: list[Footage], options: TrainOptions, rng: np.random.Generator) -> Pair:
    """Make an example as long as the network wants, of a stretch of a clip or a picture in motion."""
    num_frames, scale = frames_per_example(options), options.scale
    if options.degradation == "blur":
        still = item[[int(rng.integers(len(item)))]]
        return Pair(*filmed(still, num_frames, rng))
    if 1 < len(item) < num_frames:  # forth and back: Vimeo-90K's clips have 7 frames, and their motion counts
        item = np.pad(item, ((0, num_frames - len(item)), (0, 0), (0, 0), (0, 0)), mode="reflect")
    if len(item) >= num_frames:
        start = int(rng.integers(len(item) - num_frames + 1))
        clip = item[start : start + num_frames]
    else:
        clip = moving_clip(item, stills, num_frames, _MOVED_EDGE, rng)
    height, width = (side - side % scale for side in clip.shape[1:3])
    clip = clip[:, :height, :width]
    return Pair(DEGRADATIONS[options.degradation](clip, scale, rng), clip)


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
    return Pair(low, high)


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


def as_tensor(frames: Footage, colors: int) -> Tensor:
    """(T, H, W, 3) R, G, B as (T, C, H, W) float32 in 0–1: luma or RGB."""
    values = frames.astype(np.float32) / 255
    values = values @ _LUMA[:, None] if colors == 1 else values
    return torch.from_numpy(np.ascontiguousarray(values)).permute(0, 3, 1, 2)


def _times(num: int, options: TrainOptions, rng: np.random.Generator) -> list[int]:
    """Which frames of an example a patch shows: all, or one for a network that sees one."""
    return [int(rng.integers(num))] if options.network == "plain" else list(range(num))
