"""NIQE: how far a picture is from natural ones, without knowing its original.

Mittal, Soundararajan, Bovik, "Making a 'Completely Blind' Image Quality Analyzer", IEEE Signal
Processing Letters 2013, as the authors' release computes it. The parameters of natural pictures
come from a file of the user's.
"""

import math
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from vsr.errors import ModelError
from vsr.quality.drawing import Rgb
from vsr.quality.metrics import luma_of
from vsr.resample import reduce

Array = npt.NDArray[Any]

BLOCK = 96
"""Edge of the blocks whose statistics are taken, in pixels; there must be two of them."""
_FEATURES = 36
_SHAPES = np.arange(200, 10001) / 1000
"""Shape parameters that are tried for a generalised Gaussian."""


def _gamma(x: Array) -> Array:
    return np.exp(np.vectorize(math.lgamma)(x))


_RATIOS = _gamma(2 / _SHAPES) ** 2 / (_gamma(1 / _SHAPES) * _gamma(3 / _SHAPES))
"""E|x|² / E x² of each shape."""


class Niqe:
    """Measures NIQE with the parameters in an `.npz` file: `mu_pris_param` (1,
    36) and `cov_pris_param` (36, 36).

    Raises:
        ModelError: the file cannot be read or does not hold them.
    """

    def __init__(self, path: str | Path):
        try:
            with np.load(path, allow_pickle=False) as file:
                self._mean = file["mu_pris_param"].astype(np.float64).reshape(_FEATURES)
                self._covariance = file["cov_pris_param"].astype(np.float64).reshape(_FEATURES, _FEATURES)
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"{path} does not hold NIQE's parameters ({error}); an .npz file with mu_pris_param and cov_pris_param "
                "is expected"
            ) from error

    def __call__(self, rgb: Rgb) -> float:
        """Measure a picture on its rounded luma, in whole blocks from the top
        left; NaN with fewer than two blocks."""
        luma = np.rint(luma_of(rgb))
        height, width = (side // BLOCK * BLOCK for side in luma.shape)
        if height * width < 2 * BLOCK**2:
            return math.nan
        luma = luma[:height, :width]
        half = reduce(torch.from_numpy(luma)[None, None], 2, rounding="none")[0, 0].numpy()
        features = np.concatenate([_block_features(luma, BLOCK), _block_features(half, BLOCK // 2)], axis=1)
        apart = self._mean - np.nanmean(features, axis=0)
        whole = features[~np.isnan(features).any(axis=1)]  # a flat block has no shape
        if len(whole) < 2:
            return math.nan
        spread = np.linalg.pinv((self._covariance + np.cov(whole, rowvar=False)) / 2)
        return float(np.sqrt(apart @ spread @ apart))


def _block_features(luma: Array, edge: int) -> Array:
    """Eighteen features of every block, (blocks, 18), of the picture without local mean and contrast."""
    taps = cv2.getGaussianKernel(7, 7 / 6)

    def blur(x: Array) -> Array:
        return cv2.sepFilter2D(x, cv2.CV_64F, taps, taps, borderType=cv2.BORDER_REPLICATE)

    mean = blur(luma)
    normal = (luma - mean) / (np.sqrt(np.abs(blur(luma * luma) - mean * mean)) + 1)
    corners = [(y, x) for y in range(0, luma.shape[0], edge) for x in range(0, luma.shape[1], edge)]
    return np.array([_features(normal[y : y + edge, x : x + edge]) for y, x in corners])


def _features(block: Array) -> list[float]:
    """Shape and width of the block's samples, then of the products with its neighbours in four directions."""
    shape, left, right = _fit(block)
    found = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = _fit(block * np.roll(block, shift, axis=(0, 1)))
        mean = (
            math.nan
            if math.isnan(shape)
            else (right - left) * math.exp(math.lgamma(2 / shape) - math.lgamma(1 / shape))
        )
        found += [shape, mean, left, right]
    return found


def _fit(samples: Array) -> tuple[float, float, float]:
    """Fit an asymmetric generalised Gaussian by its moments: shape, and scale to
    the left and right; NaN where flat.

    Lasmar, Stitou, Berthoumieu, "Multiscale skewed heavy tailed model for texture analysis", 2009.
    """
    below, above = samples[samples < 0], samples[samples > 0]
    if not below.size or not above.size:
        return math.nan, math.nan, math.nan
    left, right = math.sqrt(np.mean(below**2)), math.sqrt(np.mean(above**2))
    skew = left / right
    ratio = np.mean(np.abs(samples)) ** 2 / np.mean(samples**2)
    wanted = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = float(_SHAPES[np.argmin((_RATIOS - wanted) ** 2)])
    width = math.exp((math.lgamma(1 / shape) - math.lgamma(3 / shape)) / 2)
    return shape, left * width, right * width
