"""What can be computed honestly of a result beside its source, block by block of 8x8 source pixels. Luma alone.

All of it is in code values of 8 bits, black 0 and white 255. None of it is a promise yet: `scoring.py` makes one
number of it, and `conformal.py` says what that is worth.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.support.reductions import Reduction

BLOCK = 8
"""Source pixels along a block's side."""

ROUNDING = 1 / math.sqrt(12) * 255 / 219
"""σ of what rounding to 8 bits of limited range leaves."""

_OF_CONTRAST = 0.04
"""Of a block's contrast, what does not count as a contradiction: letters of `fast-x2` are off by up to 0.08 of it."""

Map = npt.NDArray[np.float32]
"""(rows, columns) of blocks; those at the right and lower edge may be smaller."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known of each block of a frame."""

    round_trip: Map
    """RMS of e = D(x̂) - y: what the result says that the source does not, where the source sees it."""
    unseen: Map
    """RMS of n = x̂ - D⁺D x̂: what of the result nothing in this frame can confirm."""
    detail: Map
    """RMS of the result around its mean: its local contrast."""
    source_detail: Map
    """The same of the source."""
    noise: float
    """σ of the source's own error, of its noise, its compression and its rounding."""
    disagreement: Map | None = None
    """Standard deviation of what the network makes of the same source shown otherwise; None where not asked."""
    confirmed: Map | None = None
    """Share of `unseen` that other frames, moved by less than pixels, have measured, 0 to 1; None in a still."""

    @property
    def excess(self) -> Map:
        """`round_trip` over the source's own error: about 1 and below where the result says what the source says.

        A little of the contrast is part of that error, as no network is exact at the hardest edges.
        """
        return self.round_trip / np.hypot(self.noise, _OF_CONTRAST * self.source_detail).astype(np.float32)

    @property
    def unconfirmed(self) -> Map:
        """`unseen` without what other frames have measured of it."""
        return self.unseen if self.confirmed is None else self.unseen * np.sqrt(1 - self.confirmed)

    @property
    def prior_share(self) -> Map:
        """Energy that no frame confirms over the energy of the local contrast, 0 to 1."""
        return np.clip(np.square(self.unconfirmed) / (np.square(self.detail) + 1), 0, 1).astype(np.float32)


def signals_of(source: Tensor, result: Tensor, reduction: Reduction, noise: float) -> Signals:
    """Measure a frame.

    Args:
        source: (h, w) float32, luma 0 to 255.
        result: (H, W) float32.
        reduction: from the result's size to the source's.
        noise: σ of the source's own error without rounding.
    """
    small = (source.shape[0], source.shape[1])
    reduced = reduction.down(result)
    return Signals(
        round_trip=rms_of(reduced - source, small),
        unseen=rms_of(result - reduction.up(reduced), small),
        detail=_contrast(result, small),
        source_detail=_contrast(source, small),
        noise=math.hypot(noise, ROUNDING),
    )


def rms_of(values: Tensor, small: tuple[int, int]) -> Map:
    """Root of the mean square in each block, of values at any size."""
    return np.sqrt(mean_of(values.square(), small))


def _contrast(picture: Tensor, small: tuple[int, int]) -> Map:
    mean, square = mean_of(picture, small), mean_of(picture.square(), small)
    return np.sqrt(np.maximum(square - mean * mean, 0))


def mean_of(values: Tensor, small: tuple[int, int]) -> Map:
    """Mean of each block, of values at any size."""
    pixels = values.numpy()
    if pixels.shape != small:
        pixels = cv2.resize(pixels, small[::-1], interpolation=cv2.INTER_AREA)
    each = torch.from_numpy(np.asarray(pixels))[None, None]
    return F.avg_pool2d(each, BLOCK, ceil_mode=True, count_include_pad=False)[0, 0].numpy()
