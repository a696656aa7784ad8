"""Planes reduced to a half on a CPU, as chroma is, by as many rows at once as fit the cache."""

import math
from collections.abc import Callable
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

    def rows(
        self, source: np.ndarray, first: int, last: int, plane_of: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Rows `first` to `last`, exclusive, of the reduced plane, (last - first, columns) float32. Edges repeat.

        Args:
            source: (H, W) or (H, W, C), whole.
            first: row of the result.
            last: behind the last one.
            plane_of: makes float32 (h, W) of so many of the source's rows.
        """
        height, width = source.shape[:2]
        (down, up), (across, left) = self.taps
        top, bottom = first * self.ratio[0] - up, (last - 1) * self.ratio[0] - up + len(down)
        num_columns = -(-width // self.ratio[1])
        right = max(0, (num_columns - 1) * self.ratio[1] - left + len(across) - width)
        plane = plane_of(source[max(0, top) : bottom])
        margins = max(0, -top), max(0, bottom - height), left, right
        return self._filtered(cv2.copyMakeBorder(plane, *margins, cv2.BORDER_REPLICATE), num_columns)

    @cached_property
    def taps(self) -> list[tuple[np.ndarray, int]]:
        """The filters of rows and of columns, and how far before a sample's place each begins."""
        return [_strided_taps(*axis, self.kernel) for axis in zip(self.ratio, self.shift, strict=True)]

    def _filtered(self, plane: np.ndarray, num_columns: int) -> np.ndarray:
        """Of a plane with its margins."""
        (down, _), (across, _) = self.taps
        step, width = self.ratio[0], plane.shape[1]
        num_rows = (len(plane) - len(down)) // step + 1
        windows = torch.from_numpy(plane).as_strided((num_rows, len(down), width), (step * width, width, 1))
        tall = torch.matmul(torch.from_numpy(down)[None], windows).view(num_rows, width).numpy()
        sums = cv2.filter2D(tall, -1, across[None], anchor=(0, 0), borderType=cv2.BORDER_REPLICATE)
        return np.ascontiguousarray(sums[:, : num_columns * self.ratio[1] : self.ratio[1]])


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
