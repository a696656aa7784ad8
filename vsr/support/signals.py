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

OUTLIER = 3.0
"""Times the source's own error from which a block's round trip contradicts the source."""

_AROUND = 4.0
"""σ in blocks of what counts as around one."""

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
    fine: Map
    """RMS of the Laplacian of D(x̂): how busy the result is at the source's own pixels."""
    source_fine: Map
    """The same of the source: what a network may have taken for noise, too."""
    noise: float
    """σ of the source's own error, of its noise, its compression and its rounding."""
    disagreement: Map | None = None
    """Standard deviation of what the network makes of the same source shown otherwise; None where not asked."""
    confirmed: Map | None = None
    """Share of `unseen` that other frames, moved by less than pixels, have measured, 0 to 1; None in a still."""

    @property
    def around(self) -> Map:
        """`source_fine` of the blocks around: where all is busy, more is lost."""
        energy = cv2.GaussianBlur(np.square(self.source_fine), (0, 0), _AROUND, borderType=cv2.BORDER_REFLECT)
        return np.sqrt(np.asarray(energy, np.float32))

    @property
    def excess(self) -> Map:
        """`round_trip` over the source's own error: about 1 and below where the result says what the source says.

        A little of the contrast is part of that error, as no network is exact at the hardest edges.
        """
        return self.round_trip / self._own_error

    @property
    def exchangeable(self) -> npt.NDArray[np.bool_]:
        """Blocks in which another texture, as strong as the source's, would not contradict the source.

        Two textures of one strength that have nothing in common differ by √2 of it.
        """
        strength = np.sqrt(np.maximum(np.square(self.source_detail) - self.noise**2, 0))
        return math.sqrt(2) * strength < OUTLIER * self._own_error

    @property
    def _own_error(self) -> Map:
        return np.hypot(self.noise, _OF_CONTRAST * self.source_detail).astype(np.float32)

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
        fine=rms_of(_laplacian(reduced), small),
        source_fine=rms_of(_laplacian(source), small),
        noise=math.hypot(noise, ROUNDING),
    )


def rms_of(values: Tensor, small: tuple[int, int]) -> Map:
    """Root of the mean square in each block, of values at any size."""
    return np.sqrt(mean_of(values.square(), small))


def _contrast(picture: Tensor, small: tuple[int, int]) -> Map:
    mean, square = mean_of(picture, small), mean_of(picture.square(), small)
    return np.sqrt(np.maximum(square - mean * mean, 0))


def _laplacian(picture: Tensor) -> Tensor:
    return torch.from_numpy(cv2.Laplacian(picture.numpy(), cv2.CV_32F))


def mean_of(values: Tensor, small: tuple[int, int]) -> Map:
    """Mean of each block, of values at any size."""
    pixels = values.numpy()
    if pixels.shape != small:
        pixels = cv2.resize(pixels, small[::-1], interpolation=cv2.INTER_AREA)
    each = torch.from_numpy(np.asarray(pixels))[None, None]
    return F.avg_pool2d(each, BLOCK, ceil_mode=True, count_include_pad=False)[0, 0].numpy()
