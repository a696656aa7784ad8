"""Reductions: what a camera, or whoever made a picture small, is taken to have done to it. Plain linear algebra.

A reduction D is separable, so it is two matrices, one of rows and one of columns. What it sees of a picture x̂ is
D⁺D x̂, with D⁺ its pseudo-inverse; the rest of x̂ is nothing that the small picture could confirm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from vsr.resample import resize

Kernel = Literal["area", "bicubic", "lanczos"]

KERNELS: tuple[Kernel, ...] = ("area", "bicubic", "lanczos")

BLURS = (0.0, 0.3, 0.5)
"""σ of the Gaussian before the reduction, in pixels of the small picture."""

SOFTENING = (0.0, 0.3, 0.5, 1.0, 1.5, 2.0)
"""The same where nothing is reduced, as of a source that is out of focus."""

_RIDGE = 1e-3
"""Added to DDᵀ, whose eigenvalues are at most 1: what a blur has all but taken away counts as not seen."""

_STRIP = 16
"""Rows of a product that are made at once, of those of the other matrix that count."""

_LEAST = 1e-3
"""Weights below are left out."""

_WORST = 0.1
"""Share of the blocks of a picture, those that fit the least, that have no say in which reduction fits."""


@dataclass(frozen=True)
class Reduction:
    """One way to make a picture of one size of a larger one."""

    kernel: Kernel
    blur: float
    """σ before it, in pixels of the small picture."""
    large: tuple[int, int]
    """Height, width."""
    small: tuple[int, int]

    def __str__(self) -> str:
        return self.kernel + (f" after a blur of {self.blur:g} source pixels" if self.blur else "")

    def down(self, picture: Tensor) -> Tensor:
        """Reduce: (H, W) float32 → (h, w)."""
        rows, columns = self._reducing
        return columns.of_columns(rows.of_rows(picture))

    def up(self, reduced: Tensor) -> Tensor:
        """What is seen of the picture that has been reduced to this, D⁺ of it: (h, w) float32 → (H, W)."""
        rows, columns = self._inverse
        return columns.of_columns(rows.of_rows(reduced))

    @cached_property
    def _reducing(self) -> "tuple[_Banded, _Banded]":
        rows, columns = (_matrix(self.kernel, self.blur, *sides) for sides in self._sides)
        return _Banded(rows), _Banded(columns)

    @cached_property
    def _inverse(self) -> "tuple[_Banded, _Banded]":
        rows, columns = (_inverse(_matrix(self.kernel, self.blur, *sides)) for sides in self._sides)
        return _Banded(rows), _Banded(columns)

    @property
    def _sides(self) -> list[tuple[int, int]]:
        return list(zip(self.large, self.small, strict=True))


def best_reduction(pairs: Sequence[tuple[Tensor, Tensor]]) -> Reduction:
    """Find the reduction that fits best.

    The worst tenth of each picture's blocks has no say, or whatever is painted there would have one.

    Args:
        pairs: luma of source and result, each (h, w) and (H, W) float32; all of the same sizes, one at least.
    """
    source, result = pairs[0]
    small, large = (source.shape[0], source.shape[1]), (result.shape[0], result.shape[1])
    ways = product(KERNELS[:1], SOFTENING) if large == small else product(KERNELS, BLURS)
    candidates = [Reduction(kernel, blur, large, small) for kernel, blur in ways]

    def misfit(reduction: Reduction) -> float:
        return math.fsum(_misfit(source, reduction.down(result)) for source, result in pairs)

    return min(candidates, key=misfit)


def _misfit(source: Tensor, reduced: Tensor) -> float:
    energy = (reduced - source).square_()[None, None]
    blocks = torch.nn.functional.avg_pool2d(energy, 8, ceil_mode=True, count_include_pad=False).flatten()
    kept = blocks.sort().values[: max(1, round(len(blocks) * (1 - _WORST)))]
    return float(kept.double().mean())


@dataclass(frozen=True, slots=True)
class _Strip:
    weights: Tensor
    """(rows, last - first)."""
    first: int
    last: int


class _Banded:
    """A matrix with little outside of its diagonal, as strips that leave zeros out."""

    def __init__(self, matrix: Tensor):
        self._strips = [_strip(rows) for rows in matrix.split(_STRIP)]

    def of_rows(self, x: Tensor) -> Tensor:
        return torch.cat([strip.weights @ x[strip.first : strip.last] for strip in self._strips])

    def of_columns(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, strip.first : strip.last] @ strip.weights.T for strip in self._strips], 1)


def _strip(rows: Tensor) -> _Strip:
    used = (rows.abs() > _LEAST).any(0).nonzero().flatten()
    first, last = int(used[0]), int(used[-1]) + 1
    return _Strip(rows[:, first:last].contiguous(), first, last)


@lru_cache(maxsize=32)
def _matrix(kernel: Kernel, blur: float, large: int, small: int) -> Tensor:
    """(small, large) float32: what is done to each column of a picture, found on the columns of the identity."""
    identity = np.eye(large, dtype=np.float32)
    if blur:
        sigma = blur * large / small
        taps = cv2.getGaussianKernel(2 * math.ceil(3 * sigma) + 1, sigma, cv2.CV_32F)
        identity = cv2.sepFilter2D(
            identity, cv2.CV_32F, np.ones(1, np.float32), taps, borderType=cv2.BORDER_REPLICATE
        )
    if kernel == "area" and large >= small:
        reduced = cv2.resize(identity, (large, small), interpolation=cv2.INTER_AREA)
        return torch.from_numpy(np.asarray(reduced, np.float32))
    cubic = "lanczos" if kernel == "lanczos" else "catmull-rom"
    return resize(torch.from_numpy(np.asarray(identity))[None, None], (small, large), kernel=cubic)[0, 0]


@lru_cache(maxsize=8)
def _inverse(reducing: Tensor) -> Tensor:
    """(large, small): Rᵀ(RRᵀ + ridge)⁻¹."""
    rows = reducing.double()
    gram = rows @ rows.T
    scale = gram.diagonal().mean()
    gram = gram + _RIDGE * scale * torch.eye(len(rows), dtype=torch.float64)
    return torch.linalg.solve(gram, rows).T.float().contiguous()
