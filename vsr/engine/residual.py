"""From what a network gives to a picture: the base of its residual, chroma and opacity, never seen by it."""

from dataclasses import replace
from typing import Literal

from torch import Tensor

from vsr.color import BAND_ROWS
from vsr.engine.packing import add_packed, enlarged_planes
from vsr.models import ModelSpec
from vsr.picture import Picture, enlarge_chroma
from vsr.resample import enlarge, repeat


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
    whole = output.float() if base is None else _added(base, output)
    return replace(around, rgb=whole) if spec.in_channels == 3 else replace(around, luma=whole)


def _added(base: Tensor, output: Tensor) -> Tensor:
    """`base` with what the network gave added to it, in place.

    Networks on a CPU give colours pixel by pixel; taken apart band by band they are added in a quarter of the time.
    """
    if output.device.type != "cpu" or output.shape[1] == 1 or output.is_contiguous():
        return base.add_(output)
    for top in range(0, base.shape[2], BAND_ROWS):
        rows = slice(top, top + BAND_ROWS)
        base[:, :, rows].add_(output[:, :, rows].contiguous())
    return base


def _base(x: Tensor, scale: int, kind: Literal["nearest", "bicubic"]) -> Tensor:
    """A fresh tensor, to be added to."""
    if scale == 1:
        return x.clone()
    return repeat(x, scale) if kind == "nearest" else enlarge(x, scale)
