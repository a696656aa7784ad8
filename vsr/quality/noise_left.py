"""How much noise a result shows: where its original is flat, and from frame to frame where that holds still.

Looked at is the tenth of all blocks in which the original has least: there it is noise that is seen, whether it has
come through or a network has painted it. Blotches count as well as grain. Luma alone.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

BLOCK = 16
"""Edge of a block in pixels."""

SHARE = 0.1
"""Of all blocks, those that are looked at."""


def noise_left(result: Array, original: Array) -> float:
    """Measure σ of a result where its original is flat, in code values of 8 bits; slopes do not count.

    Args:
        result, original: (height, width) luma, 0 to 255, any real type.

    Returns:
        s for a flat picture with white noise of deviation s; NaN where not a single block fits.
    """
    return _deviation(_levelled(result), of_least=_levelled(original))


class NoiseOverTime:
    """Measures what flickers in a stream of results where its originals hold still; memory does not grow."""

    def __init__(self) -> None:
        self._before: tuple[Array, Array] | None = None
        self._variances: list[float] = []

    def add(self, result: Array, original: Array, *, cut: bool = False) -> None:
        """Take the next frame.

        Args:
            result, original: (height, width) luma, 0 to 255, any real type.
            cut: the frame does not continue the one before; the two are not compared.
        """
        now, before = (result.astype(np.float64), original.astype(np.float64)), self._before
        self._before = now
        if before is not None and not cut:
            changed, moved = (_levelled(a - b) for a, b in zip(now, before, strict=True))
            self._variances.append(
                _deviation(changed, of_least=moved) ** 2 / 2
            )  # two frames, each with its own

    @property
    def deviation(self) -> float:
        """σ in code values of 8 bits: s for white noise of deviation s that is new in every frame, 0 for any that
        stays; NaN before there is a pair of frames."""
        return math.sqrt(np.mean(self._variances)) if self._variances else math.nan


def _levelled(plane: Array) -> Array:
    """(height, width) → (blocks, BLOCK, BLOCK), each less the plane that fits it best; rests are left out."""
    rows, columns = (side // BLOCK for side in plane.shape)
    inner = plane[: rows * BLOCK, : columns * BLOCK].astype(np.float64)
    blocks = inner.reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2).reshape(-1, BLOCK, BLOCK)
    blocks = blocks - blocks.mean((1, 2), keepdims=True)
    ramp = np.linspace(-1, 1, BLOCK)
    ramp /= math.sqrt(BLOCK * np.square(ramp).sum())
    for slope in (np.broadcast_to(ramp, (BLOCK, BLOCK)), np.broadcast_to(ramp[:, None], (BLOCK, BLOCK))):
        blocks = blocks - (blocks * slope).sum((1, 2), keepdims=True) * slope
    return blocks


def _deviation(blocks: Array, *, of_least: Array) -> float:
    """σ in the blocks of one picture where those of another deviate least."""
    if not len(blocks):
        return math.nan
    order = np.argsort(np.square(of_least).sum((1, 2)), kind="stable")
    chosen = blocks[order[: max(1, round(len(blocks) * SHARE))]]
    return math.sqrt(
        np.square(chosen).sum((1, 2)).mean() / (BLOCK * BLOCK - 3)
    )  # three figures are taken off
