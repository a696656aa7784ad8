"""From what a network gives to a picture: the base of its residual, chroma and opacity, never seen by it."""

from dataclasses import replace
from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from vsr.engine.packing import add_packed, enlarged_planes
from vsr.models import ModelSpec
from vsr.picture import Picture, enlarge_chroma
from vsr.resample import enlarge


def surroundings(spec: ModelSpec, picture: Picture, seen: Tensor) -> Picture:
    """The enlarged picture without what its network gives: the base of the
    residual, if it has one, in its place.

    Args:
        spec: the network's.
        picture: in the colours that the network wants.
        seen: (1, C, H, W), what the network saw of it.
    """
    alpha = None if picture.alpha is None else enlarge(picture.alpha, spec.scale)
    if spec.packs > 1:
        return replace(enlarged_planes(picture, spec.scale), alpha=alpha)
    base = None if spec.residual == "none" else _base(seen, spec.scale, spec.residual)
    if spec.in_channels == 3:
        return replace(picture, rgb=base, alpha=alpha)
    return replace(picture, luma=base, chroma=enlarge_chroma(picture, spec.scale), alpha=alpha)


def merge(spec: ModelSpec, around: Picture, output: Tensor) -> Picture:
    """Put what a network gave, (1, C, scale*H, scale*W), into its `surroundings`, writing to their base."""
    if spec.packs > 1:
        return add_packed(around, output)
    base = around.rgb if spec.in_channels == 3 else around.luma
    whole = output.float() if base is None else base.add_(output).float()
    return replace(around, rgb=whole) if spec.in_channels == 3 else replace(around, luma=whole)


def _base(x: Tensor, scale: int, kind: Literal["nearest", "bicubic"]) -> Tensor:
    """A fresh tensor, to be added to."""
    if scale == 1:
        return x.clone()
    return F.interpolate(x, scale_factor=scale, mode="nearest") if kind == "nearest" else enlarge(x, scale)
