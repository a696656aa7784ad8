"""Planes reduced to a half on a CPU, as chroma is, by as many rows at once as fit the cache."""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
import torch

from vsr.resample.kernels import SUPPORT, Kernel, kernel_at


@dataclass(frozen=True)
class Halving:
    """A plane reduced to a half along rows, columns or both on a CPU, as many rows at once as are wanted.

    Only rows that are wanted are summed: half of the time of OpenCV's filter for all.
    """

    ratio: tuple[int, int]
    """Rows, columns for each that comes out, 1 or 2."""
    shift: tuple[float, float]
    kernel: Kernel

    def rows(self, source: np.ndarray, first: int, last: int) -> np.ndarray:
        """Rows `first` to `last`, exclusive, of the reduced plane, (last - first, columns) float32. Edges repeat.

        Args:
            source: (H, W) float32, whole.
            first: row of the result.
            last: behind the last one.
        """
        return self.along_rows(self.of_rows(source, first, last))

    def of_rows(self, source: np.ndarray, first: int, last: int) -> np.ndarray:
        """The same rows with all the source's columns, of (H, W) or (H, W, C) in one piece."""
        height, (taps, before) = len(source), self.taps[0]
        top, bottom = first * self.ratio[0] - before, (last - 1) * self.ratio[0] - before + len(taps)
        part = source[max(0, top) : bottom]
        if top < 0 or bottom > height:
            margins = max(0, -top), max(0, bottom - height), 0, 0
            part = cv2.copyMakeBorder(part, *margins, cv2.BORDER_REPLICATE)
        step, length = self.ratio[0], part[0].size
        windows = torch.from_numpy(part).as_strided(
            (last - first, len(taps), length), (step * length, length, 1)
        )
        sums = torch.matmul(torch.from_numpy(taps)[None], windows)
        return sums.view(last - first, *source.shape[1:]).numpy()

    def along_rows(self, plane: np.ndarray) -> np.ndarray:
        """As many rows, each reduced, of (H, W)."""
        taps, before = self.taps[1]
        step, width = self.ratio[1], plane.shape[1]
        num_columns = -(-width // step)
        margins = 0, 0, before, max(0, (num_columns - 1) * step - before + len(taps) - width)
        wide = cv2.copyMakeBorder(plane, *margins, cv2.BORDER_REPLICATE)
        sums = cv2.filter2D(wide, -1, taps[None], anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(sums[:, : num_columns * step : step])

    @cached_property
    def taps(self) -> list[tuple[np.ndarray, int]]:
        """The filters of rows and of columns, and how far before a sample's place each begins."""
        return [_strided_taps(*axis, self.kernel) for axis in zip(self.ratio, self.shift, strict=True)]


@lru_cache(maxsize=64)
def _strided_taps(ratio: int, shift: float, kernel: Kernel) -> tuple[np.ndarray, int]:
    """The filter that all output samples share, and how many samples before `ratio * i` it begins for the `i`th."""
    center, reach = ratio / 2 - 0.5 + shift, SUPPORT[kernel] * ratio
    first = math.floor(center - reach)
    offsets = torch.arange(first, first + 2 * int(reach) + 2, dtype=torch.float64)
    taps = kernel_at((offsets - center) / ratio, kernel)
    used = (taps.abs() > 1e-12).nonzero().flatten()
    low, high = min(int(used[0]), -first), max(int(used[-1]), -first) + 1  # OpenCV's anchor lies within
    return (taps / taps.sum())[low:high].float().numpy(), -first - low
