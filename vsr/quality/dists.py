"""DISTS: how different two pictures look when texture may be another one of the same kind.

Ding, Ma, Wang, Simoncelli, "Image Quality Assessment: Unifying Structure and Texture Similarity", TPAMI 2020. LPIPS
counts every leaf that lies elsewhere; this compares means, variances and covariance of VGG16's features, so that it
agrees better with eyes on painted texture. As for LPIPS the user gives the weights: torchvision's VGG16, and the
authors' `alpha` and `beta`.
"""

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from vsr.errors import ModelError
from vsr.models import read_tensors
from vsr.quality.drawing import Rgb
from vsr.quality.lpips import VGG16, as_pair

_MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
_DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

_HANNING = torch.tensor([0.25, 0.5, 0.25])
_POOL = torch.outer(_HANNING, _HANNING)
"""Weights of the squares that the authors pool instead of the largest: no jagged edges (their eq. 2)."""

_STILL = 1e-6
"""Keeps fractions of nothing from being anything."""


class Dists:
    """Measures DISTS on a CPU in fp32, on whole pictures (the authors' program reduces them to 256 first).

    Args:
        backbone: torchvision's state dict of VGG16.
        weights: the authors' `alpha` and `beta`.

    Raises:
        ModelError: a file cannot be read, or the two are not what is expected.
    """

    def __init__(self, backbone: str | Path, weights: str | Path):
        found, shares = read_tensors(Path(backbone)), read_tensors(Path(weights))
        try:
            names = [f"features.{conv.place}" for conv in VGG16]
            self._convs = [(found[f"{name}.weight"], found[f"{name}.bias"]) for name in names]
            both = [shares[key].flatten() for key in ("alpha", "beta")]
        except KeyError as error:
            raise ModelError(
                f"{backbone} and {weights} have no {error}; torchvision's vgg16 and DISTS's alpha and beta are expected"
            ) from error
        channels = [3, *(conv.channels for conv in VGG16 if conv.tap)]
        layout = [conv.channels for conv in VGG16]
        if [len(bias) for _, bias in self._convs] != layout or {len(part) for part in both} != {
            sum(channels)
        }:
            raise ModelError(
                f"{backbone} and {weights} are not torchvision's vgg16 and DISTS's alpha and beta"
            )
        total = both[0].sum() + both[1].sum()
        self._shares = list(zip(*((part / total).split(channels) for part in both), strict=True))

    @torch.inference_mode()
    def __call__(self, a: Rgb, b: Rgb) -> float:
        """Measure the distance of two pictures, 0 for equal ones, about 1 at most.

        Raises:
            SourceError: they are smaller than 64x64.
        """
        x = as_pair(a, b, measure="DISTS") / 255
        similar = _similarity(x, *self._shares[0])
        x, shares = (x - _MEAN) / _DEVIATION, iter(self._shares[1:])
        for conv, (weight, bias) in zip(VGG16, self._convs, strict=True):
            x = _pooled(x) if conv.pool else x
            x = F.conv2d(x, weight, bias, padding=1).relu_()
            if conv.tap:
                similar += _similarity(x, *next(shares))
        return max(0.0, 1 - similar) if math.isfinite(similar) else math.nan


def _pooled(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C, H/2, W/2), rounded up."""
    kernel = _POOL.expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()


def _similarity(features: Tensor, texture: Tensor, structure: Tensor) -> float:
    """How alike (2, C, H, W) are: of means, weighed by `texture`, and of what varies, weighed by `structure`."""
    mean_a, mean_b = features.mean((2, 3))
    a, b = (features - features.mean((2, 3), keepdim=True)).unbind()
    of_means = (2 * mean_a * mean_b + _STILL) / (mean_a.square() + mean_b.square() + _STILL)
    both, each = (a * b).mean((1, 2)), a.square().mean((1, 2)) + b.square().mean((1, 2))
    return float((texture * of_means).sum() + (structure * (2 * both + _STILL) / (each + _STILL)).sum())
